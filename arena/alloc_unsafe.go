package arena

import (
	"sync/atomic"
	"unsafe"
)

// memory is the arena's bytes as the allocator sees them.
//
// Preconditions of every method: [off, off+n) lies below the high that ensure
// was last asked for, and words are aligned to their size. The allocator keeps
// this by going through bounds that it validated (see reload), never through
// an offset just read from the arena.
type memory struct {
	base unsafe.Pointer
}

func (m memory) load64(off uint64) uint64 {
	return *(*uint64)(unsafe.Add(m.base, off))
}

func (m memory) store64(off, v uint64) {
	*(*uint64)(unsafe.Add(m.base, off)) = v
}

// word is a word that is read or changed without the allocator's lock.
func (m memory) word(off uint64) *atomic.Uint64 {
	return (*atomic.Uint64)(unsafe.Add(m.base, off))
}

func (m memory) load32(off uint64) uint32 {
	return *(*uint32)(unsafe.Add(m.base, off))
}

func (m memory) bytes(off, n uint64) []byte {
	return unsafe.Slice((*byte)(unsafe.Add(m.base, off)), n)
}

// newAllocator makes an allocator over the reservation [base, base+limit).
// ensure makes bytes [0, high) accessible; fresh ones are zero. It is called
// with the allocator's lock held. Call format or attach before anything else.
//
// Preconditions: base is aligned to a page and outside the Go heap.
func newAllocator(base unsafe.Pointer, limit uint64, ensure func(high uint64) error) *allocator {
	al := &allocator{
		memory: memory{base},
		limit:  min(limit, maxArena) &^ (runPageSize - 1),
		ensure: ensure,
	}
	for i := range al.caches {
		c := &al.caches[i]
		c.al, c.n, c.counts = al, i, headCounts+uint64(i)*countSize
	}
	return al
}
