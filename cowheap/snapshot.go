package cowheap

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/google/uuid"

	"github.com/cowheap/cowheap/arena"
	"github.com/cowheap/cowheap/checkpoint"
	"github.com/cowheap/cowheap/restore"
)

// Snapshot is a heap's content at one instant. It costs what is written after
// it, and nothing that is read. Close it: it belongs to its caller. All methods
// may be called by any goroutine at any time.
type Snapshot struct {
	h    *Heap
	s    *arena.Snapshot
	tick uint64    // in the profile's time
	id   uuid.UUID // of the checkpoints made of it; uuid.Nil without a directory
}

// Snapshot freezes the heap as it is at an instant during the call: it waits
// for the Updates that run, holds new ones off for the pause, and returns.
// Several snapshots may be open. Errors: ErrNested, ErrClosed, ErrConcurrentWrite
// when somebody wrote to the heap's memory outside Update, ErrOverrun when the
// copy guard has no room for a copy within MaxPreserved, and what the system
// answers when it refuses memory.
func (h *Heap) Snapshot() (*Snapshot, error) {
	if h.sp.gate.holdsCaller() {
		return nil, h.sp.nested()
	}
	var s *arena.Snapshot
	tick, err := h.sp.profile.snapshot(func() (err error) {
		s, err = h.a.Snapshot()
		return err
	})
	if err != nil {
		return nil, err
	}
	snap := &Snapshot{h: h, s: s, tick: tick}
	if h.dir != nil {
		// An ID of now, so that checkpoints sort as their snapshots were taken.
		if snap.id, err = h.dir.NewID(); err != nil {
			_ = s.Close()
			return nil, fmt.Errorf("making an ID: %w", err)
		}
	}
	return snap, nil
}

// Size is the number of bytes frozen.
func (s *Snapshot) Size() int64 { return s.s.Size() }

// ReadAt reads the heap's bytes as of the instant, by the rules of io.ReaderAt.
// Errors: ErrClosed, ErrOverrun.
func (s *Snapshot) ReadAt(p []byte, off int64) (int, error) { return s.s.ReadAt(p, off) }

// SnapshotStats says what a snapshot has cost so far.
type SnapshotStats = arena.SnapshotStats

// Stats may be called after Close, too.
func (s *Snapshot) Stats() SnapshotStats { return s.s.Stats() }

// Close gives the preserved pages back, or leaves that to whoever is just at work on the heap's
// snapshots. It is idempotent, ends a WriteTo, Save or ReadAt that runs with ErrClosed, and may
// be called inside Update.
func (s *Snapshot) Close() error {
	s.h.sp.profile.closed(s.tick)
	return s.s.Close()
}

// Fork makes a second heap in memory that starts as the snapshot and goes its own
// way: it is written, frozen, forked and closed like any other, and so are the
// parent and its snapshots, in any order. nil means the parent's options. It has no
// directory.
//
// Where the guards can (userfault, and shadow on amd64), its pages come in as they are touched, each a copy: opening
// it costs next to nothing, a scan all over it as much as a full copy. To read
// without that there are Ref.Load and ReadAt of the snapshot. Populate brings
// in what is missing in bulk; until then the parent's memory stays, also after its Close, and what of it
// is written is preserved for the fork, beyond MaxPreserved if need be. With other
// guards, or guards that differ, everything is copied before Fork returns.
//
// A parent that is a fork or a lazy restore itself is completed first. Errors:
// ErrNested inside the parent's Update or View, ErrClosed, ErrOverrun, and those of New.
func (s *Snapshot) Fork(opts *Options) (*Heap, error) {
	if s.h.sp.gate.holdsCaller() {
		return nil, s.h.sp.nested()
	}
	o := s.h.opts
	if opts != nil {
		var err error
		if o, err = orDefault(opts); err != nil {
			return nil, err
		}
	}
	if err := s.h.Populate(context.Background()); err != nil {
		return nil, fmt.Errorf("completing the parent of a fork: %w", err)
	}
	h := newHeap(o)
	a, lazy, err := restore.Fork(context.Background(), s.s, o.restore(h.hold))
	if err != nil {
		return nil, err
	}
	if err := h.adopt(a, (*space).attach); err != nil {
		return nil, errors.Join(err, a.Close())
	}
	h.sp.profile.inherit(&s.h.sp.profile, s.tick)
	h.lazy = lazy
	return h, nil
}

// WriteTo writes a full checkpoint of the snapshot to w, from front to back,
// and returns the number of bytes written. Restore reads it, and so does Open as
// a file of its directory. Close from another goroutine cancels it, but does not
// interrupt a Write of w that blocks: close that too. Errors: ErrClosed,
// ErrOverrun, and w's.
func (s *Snapshot) WriteTo(w io.Writer) (int64, error) {
	roots, err := readRoots(s.s, s.h.super)
	if err != nil {
		return 0, err
	}
	stream := s.s.Stream(context.Background())
	defer stream.Stop()
	c := &counter{w: w}
	_, err = checkpoint.Write(context.Background(), c, readOnly{stream}, s.writeOptions(roots))
	return c.n, translate(err)
}

// writeOptions are those of a full checkpoint.
func (s *Snapshot) writeOptions(roots []checkpoint.Root) checkpoint.WriteOptions {
	return checkpoint.WriteOptions{
		ID: s.id, Roots: roots, Compression: s.h.opts.Compression, Progress: s.h.opts.Progress,
	}
}

type counter struct {
	w io.Writer
	n int64
}

func (c *counter) Write(p []byte) (int, error) {
	n, err := c.w.Write(p)
	c.n += int64(n)
	return n, err
}

// Save writes a checkpoint of the snapshot into the heap's directory, and
// returns when it survives a crash of the machine. Where it is known what was written
// since the last one (Options.Track, and guard shadow) it is incremental to that: it holds
// only these pages, see Info.Pages, Options.MaxChain. One of a snapshot that is older than
// the last one saved is full. The oldest checkpoints are
// then removed, until Options.Keep are left, and what these are incremental to; one that was
// just saved of an older snapshot stays until the next Save. On an error the directory is as it
// was. Saves run one after the other. ErrNoDir without a directory.
func (s *Snapshot) Save(ctx context.Context) (checkpoint.Info, error) {
	return s.save(ctx, false)
}

// save saves the snapshot, with release for the last time that it is read.
func (s *Snapshot) save(ctx context.Context, release bool) (checkpoint.Info, error) {
	if s.h.dir == nil {
		return checkpoint.Info{}, ErrNoDir
	}
	roots, err := readRoots(s.s, s.h.super)
	if err != nil {
		return checkpoint.Info{}, err
	}
	info, err := s.saveInLine(ctx, release, s.writeOptions(roots))
	if err == nil {
		// What was learned of a checkpoint that is gone now. A leftover does no harm but take room.
		_ = restore.TidyTouched(s.h.dir.Path())
	}
	return info, translate(err)
}

// readOnly hides that a snapshot can be told what is not needed any more: its
// caller may want to read it again.
type readOnly struct{ checkpoint.Source }
