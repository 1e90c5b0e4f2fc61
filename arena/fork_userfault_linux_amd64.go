package arena

import (
	"fmt"
	"slices"
	"sync"

	"github.com/cowheap/cowheap/internal/trap"
	"github.com/cowheap/cowheap/internal/uffd"
)

// Forks read the snapshots of a parent in their own resolvers, by plain loads: they
// cannot be told that one has been given up. So what they need is preserved beside the
// slots that Options.MaxPreserved allows, in a reserve that nobody else may take from:
// at most a slot for each page of their snapshots.

// forkSizes is how many times the arena's size may be kept for forks, in address space;
// what goes beyond is copied instead (ErrNotSupported).
const forkSizes = 4

// forks are the arenas whose missing pages come from this one's snapshots.
type forks struct {
	mu   sync.Mutex
	open []*trap.Handle
}

func (f *forks) add(h *trap.Handle) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.open = append(f.open, h)
}

// remove comes when h does not read any more.
func (f *forks) remove(h *trap.Handle) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.open = slices.DeleteFunc(f.open, func(o *trap.Handle) bool { return o == h })
}

// synchronize waits until no fork is in the middle of a walk that it began before.
func (f *forks) synchronize() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, h := range f.open {
		h.Synchronize()
	}
}

// pages is how many slots may be needed for those of the layers that forks read.
func (*forks) pages(layers []*layer) (n uint64) {
	for _, l := range layers {
		if l.isPinned() {
			n += l.tab.Pages() + slotSlack
		}
	}
	return n
}

// isPinned: a fork reads it, or is about to. Preconditions: Arena.mu is held.
func (l *layer) isPinned() bool { return l.pinning || l.pins.Load() > 0 }

// budget says to the resolver what forks need, and answers how many slots that may be
// from now on. What there is beyond what others may have is left to forks, too: it
// was made for one. Preconditions: Arena.mu is held.
func (g *userfault) budget() (need uint64) {
	var newest *trap.Table
	others := g.most
	for _, l := range *g.chain.Load() {
		if l.isPinned() && l.open {
			newest = l.tab
			have := min(l.tab.Preserved(), l.tab.Pages())
			need += l.tab.Pages() - have
			others += have
		}
	}
	limit := g.h.Stats().Limit
	g.h.SetPinned(newest, max(need, limit-min(limit, others)))
	return need
}

// pin is called with Arena.mu held.
func (l *layer) pin() error {
	l.pinning = true
	err := l.keep()
	if err == nil {
		l.pins.Add(1)
	}
	if l.pinning = false; err != nil {
		l.g.budget()
		return fmt.Errorf("keeping a snapshot for a fork: %w", err)
	}
	return nil
}

// keep sees to it that the resolver knows of the pin, that there is room for it, and
// that nothing was given up before. (Until then the snapshot is not pinned
// to those who read it: it may be lost already.)
func (l *layer) keep() error {
	g := l.g
	if err := l.intact(); err != nil {
		return err
	}
	need := g.forks.pages(*g.chain.Load())
	if need > forkSizes*g.a.mem.Size()/pageSize {
		return fmt.Errorf("forks read snapshots of %d pages: %w", need, ErrNotSupported)
	}
	if err := g.h.SetLimit(g.most + need); err != nil {
		return err
	}
	need = g.budget()
	// From here on others take nothing of what is needed. They may have before:
	// what an earlier fork had preserved, and an open snapshot still has.
	if s := g.h.Stats(); s.Used+need > s.Limit {
		if err := g.h.SetLimit(s.Used + need + slotSlack); err != nil {
			return err
		}
		g.budget()
		if s = g.h.Stats(); s.Used+need > s.Limit {
			return fmt.Errorf("forks need %d pages, and %d are in use: %w", need, s.Used, ErrNotSupported)
		}
	}
	// Only now: a resolver that did not see the pin has given up before this, and
	// it shows.
	if err := l.intact(); err != nil {
		return err
	}
	if g.h.Overrun() >= l.seq {
		return ErrOverrun // before it was pinned
	}
	return nil
}

func (l *layer) unpin() {
	l.pins.Add(-1)
	l.g.h.Ring() // the budget
}

// fork registers [0, high) for missing faults, as a mapping of its own.
func (g *userfault) fork(f frozen, high uint64) error {
	l, ok := f.(*layer)
	if !ok {
		return fmt.Errorf("guard userfault brings pages in from its like only: %w", ErrNotSupported)
	}
	if err := g.fd.Register(g.a.mem.Addr(), uintptr(high), uffd.ModeMissing|uffd.ModeWP); err != nil {
		return err
	}
	if err := g.h.AttachParent(l.g.h, l.tab, high/pageSize); err != nil {
		return err
	}
	g.lazyHigh, g.parent = high, l.g
	l.g.forks.add(g.h)
	return nil
}

// leaveParent says that no resolver looks at the parent any more.
func (g *userfault) leaveParent() {
	if g.parent != nil {
		g.parent.forks.remove(g.h)
		g.parent = nil
	}
}
