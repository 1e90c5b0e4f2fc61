package arena

import (
	"fmt"
	"maps"
	"runtime"
	"slices"
	"time"
)

// rollbacks is what an Arena knows of its rollbacks.
type rollbacks struct {
	count, pages uint64
	last, worst  time.Duration // nobody was let in
}

// Rollback makes the memory what s holds, at the same addresses, and the allocator goes
// on from there; what lies beyond s.Size() is zero again. s stays open,
// newer snapshots are closed and answer so. It costs what was written since s was taken.
//
// hold keeps readers and writers off until what it returns is called; nobody may
// keep a pointer across it. Complete a lazy restore or a fork first. Errors have changed
// nothing: ErrForeign, ErrClosed, ErrOverrun, and hold's.
func (a *Arena) Rollback(s *Snapshot, hold func() (release func(), err error)) error {
	defer runtime.KeepAlive(s)
	if s.h.a != a {
		return ErrForeign
	}
	a.mu.Lock()
	defer a.unlock()
	if a.closed.Load() {
		return ErrClosed
	}
	release, err := hold()
	if err != nil {
		return err
	}
	defer release()
	began := time.Now()
	s.h.mu.RLock() // keeps it open
	defer s.h.mu.RUnlock()
	if s.h.f == nil {
		return s.h.why
	}
	if err := s.h.f.intact(); err != nil {
		return err
	}
	if err := a.guard.rollsBack(); err != nil {
		return fmt.Errorf("rolling back: %w", err)
	}
	a.reg.Lock()
	open := slices.Collect(maps.Keys(a.open))
	a.reg.Unlock()
	for _, h := range open {
		if h.seq > s.h.seq && !h.fork {
			h.detach(errRolledBack)
		}
	}
	_ = a.giveBack() // an error is munmap's: memory stays mapped, no more
	pages, err := a.guard.rollback(s.h.f, a.High())
	if err != nil {
		return fmt.Errorf("rolling back: %w", err)
	}
	if err := a.al.attach(); err != nil {
		return fmt.Errorf("rolling back to a state that the allocator does not know: %w", err)
	}
	a.reg.Lock()
	defer a.reg.Unlock()
	took := time.Since(began)
	a.rolled.count++
	a.rolled.pages += pages
	a.rolled.last, a.rolled.worst = took, max(a.rolled.worst, took)
	return nil
}
