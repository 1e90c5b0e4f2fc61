package arena

import (
	"context"
	"sync"
	"time"
)

// Stream is a snapshot that is being read from front to back, once, while its pages
// may be copied before anybody writes to them, see [Snapshot.Stream].
type Stream struct {
	s    *Snapshot
	stop context.CancelFunc
	// reading is held for reading by ReadAt, and for writing while pages are copied with
	// writers held: all processors have that to do, so that they are let in again soon.
	reading sync.RWMutex
}

// Stream says that the snapshot is about to be read from front to back, once, by
// the Stream's ReadAt, until Stop is called. Its pages may be copied before anybody writes to
// them, as Options.Preserving says; if that pays at once it is done, at the speed of
// memory, before Stream returns, or until ctx ends. It changes in no way what is
// read. Call it, and read, outside the gate.
func (s *Snapshot) Stream(ctx context.Context) *Stream {
	ctx, stop := context.WithCancel(ctx)
	st := &Stream{s: s, stop: stop}
	// Here and not in another goroutine: among writers at full speed that one would
	// wait long until it runs.
	if again := st.ahead(ctx); again > 0 {
		go func() {
			for again > 0 && ctx.Err() == nil {
				time.Sleep(again)
				again = st.ahead(ctx)
			}
		}()
	}
	return st
}

// Stop ends it. The snapshot stays open. It may be called more than once.
func (st *Stream) Stop() { st.stop() }

// Size is the number of bytes frozen.
func (st *Stream) Size() int64 { return st.s.Size() }

// ReadAt is Snapshot.ReadAt, but waits while pages are copied with writers held. Any number of
// goroutines may read at once.
func (st *Stream) ReadAt(p []byte, off int64) (int, error) {
	st.reading.RLock()
	defer st.reading.RUnlock()
	return st.s.ReadAt(p, off)
}

// Release is Snapshot.Release.
func (st *Stream) Release(off, n int64) { st.s.Release(off, n) }

// ahead preserves as long as there is something to do. It answers when to look
// again, a negative time for never.
func (st *Stream) ahead(ctx context.Context) (again time.Duration) {
	h, alone := st.s.h, false
	defer func() {
		if alone {
			st.reading.Unlock()
		}
	}()
	for again == 0 && ctx.Err() == nil {
		p := h.plan()
		switch {
		case p.held && !alone:
			st.reading.Lock()
		case !p.held && alone:
			st.reading.Unlock()
		}
		alone = p.held
		again = h.ahead(ctx, p)
	}
	return again
}

// plan is what to preserve ahead.
func (h *handle) plan() plan {
	h.mu.RLock()
	defer h.mu.RUnlock()
	if h.f == nil {
		return plan{again: -1}
	}
	return h.f.plan()
}

// ahead does one step of what plan has said. It answers when to do the next, a negative time for never.
func (h *handle) ahead(ctx context.Context, p plan) (again time.Duration) {
	if !p.copy {
		return p.again
	}
	if !h.a.mu.TryLock() {
		return p.again // a snapshot is being taken
	}
	defer h.a.unlock()
	began := time.Now()
	if p.held {
		// Before h.mu: a writer may be about to close this very snapshot.
		release, err := h.a.opts.hold()()
		if err != nil {
			return -1
		}
		defer release()
	}
	waited := time.Since(began)
	if ctx.Err() != nil {
		return -1
	}
	h.mu.RLock()
	defer h.mu.RUnlock()
	if h.f == nil || h.f.ahead(p.held, waited) {
		return -1
	}
	return 0
}
