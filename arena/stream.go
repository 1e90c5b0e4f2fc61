package arena

import (
	"runtime"
	"sync"
	"time"
)

// Stream says that the snapshot is about to be read from front to back, once,
// until done is called. Meanwhile its pages may be copied before anybody writes
// to them, as Options.Preserving says. It changes what is read in no way.
func (s *Snapshot) Stream() (done func()) {
	stop := make(chan struct{})
	var ended sync.WaitGroup
	ended.Go(func() { s.h.ahead(stop) })
	return sync.OnceFunc(func() {
		close(stop)
		ended.Wait()
		runtime.KeepAlive(s)
	})
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
		h.mu.RLock()
		again := time.Duration(-1)
		if h.f != nil {
			again = h.f.ahead()
		}
		h.mu.RUnlock()
		if again < 0 {
			return
		}
		wait.Reset(again)
	}
}
