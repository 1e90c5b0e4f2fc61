package main

import (
	"cmp"

	"github.com/cowheap/cowheap/cowheap"
)

// oneHeap is a heap with one root in it, a C.
type oneHeap[C any] struct {
	h    *cowheap.Heap
	root cowheap.Ref[C]
}

func newOneHeap[C any](o *cowheap.Options) (oneHeap[C], error) {
	h, err := cowheap.New(o)
	if err != nil {
		return oneHeap[C]{}, err
	}
	one := oneHeap[C]{h: h}
	return one, h.Update(func(m *cowheap.Mem) (err error) {
		one.root, err = cowheap.Root[C](m, "one")
		return err
	})
}

// view calls do with the root, inside View.
func (o *oneHeap[C]) view(do func(m *cowheap.Mem, c *C)) {
	o.must(o.h.View(func(m *cowheap.Mem) error {
		do(m, o.root.Ptr(m))
		return nil
	}))
}

// update calls do with the root, inside Update.
func (o *oneHeap[C]) update(do func(m *cowheap.Mem, c *C) error) error {
	return o.h.Update(func(m *cowheap.Mem) error { return do(m, o.root.Ptr(m)) })
}

// must is for what cannot fail as long as the heap is open.
func (o *oneHeap[C]) must(err error) {
	if err != nil {
		panic(err)
	}
}

// freeze takes a snapshot.
func (o *oneHeap[C]) freeze() (thaw func() error, err error) {
	s, err := o.h.Snapshot()
	if err != nil {
		return nil, err
	}
	return s.Close, nil
}

func (o *oneHeap[C]) close() error { return o.h.Close() }

// heapMap is a Map.
type heapMap[K cmp.Ordered] struct {
	oneHeap[cowheap.Map[K, uint64]]
}

func newHeapMap[K cmp.Ordered]() (*heapMap[K], error) {
	one, err := newOneHeap[cowheap.Map[K, uint64]](nil)
	return &heapMap[K]{one}, err
}

func (c *heapMap[K]) get(keys []K) (sum uint64) {
	c.view(func(m *cowheap.Mem, t *cowheap.Map[K, uint64]) {
		for _, k := range keys {
			v, _ := t.Get(m, k)
			sum += v
		}
	})
	return sum
}

func (c *heapMap[K]) set(keys []K, v uint64) error {
	return c.update(func(m *cowheap.Mem, t *cowheap.Map[K, uint64]) error {
		for _, k := range keys {
			if err := t.Set(m, k, v); err != nil {
				return err
			}
		}
		return nil
	})
}

func (c *heapMap[K]) delete(keys []K) (were int) {
	c.must(c.update(func(m *cowheap.Mem, t *cowheap.Map[K, uint64]) error {
		for _, k := range keys {
			if _, was := t.Delete(m, k); was {
				were++
			}
		}
		return nil
	}))
	return were
}

func (c *heapMap[K]) all() (sum uint64) {
	c.view(func(m *cowheap.Mem, t *cowheap.Map[K, uint64]) {
		for _, v := range t.All(m) {
			sum += *v
		}
	})
	return sum
}

func (c *heapMap[K]) allInUpdate() (sum uint64) {
	c.must(c.update(func(m *cowheap.Mem, t *cowheap.Map[K, uint64]) error {
		for _, v := range t.All(m) {
			sum += *v
		}
		return nil
	}))
	return sum
}

func (c *heapMap[K]) rangesInUpdate([]K) uint64 { panic("bench: a Map has no order") }

func (c *heapMap[K]) clear() error {
	return c.update(func(m *cowheap.Mem, t *cowheap.Map[K, uint64]) error {
		t.Clear(m)
		return nil
	})
}

// heapTree is a BTree.
type heapTree[K cmp.Ordered] struct {
	oneHeap[cowheap.BTree[K, uint64]]
}

func newHeapTree[K cmp.Ordered]() (*heapTree[K], error) {
	one, err := newOneHeap[cowheap.BTree[K, uint64]](nil)
	return &heapTree[K]{one}, err
}

func (c *heapTree[K]) get(keys []K) (sum uint64) {
	c.view(func(m *cowheap.Mem, t *cowheap.BTree[K, uint64]) {
		for _, k := range keys {
			v, _ := t.Get(m, k)
			sum += v
		}
	})
	return sum
}

func (c *heapTree[K]) set(keys []K, v uint64) error {
	return c.update(func(m *cowheap.Mem, t *cowheap.BTree[K, uint64]) error {
		for _, k := range keys {
			if err := t.Set(m, k, v); err != nil {
				return err
			}
		}
		return nil
	})
}

func (c *heapTree[K]) delete(keys []K) (were int) {
	c.must(c.update(func(m *cowheap.Mem, t *cowheap.BTree[K, uint64]) error {
		for _, k := range keys {
			if _, was := t.Delete(m, k); was {
				were++
			}
		}
		return nil
	}))
	return were
}

func (c *heapTree[K]) all() (sum uint64) {
	c.view(func(m *cowheap.Mem, t *cowheap.BTree[K, uint64]) {
		for _, v := range t.All(m) {
			sum += *v
		}
	})
	return sum
}

func (c *heapTree[K]) allInUpdate() (sum uint64) {
	c.must(c.update(func(m *cowheap.Mem, t *cowheap.BTree[K, uint64]) error {
		for _, v := range t.All(m) {
			sum += *v
		}
		return nil
	}))
	return sum
}

func (c *heapTree[K]) ranges(from []K) (sum uint64) {
	c.view(func(m *cowheap.Mem, t *cowheap.BTree[K, uint64]) { sum = sumRanges(m, t, from) })
	return sum
}

func (c *heapTree[K]) rangesInUpdate(from []K) (sum uint64) {
	c.must(c.update(func(m *cowheap.Mem, t *cowheap.BTree[K, uint64]) error {
		sum = sumRanges(m, t, from)
		return nil
	}))
	return sum
}

func sumRanges[K cmp.Ordered](m *cowheap.Mem, t *cowheap.BTree[K, uint64], from []K) (sum uint64) {
	for _, k := range from {
		left := rangeLength
		for _, v := range t.Ascend(m, k) {
			sum += *v
			if left--; left == 0 {
				break
			}
		}
	}
	return sum
}

func (c *heapTree[K]) clear() error {
	return c.update(func(m *cowheap.Mem, t *cowheap.BTree[K, uint64]) error {
		t.Clear(m)
		return nil
	})
}
