package arena

import (
	"errors"
	"fmt"
)

// MissingPages is where the pages of an arena come from that a lazy restore has
// not brought in yet.
type MissingPages struct {
	FD    uintptr  // of the file, open for reading until the arena is closed
	Path  string   // of the file, for the message of a crash
	Index []uint64 // for each 2 MiB of the arena its block's file offset, 0: all zero
	ID    [16]byte // the checkpoint's UUID
	Owner any      // kept reachable until the arena is closed: what would close FD

	// Rest, if not nil, brings in what the file does not have, or not as it should
	// be, before anything is read from it: pages of a chain's other files, and
	// compressed ones. bring is Arena.Bring. Default: the file has everything.
	Rest func(bring func(off int64, src []byte) error) error
}

// Restoring is an arena that is being filled. It is not yet allocated from.
type Restoring struct {
	a    *Arena
	size uint64
}

// Restore starts an arena of size bytes, a multiple of 4096. Fill it, then Finish,
// or Abort.
func Restore(o Options, size int64) (*Restoring, error) {
	if size <= 0 || size%pageSize != 0 {
		return nil, fmt.Errorf("restoring %d bytes, which are no pages: %w", size, ErrCorrupt)
	}
	a, err := reserve(o)
	if err != nil {
		return nil, err
	}
	if err := a.ensure(uint64(size)); err != nil {
		return nil, errors.Join(fmt.Errorf("restoring %d bytes (raise MaxSize): %w", size, err), a.Close())
	}
	return &Restoring{a: a, size: uint64(size)}, nil
}

// Fill puts src at off; both are whole pages. src must not lie on a goroutine's
// stack, which may move. What is not filled is zero, and each page is filled
// once. Any number of goroutines.
func (r *Restoring) Fill(off int64, src []byte) error {
	n := uint64(len(src))
	if off < 0 || off%pageSize != 0 || n%pageSize != 0 || uint64(off) > r.size || n > r.size-uint64(off) {
		return fmt.Errorf("filling %d bytes at %d of %d", n, off, r.size)
	}
	return r.a.guard.fill(uint64(off), src)
}

// Finish gives the arena, if what was filled in is one.
func (r *Restoring) Finish() (*Arena, error) {
	if err := r.a.al.attach(); err != nil {
		return nil, errors.Join(fmt.Errorf("reading the allocator's state: %w", err), r.a.Close())
	}
	if high := r.a.High(); high != r.size {
		return nil, errors.Join(fmt.Errorf("the header says %d bytes, restored were %d: %w", high, r.size, ErrCorrupt), r.a.Close())
	}
	return r.a, nil
}

// FinishLazy gives the arena at once, without anything filled in: pages come
// from im as they are touched. ErrNotSupported if the guard cannot do that: shadow
// cannot if there is a Rest, because its snapshots read the file.
func (r *Restoring) FinishLazy(im MissingPages) (*Arena, error) {
	if err := r.a.guard.lazy(r.size, im); err != nil {
		return nil, errors.Join(err, r.a.Close())
	}
	if im.Rest != nil {
		if err := im.Rest(r.a.Bring); err != nil {
			return nil, errors.Join(err, r.a.Close())
		}
	}
	// Brought in here with an error to show for it; attach would crash.
	if err := r.a.guard.prepareRead(0, pageSize); err != nil {
		return nil, errors.Join(err, r.a.Close())
	}
	return r.Finish()
}

// Abort gives everything back.
func (r *Restoring) Abort() error { return r.a.Close() }

// Bring brings the missing pages of [off, off+len(src)) in, whose content is
// src, both whole pages; those that are in already stay as they are. Any number
// of goroutines, while the arena is used. src must not lie on a goroutine's
// stack.
func (a *Arena) Bring(off int64, src []byte) error {
	a.mu.Lock() // no snapshot may be taken half-way through a piece
	defer a.unlock()
	if a.closed.Load() {
		return ErrClosed
	}
	return a.guard.bring(uint64(off), src)
}

// Complete ends a lazy restore or a fork: every page that is not all zero has been
// brought in, and the rest may be zero without asking. It holds writers off for
// some microseconds a GiB. While a snapshot is open it changes nothing, and
// pages of zeros go on coming in one by one, which is slower but not wrong.
// The shadow guard then makes its copy, about 0.2 s a GiB, for which snapshots
// wait, but no writers.
func (a *Arena) Complete() error {
	a.mu.Lock()
	defer a.unlock()
	if a.closed.Load() {
		return ErrClosed
	}
	if err := a.guard.complete(a.opts.hold()); err != nil {
		return err
	}
	return a.leaveParent()
}
