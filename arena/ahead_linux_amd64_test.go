package arena

import (
	"errors"
	"sync"
	"sync/atomic"
	"testing"
)

func TestSnapshotMayBeStreamedTwiceAtOnce(t *testing.T) {
	a := userfaultArena(t, Options{Preserving: PreserveAhead})
	b := alloc(t, a, 32<<20)
	fill(b, 1)
	s := snapshot(t, a)
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			defer s.Stream(t.Context())()
			content(t, s)
		})
	}
	wg.Wait()
	s.Close()
}

// A snapshot is given up while it is decided whether to preserve it ahead.
func TestSnapshotMayBeGivenUpWhileStreamed(t *testing.T) {
	a := userfaultArena(t, Options{FaultPages: 1, MaxPreserved: 64 * pageSize})
	b := alloc(t, a, 1000*pageSize)
	for range 300 {
		s := snapshot(t, a)
		var stop atomic.Bool
		var wg sync.WaitGroup
		wg.Go(func() {
			for !stop.Load() {
				s.h.aheadOnce(t.Context())
			}
		})
		fill(b, 1)
		for {
			if _, err := s.ReadAt(make([]byte, 1), 0); errors.Is(err, ErrOverrun) {
				break
			}
		}
		stop.Store(true)
		wg.Wait()
		s.Close()
	}
}
