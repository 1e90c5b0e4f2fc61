package cowheap

import "github.com/cowheap/cowheap/arena"

// Stats are the figures of one heap. The arena's are described there: bytes
// used, reserved and resident, open snapshots, preserved pages, faults and
// neighbours, the last and the worst pause and, apart from them, the time waited
// for Updates that were running, and how far a lazy restore has come.
type Stats struct {
	arena.Stats
	// RestoreErr is why a lazy restore stopped bringing pages in, in the
	// background or in Populate; nil while it goes on and when it has finished.
	RestoreErr error
}

// Stats may be called at any time, also inside Update; after Close it is zero.
// It asks the kernel what is in memory: about a millisecond a GiB.
func (h *Heap) Stats() Stats {
	s := Stats{Stats: h.a.Stats()}
	if h.lazy != nil {
		s.RestoreErr = translate(h.lazy.Err())
	}
	return s
}
