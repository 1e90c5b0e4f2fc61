package arena

import (
	"errors"
	"runtime"
)

// FinishFork gives the arena at once, without anything filled in: pages come from
// s as they are touched. Its second result is s once more, for one who brings them in in bulk
// (Arena.Bring, then Complete); it belongs to the arena. s, and the arena that it is
// of, may be closed at any time. All of that one must be in (Complete).
//
// ErrNotSupported if the guards of the two arenas cannot do that: Fill and Finish are still
// possible then. After any other error nothing is.
func (r *Restoring) FinishFork(s *Snapshot) (*Arena, *Snapshot, error) {
	from, err := s.again()
	if err == nil {
		if err = r.a.guard.fork(from.h.f, r.size); err != nil {
			err = errors.Join(err, from.Close())
		}
	}
	switch {
	case errors.Is(err, ErrNotSupported):
		return nil, nil, err
	case err != nil:
		return nil, nil, errors.Join(err, r.a.Close())
	}
	r.a.parent = from
	// With an error to show for it; attach would crash.
	if err := r.a.guard.prepareRead(0, pageSize); err != nil {
		return nil, nil, errors.Join(err, r.a.Close())
	}
	a, err := r.Finish()
	return a, from, err
}

// again opens s once more, for a fork: it is neither given up nor closed with its arena.
func (s *Snapshot) again() (*Snapshot, error) {
	defer runtime.KeepAlive(s)
	release, err := s.h.holdOpen()
	if err != nil {
		return nil, err
	}
	defer release()
	a := s.h.a
	if err := s.h.f.pin(); err != nil {
		return nil, err
	}
	h := &handle{a: a, seq: s.h.seq, fork: true, timing: s.h.timing, f: s.h.f}
	a.reg.Lock()
	defer a.reg.Unlock()
	a.enter(h)
	return newSnapshot(h), nil
}

// leaveParent closes what a fork's missing pages came from.
// Preconditions: mu is held, and nobody reads there any more.
func (a *Arena) leaveParent() error {
	from := a.parent
	if a.parent = nil; from == nil {
		return nil
	}
	return from.Close()
}
