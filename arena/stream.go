package arena

import (
	"sync"
	"time"
)

// Stream says that the snapshot is about to be read from front to back, once,
// until done is called. Meanwhile its pages may be copied before anybody writes
// to them, as Options.Preserving says. It changes what is read in no way.
func (s *Snapshot) Stream() (done func()) {
	stop := make(chan struct{})
	go s.h.ahead(stop)
	// Without waiting: it may be holding writers off, and be called by one.
	return sync.OnceFunc(func() { close(stop) })
}

// ahead preserves until it is stopped, or there is nothing left to do.
func (h *handle) ahead(stop <-chan struct{}) {
	wait := time.NewTimer(0)
	defer wait.Stop()
	for {
		select {
		case <-stop:
			return
		case <-wait.C:
		}
		again := h.aheadOnce(stop)
		if again < 0 {
			return
		}
		wait.Reset(again)
	}
}

// aheadOnce does one step. It answers when to do the next, a negative time for never.
func (h *handle) aheadOnce(stop <-chan struct{}) (again time.Duration) {
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
	select {
	case <-stop:
		return -1
	default:
	}
	h.mu.RLock()
	defer h.mu.RUnlock()
	if h.f == nil || h.f.ahead(p.held, waited) {
		return -1
	}
	return 0
}
