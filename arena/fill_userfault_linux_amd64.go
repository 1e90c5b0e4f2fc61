package arena

import (
	"errors"
	"fmt"

	"github.com/cowheap/cowheap/internal/trap"
	"github.com/cowheap/cowheap/internal/uffd"
)

func (g *userfault) prepareRead(off, n uint64) error {
	return g.bringIn(off/pageSize, (off+n+pageSize-1)/pageSize-off/pageSize)
}

func (g *userfault) prepareWrite(off, n uint64) error { return g.prepare(off, n, false) }

func (g *userfault) pin(off, n uint64) (unpin func(), err error) {
	// First: whoever protects after this leaves the range out. Whoever did before
	// has done so when it is lifted.
	unpin = g.pins.pin(off, n)
	if err := g.prepare(off, n, true); err != nil {
		unpin()
		return nil, err
	}
	return unpin, nil
}

func (g *userfault) prepare(off, n uint64, sure bool) error {
	if g.where.Load() == away {
		return nil // nothing is protected but what the kernel lifts by itself
	}
	err := g.h.Prepare(off/pageSize, (off+n+pageSize-1)/pageSize-off/pageSize, sure)
	if err != nil && g.where.Load() != home {
		g.prepareChanging(off, n, sure)
		return nil
	}
	return corrupt(err)
}

// bringIn brings the missing ones of n pages in, with an error where touching
// them would crash.
func (g *userfault) bringIn(first, n uint64) error { return corrupt(g.h.BringIn(first, n)) }

// fill copies in unprotected: nobody has a snapshot of an arena that is being restored.
func (g *userfault) fill(off uint64, src []byte) error {
	done, err := copyMissing(g.fd, g.a.mem, off, src, 0)
	if err == nil && done < uint64(len(src)) {
		return fmt.Errorf("filling at %d: the page is filled already", off+done)
	}
	return err
}

// lazy registers [0, high) for missing faults, as a mapping of its own.
func (g *userfault) lazy(high uint64, im MissingPages) error {
	if err := g.fd.Register(g.a.mem.Addr(), uintptr(high), uffd.ModeMissing|uffd.ModeWP); err != nil {
		return err
	}
	g.lazyHigh, g.owner = high, im.Owner
	return g.h.AttachImage(trap.ImageConfig{
		FD: int(im.FD), Path: im.Path, Pages: high / pageSize, Index: im.Index, ID: im.ID,
	})
}

// bring is called with Arena.mu held, so that no protection goes up meanwhile.
// Where nobody wants to know of the first write they may come in unprotected.
func (g *userfault) bring(off uint64, src []byte) error {
	mode := uffd.CopyWP
	if g.armed == 0 && len(*g.chain.Load()) == 0 {
		mode = 0
	}
	return bringMissing(g.h, g.fd, g.a.mem, off, src, mode)
}

// complete takes the missing faults away. Unregistering drops every protection,
// so it is done with no snapshot open, and writers held. Readers may go on: what
// is still missing is zero, and the kernel fills zeros in.
func (g *userfault) complete(hold hold) error {
	if _, of := g.h.Present(); of == 0 || g.h.Detached() {
		return nil
	}
	// From here on what is missing is zero without a look at the file, or the parent.
	g.h.ForgetFile()
	g.leaveParent()
	if len(*g.chain.Load()) > 0 {
		g.incomplete.Store(true) // until the last one is closed
		return nil
	}
	g.incomplete.Store(false)
	release, err := hold()
	if err != nil {
		return err
	}
	defer release()
	if g.armed > 0 {
		g.disarm() // the next snapshot begins from the beginning
	}
	n := uintptr(g.lazyHigh)
	if err := g.fd.Unregister(g.a.mem.Addr(), n); err != nil {
		return fmt.Errorf("ending the lazy restore: %w", err)
	}
	g.populated = 0 // what was not brought in has never been touched
	// Only now: a missing fault that finds no image would be hopeless.
	g.h.DetachImage()
	g.h.Drain()
	if err := g.fd.Register(g.a.mem.Addr(), n, uffd.ModeWP); err != nil {
		// Snapshots are impossible from here on; freeze will say why.
		g.broken = fmt.Errorf("registering the arena again after the lazy restore: %w", err)
		return g.broken
	}
	return nil
}

func (g *userfault) stats(s *Stats) {
	t := g.h.Stats()
	s.PreservedPages = int64(t.Used)
	s.PreservedBytes = s.PreservedPages * pageSize
	s.MaxPreserved = int64(t.Limit) * pageSize
	s.Faults, s.Idle = int64(t.Faults), int64(t.Idle)
	s.Touched = int64(t.Touched)
	s.Neighbours, s.Prepared = int64(t.Neighbours), int64(t.Prepared)
	s.Missing = int64(t.Missing)
	s.Ahead = int64(g.copied.Load())
	s.LiftCost, s.CopyCost = g.clock.duration(t.LiftTicks), g.clock.duration(t.CopyTicks)
	s.FaultTime = g.clock.duration(t.Spent)
	s.Dirty = int64(g.h.Logged())
	s.Overruns = int64(g.overruns.Load())
	in, of := g.h.Present()
	s.RestoredPages, s.RestorePages = int64(in), int64(of)
}

func (g *userfault) quiesce() {
	g.h.Silence()
	g.keeper.Wait()
}

// close is called with all snapshots closed.
func (g *userfault) close() error {
	if g.parent != nil {
		g.h.ForgetFile()
		g.leaveParent()
	}
	// The handler first: after it nobody uses the descriptor.
	return errors.Join(g.h.Close(), g.closeNoting(), g.fd.Close())
}

func (g *userfault) arrived(first uint64, dst []uint64) uint64 { return g.h.CopyPresent(first, dst) }
