package cowheap
