package cowheap

import "github.com/cowheap/cowheap/arena"

// Stats are the figures of one heap. The arena's are described there: bytes
// used and reserved, open snapshots, preserved pages, faults and
// neighbours, the last and the worst pause and, apart from them, the time waited
// for Updates that were running, and how far a lazy restore has come.
type Stats struct {
	arena.Stats
	// RestoreErr is why a lazy restore stopped bringing pages in, in the
	// background or in Populate; nil while it goes on and when it has finished.
	RestoreErr error
	// Learned is how many first touches of earlier lazy restores this one began with, see Options.Learn, and
	// LearnErr why it could not learn of them, or for later ones: the set was damaged, or cannot be
	// written. That is no harm to the heap.
	Learned  int
	LearnErr error
}

// Stats may be called at any time, also inside Update; after Close it is zero.
// It takes about a microsecond, whatever the size.
func (h *Heap) Stats() Stats {
	s := Stats{Stats: h.a.Stats()}
	if h.lazy != nil {
		s.RestoreErr = translate(h.lazy.Err())
		s.Learned, s.LearnErr = h.lazy.Learned(), h.lazy.LearnErr()
	}
	return s
}

// Resident is how many bytes of the heap are in memory: without what is preserved for snapshots, and without
// what a lazy restore has not brought in yet. It asks the kernel page by page, about a millisecond a GiB. The errors:
// ErrClosed, and an errors.ErrUnsupported where it cannot be told. It may be called at any time, also inside Update.
func (h *Heap) Resident() (bytes int64, err error) {
	bytes, err = h.a.Resident()
	return bytes, translate(err)
}
