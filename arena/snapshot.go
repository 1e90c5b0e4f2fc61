package arena

import (
	"fmt"
	"io"
	"runtime"
	"sync"
	"time"
)

// Snapshot is the arena's content at one instant. All methods may be called by
// any goroutine at any time.
type Snapshot struct {
	h       *handle
	cleanup runtime.Cleanup
}

// handle is what a Snapshot that was dropped leaves behind to be closed.
type handle struct {
	a      *Arena
	seq    uint64 // ascending with the instants
	fork   bool   // held by a fork, and not to be closed with the arena or by a rollback
	timing timing
	mu     sync.RWMutex  // held for reading while f is used
	f      frozen        // nil once closed
	why    error         // it was closed, an ErrClosed
	cost   SnapshotStats // the last, once closed
}

// Snapshot freezes the arena as it is at an instant during the call, and
// returns as soon as writers can go on. Errors: ErrClosed, ErrConcurrentWrite
// when somebody wrote although held, and what the system answers when it
// refuses memory; writers go on in every case.
func (a *Arena) Snapshot() (*Snapshot, error) {
	a.mu.Lock()
	defer a.unlock()
	if a.closed.Load() {
		return nil, ErrClosed
	}
	f, t, err := a.guard.freeze(a.al.high, a.opts.hold())
	if err != nil {
		return nil, fmt.Errorf("taking a snapshot: %w", err)
	}
	a.reg.Lock()
	a.taken++
	h := &handle{a: a, seq: a.taken, timing: t, f: f}
	a.last = t
	a.worst.pause = max(a.worst.pause, t.pause)
	a.worst.waited = max(a.worst.waited, t.waited)
	if t.arming > 0 {
		a.sum.ahead++
		a.sum.slices += t.slices
		a.sum.count += t.count
		a.sum.reprotected += t.reprotected
	}
	a.enter(h)
	a.reg.Unlock()
	return newSnapshot(h), nil
}

// newSnapshot gives the handle to a caller.
func newSnapshot(h *handle) *Snapshot {
	s := &Snapshot{h: h}
	// A snapshot that nobody can reach any more would cost every writer for ever.
	s.cleanup = runtime.AddCleanup(s, func(h *handle) { _ = h.close() }, h)
	return s
}

// Size is the number of bytes frozen: High at the instant.
func (s *Snapshot) Size() int64 { return int64(s.h.timing.size) }

// ReadAt reads as of the instant, by the rules of io.ReaderAt. Errors: ErrClosed,
// ErrOverrun, and what a lazy restore answers for a page that is damaged.
func (s *Snapshot) ReadAt(p []byte, off int64) (int, error) {
	defer runtime.KeepAlive(s)
	if off < 0 {
		return 0, fmt.Errorf("reading a snapshot at offset %d", off)
	}
	size := s.Size()
	if off >= size {
		return 0, io.EOF
	}
	n := int(min(int64(len(p)), size-off))
	if err := s.h.readAt(p[:n], uint64(off)); err != nil {
		return 0, err
	}
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// Release says that [off, off+n) has been read for the last time, so that
// nothing more is preserved of it. Reading it again gives some content or
// other. It is for one who streams the snapshot and is its only reader.
func (s *Snapshot) Release(off, n int64) {
	defer runtime.KeepAlive(s)
	if off < 0 || n <= 0 || off >= s.Size() {
		return
	}
	s.h.mu.RLock()
	defer s.h.mu.RUnlock()
	if s.h.f != nil {
		s.h.f.release(uint64(off), uint64(min(n, s.Size()-off)))
	}
}

// SnapshotStats says what a snapshot has cost so far.
type SnapshotStats struct {
	Pause  time.Duration // writers were held that long
	Waited time.Duration // and before it the snapshot waited for those running
	Bytes  int64         // frozen
	Pages  int64         // preserved for it until now, or until Close, of 4096 bytes
	Faults int64         // first writes that the guard had to resolve for it
	Ahead  int64         // of Pages: preserved in bulk before anybody wrote to them, see Options.Preserving

	// Arming ahead of the instant, while writers went on; zero if it was not done.
	Arming      time.Duration // from the beginning until writers were held
	Slices      int           // for each of which writers at full speed were held, some 300 us; after the instant a millisecond, see Options.Preserving
	Passes      int           // over what was written meanwhile, after the one over everything
	Reprotected int64         // pages that these passes protected again
	Held        int64         // pages protected while writers were held
}

// Stats may be called after Close, too: it says then what it was.
func (s *Snapshot) Stats() SnapshotStats {
	defer runtime.KeepAlive(s)
	s.h.mu.RLock()
	defer s.h.mu.RUnlock()
	return s.h.stats()
}

// stats is for one who holds h.mu.
func (h *handle) stats() SnapshotStats {
	if h.f == nil {
		return h.cost
	}
	c := h.f.cost()
	return SnapshotStats{
		Pause: h.timing.pause, Waited: h.timing.waited, Bytes: int64(h.timing.size),
		Pages: int64(c.pages), Faults: int64(c.faults), Ahead: int64(c.ahead),
		Arming: h.timing.arming, Slices: h.timing.slices + c.slices, Passes: h.timing.count,
		Reprotected: int64(h.timing.reprotected), Held: int64(h.timing.held),
	}
}

// Close gives the preserved pages back, or leaves that to whoever is just at work on the arena's
// snapshots. It is idempotent, waits for a ReadAt or Stream that runs no longer than that
// copies 256 KiB or a few milliseconds' worth, and may be called by a writer.
func (s *Snapshot) Close() error {
	s.cleanup.Stop()
	return s.h.close()
}

func (h *handle) readAt(p []byte, off uint64) error {
	// In pieces, so that Close does not wait for a long read.
	const piece = 256 << 10
	for len(p) > 0 {
		n := min(len(p), piece)
		h.mu.RLock()
		if h.f == nil {
			defer h.mu.RUnlock()
			return h.why
		}
		err := h.f.readAt(p[:n], off)
		h.mu.RUnlock()
		if err != nil {
			return err
		}
		p, off = p[n:], off+uint64(n)
	}
	return nil
}

// holdOpen keeps the handle open, and its arena from being frozen or rolled back, until
// release is called. Errors: why it has been closed.
func (h *handle) holdOpen() (release func(), err error) {
	h.a.mu.Lock()
	h.mu.RLock()
	release = func() {
		h.mu.RUnlock()
		h.a.unlock()
	}
	if h.f == nil {
		err = h.why
		release()
		return nil, err
	}
	return release, nil
}

func (h *handle) close() error {
	h.detach(ErrClosed)
	return h.a.settle()
}

// detach closes the handle to its users, who are told why, waits for those that are
// reading, and leaves the rest to whoever may take the arena's mu.
func (h *handle) detach(why error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.f == nil {
		return
	}
	h.cost = h.stats()
	if h.fork {
		h.f.unpin()
	}
	// In one step: who finds the handle neither open nor leaving may take it
	// that it has been given back.
	h.a.reg.Lock()
	h.a.leave(h)
	h.a.reg.Unlock()
	h.f, h.why = nil, why
}
