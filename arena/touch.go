package arena

import "sync/atomic"

// toucher is a guard to which a write may be announced.
type toucher interface {
	// touch resolves the first write to page ahead of it, if it will be one.
	touch(page uint64)
}

// Frozen is set while a snapshot may be open that needs what is written, and never
// where Touch does nothing (the guards shadow and copy). It is for those who write much
// and want to know by one load whether to Touch: a hint, that may be late.
func (a *Arena) Frozen() *atomic.Bool { return &a.frozen }

// Touch spares the writes that follow to [off, off+n) their faults, as PrepareWrite
// does, but where there is nothing to spare it costs next to nothing, so that it may be
// called before each write; and like a fault it takes neighbours along where that pays.
// It never fails, waits for nobody, and is no promise. Call it inside the gate, for
// memory that has been allocated.
func (a *Arena) Touch(off, n uint64) {
	if a.toucher == nil || n == 0 {
		return
	}
	for page := off / pageSize; page <= (off+n-1)/pageSize; page++ {
		a.toucher.touch(page)
	}
}
