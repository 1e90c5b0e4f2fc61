package cowheap

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"

	"github.com/cowheap/cowheap/arena"
	"github.com/cowheap/cowheap/checkpoint"
	"github.com/cowheap/cowheap/internal/gid"
	"github.com/cowheap/cowheap/restore"
)

// Heap is state that can be frozen while it goes on being written. Make one by
// New, Open or Restore, and Close it.
//
// All methods may be called by any goroutine at any time, except from inside
// Update or View of the same heap, where those that use the gate (Update, View,
// Snapshot, Checkpoint, Rollback, Populate, Trim, Check, Close) answer ErrNested.
type Heap struct {
	opts  Options
	a     *arena.Arena
	sp    *space
	super uint64 // the arena's root word, which never changes

	dir     *checkpoint.Store // nil: memory only
	lazy    *restore.Lazy     // of a file or of a snapshot; nil: there is nothing to bring in
	origin  checkpoint.Info
	skipped []error
	lineage *lineage

	closing  sync.Once
	closeErr error
}

// New makes an empty heap in memory: Checkpoint and Save answer ErrNoDir, and
// Snapshot.WriteTo writes where you like.
func New(opts *Options) (*Heap, error) {
	o, err := orDefault(opts)
	if err != nil {
		return nil, err
	}
	h := newHeap(o)
	if err := h.empty(); err != nil {
		return nil, fmt.Errorf("making a heap: %w", err)
	}
	return h, nil
}

func newHeap(o Options) *Heap { return &Heap{opts: o, lineage: newLineage()} }

// empty gives the heap a new arena.
func (h *Heap) empty() error {
	a, err := arena.New(h.opts.arena(h.hold))
	if err != nil {
		return err
	}
	if err := h.adopt(a, func(s *space) error { return s.format(h.seed()) }); err != nil {
		return errors.Join(err, a.Close())
	}
	return nil
}

// adopt makes a the heap's arena, after begin has made its state known.
func (h *Heap) adopt(a *arena.Arena, begin func(*space) error) error {
	restored := a.Root() != 0
	s := newSpace(a, uint64(a.Stats().Reserved))
	if err := begin(s); err != nil {
		return err
	}
	h.a, h.sp, h.super = a, s, a.Root()
	h.profile(restored)
	return nil
}

// seed is Options.Seed with its default.
func (h *Heap) seed() uint64 {
	if h.opts.Seed != 0 {
		return h.opts.Seed
	}
	return rand.Uint64()
}

// hold holds writers off while a snapshot is taken.
func (h *Heap) hold() (release func(), err error) {
	if _, err := h.sp.gate.close(gateNoUpdates); err != nil {
		return nil, err
	}
	return func() {
		h.sp.profile.tick.Add(1)
		h.sp.gate.open()
	}, nil
}

// Update lets fn write to the heap, through the Mem that it gets. Many Updates
// run at once; a snapshot is taken when none does, so that it shows each of them
// whole or not at all. cowheap locks none of your data: take your own locks
// inside fn, never around Update.
//
// fn's error is returned and undoes nothing. While fn runs it holds up the next
// snapshot, so it should wait for nobody: no network, no fsync, nobody who calls
// a method of this heap. ErrNested if the goroutine is inside already, ErrClosed
// after Close.
func (h *Heap) Update(fn func(m *Mem) error) error { return h.sp.update(fn) }

// View lets fn read the heap. Updates go on meanwhile, so guard what they change
// by your own locks, or read a Snapshot. What waits for Views is Close. Errors
// as for Update.
func (h *Heap) View(fn func(m *Mem) error) error { return h.sp.view(fn) }

// Checkpoint saves the heap as it is at an instant during the call into its
// directory, while writers go on: Snapshot, Save, Close; or, where writers lose less by it, without a
// snapshot, see Options.Saving. When it returns nil the
// checkpoint survives a crash of the machine; Info.Incremental and Info.Pages say what was
// written, see Save. ErrNoDir without a directory.
func (h *Heap) Checkpoint(ctx context.Context) (checkpoint.Info, error) {
	switch {
	case h.dir == nil:
		return checkpoint.Info{}, ErrNoDir
	case h.sp.gate.holdsCaller():
		return checkpoint.Info{}, h.sp.nested()
	}
	if info, ok, err := h.checkpointLive(ctx); ok || err != nil {
		return info, err
	}
	s, err := h.Snapshot()
	if err != nil {
		return checkpoint.Info{}, err
	}
	defer s.Close()
	// Nobody else reads this snapshot, so what is written needs no guard any more.
	return s.save(ctx, true)
}

// Origin is the checkpoint that Open or Restore restored, the zero Info for a new
// heap, and what Open had to pass over because it was damaged, newest first.
func (h *Heap) Origin() (info checkpoint.Info, skipped []error) { return h.origin, h.skipped }

// Populate brings in what a lazy restore or a fork has not brought in yet, and
// returns when the file, or the parent, is not needed any more. Without anything
// of that kind it does nothing. Options.Progress is told.
func (h *Heap) Populate(ctx context.Context) error {
	if h.sp.gate.holdsCaller() {
		return h.sp.nested()
	}
	if h.lazy == nil {
		return nil
	}
	return translate(h.lazy.Populate(ctx))
}

// Rollback makes the heap what s holds, in place: every Ref means what it meant then,
// and allocation goes on from there. It waits for the Updates and Views that run, and
// holds new ones off while what was written since is put back; what that takes is in
// Stats. s stays open, and may be rolled back to again. Newer snapshots are closed:
// they, and whatever is writing them, answer ErrClosed. Forks stay what they are.
//
// A heap that was restored lazily or forked is completed first (Populate). Errors:
// ErrNested, ErrForeign, ErrClosed, ErrOverrun; nothing has changed then.
func (h *Heap) Rollback(s *Snapshot) error {
	if h.sp.gate.holdsCaller() {
		return h.sp.nested()
	}
	if s.h != h {
		return ErrForeign
	}
	if err := h.Populate(context.Background()); err != nil {
		return fmt.Errorf("completing the heap before a rollback: %w", err)
	}
	var attached error
	var undo func()
	err := h.a.Rollback(s.s, func() (release func(), err error) {
		if _, err := h.sp.gate.close(gateNobody); err != nil {
			return nil, err
		}
		return func() {
			// Before anybody is let in. Of a heap this cannot fail; it would be
			// one that was written over before the snapshot.
			attached = h.sp.attach()
			undo = h.sp.profile.rollBack(s.tick)
			h.sp.gate.open()
		}, nil
	})
	switch {
	case err == nil:
		h.sp.profile.rolledBack(s.tick)
	case undo != nil:
		undo()
	}
	return errors.Join(err, attached)
}

// Close waits for the Updates and Views that run, closes the heap's snapshots (a
// WriteTo in flight ends with ErrClosed) and gives the memory back. It saves
// nothing. It is idempotent. Pointers that came from a Mem must not be used
// afterwards.
func (h *Heap) Close() error {
	if h.sp.gate.holdsCaller() {
		return h.sp.nested()
	}
	h.closing.Do(func() {
		if _, err := h.sp.gate.close(gateNobody); err != nil {
			h.closeErr = err
			return
		}
		h.sp.gate.shut()
		h.unprofile()
		if h.lazy != nil {
			h.lazy.Stop()
		}
		errs := []error{h.a.Close()}
		if h.lazy != nil {
			errs = append(errs, h.lazy.Close())
		}
		if h.dir != nil {
			errs = append(errs, h.dir.Close())
		}
		h.closeErr = errors.Join(errs...)
	})
	return h.closeErr
}

// holdsCaller reports whether the calling goroutine is inside.
func (g *gate) holdsCaller() bool {
	id := gid.Current()
	return g.inside(id, g.home(id))
}
