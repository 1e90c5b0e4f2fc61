package arena

import (
	"context"
	"time"
)

// Stream says that the snapshot is about to be read from front to back, once,
// until done is called. Its pages may be copied before anybody writes to them, as
// Options.Preserving says; if that pays at once it is done, at the speed of
// memory, before Stream returns, or until ctx ends. It changes in no way what is
// read. Call it outside the gate.
func (s *Snapshot) Stream(ctx context.Context) (done func()) {
	ctx, done = context.WithCancel(ctx)
	// Here and not in another goroutine: among writers at full speed that one would
	// wait long until it runs.
	if again := s.h.ahead(ctx); again > 0 {
		go func() {
			for again > 0 && ctx.Err() == nil {
				time.Sleep(again)
				again = s.h.ahead(ctx)
			}
		}()
	}
	return done
}

// ahead preserves as long as there is something to do. It answers when to look
// again, a negative time for never.
func (h *handle) ahead(ctx context.Context) (again time.Duration) {
	for again == 0 && ctx.Err() == nil {
		again = h.aheadOnce(ctx)
	}
	return again
}

// aheadOnce does one step. It answers when to do the next, a negative time for never.
func (h *handle) aheadOnce(ctx context.Context) (again time.Duration) {
	h.mu.RLock()
	p := plan{again: -1}
	if h.f != nil {
		p = h.f.plan()
	}
	h.mu.RUnlock()
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
