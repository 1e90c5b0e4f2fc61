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
		if l.pins.Load() > 0 {
			n += l.tab.Pages() + slotSlack
		}
	}
	return n
}

// budget says to the resolver what forks need. Preconditions: Arena.mu is held.
func (g *userfault) budget() {
	var newest *trap.Table
	reserve := uint64(0)
	for _, l := range *g.chain.Load() {
		if l.pins.Load() > 0 && l.open {
			newest = l.tab
			reserve += l.tab.Pages() - min(l.tab.Preserved(), l.tab.Pages())
		}
	}
	g.h.SetPinned(newest, reserve)
}

// pin is called with Arena.mu held.
func (l *layer) pin() error {
	g := l.g
	// First: a resolver that is about to give up either does so before, and it shows, or
	// sees the pin.
	l.pins.Add(1)
	need := g.forks.pages(*g.chain.Load())
	err := l.intact()
	switch {
	case err != nil:
	case g.h.Overrun() >= l.seq:
		err = ErrOverrun // before it was pinned
	case need > forkSizes*g.a.mem.Size()/pageSize:
		err = fmt.Errorf("forks read snapshots of %d pages: %w", need, ErrNotSupported)
	default:
		if err = g.h.SetLimit(g.base + need); err == nil {
			g.budget()
		}
	}
	if err != nil {
		l.unpin()
		return fmt.Errorf("keeping a snapshot for a fork: %w", err)
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
