package arena

import (
	"errors"
	"runtime"

	"github.com/cowheap/cowheap/internal/uffd"
)

// rollsBack is nil if rollback may be called.
func (g *shadow) rollsBack() error {
	if g.refers {
		return errors.New("not all of the memory is in: complete the lazy restore, or the fork, first")
	}
	return nil
}

// rollback puts back what has been written since f: what a scan finds dirty, what is
// pending, and the pages in the deltas from f's on. Nothing else differs from f.
func (g *shadow) rollback(f frozen, high uint64) (pages uint64, err error) {
	defer g.publishFigures()
	l := f.(*shadowLayer)
	// Without protecting: what is dirty anyway is cheaper to write to.
	if g.regions, err = g.scanRange(g.regions[:0], g.armed, 0); err != nil {
		return 0, err
	}
	if err := g.cur.cover((max(high, g.armed) + pageSize - 1) / pageSize); err != nil {
		return 0, err
	}
	back := g.since(l, high)
	g.copyIn(back)
	g.forgetAll()
	if !g.leaveBackOpen(back) && g.armed > 0 {
		// What was put back is in slots, so it is not dirty.
		if g.regions, err = g.scanRange(g.regions[:0], g.armed, uffd.ScanProtect); err != nil {
			g.armed = 0 // then all is
		}
	}
	g.revert(l, back)
	g.seeList(back)
	pages = uint64(len(back))
	g.lists.put(back)
	return pages, nil
}

// since is what may have been written since l, as it was then.
func (g *shadow) since(l *shadowLayer, high uint64) []placed {
	back := g.lists.get()
	join := func(list []placed) {
		if len(back) == 0 {
			back = append(back, list...)
			return
		}
		all := unite(g.lists.get(), back, list)
		g.lists.put(back)
		back = all
	}
	for c := l; c != nil; c = c.newer {
		// The lists of one delta have no page in common.
		for _, list := range c.delta.lists {
			join(list)
		}
	}
	// The rest is as it stands in cur.
	now := g.lists.get()
	for _, list := range g.pending {
		now = now[:0]
		for _, e := range list {
			now = append(now, placed{e.page, g.cur.slots[e.page]})
		}
		join(now)
	}
	now = now[:0]
	base := uint64(g.a.mem.Addr())
	add := func(from, end uint64) {
		for page := uint32(from / pageSize); page < uint32((end+pageSize-1)/pageSize); page++ {
			now = append(now, placed{page, g.cur.slots[page]})
		}
	}
	for _, r := range g.regions {
		add(r.Start-base, r.End-base)
	}
	if high > g.armed {
		add(g.armed, high)
	}
	join(now)
	g.lists.put(now)
	return back
}

// copyIn copies slots to the live pages.
func (g *shadow) copyIn(list []placed) {
	_ = parallel(uint64(len(list)), copyPages, copyOnEach, runtime.GOMAXPROCS(0), func(at, n uint64) error {
		part := list[at : at+n]
		for len(part) > 0 {
			n := 1
			if part[0].slot != 0 {
				n = run(part)
			}
			live := g.a.mem.Bytes(uint64(part[0].page)*pageSize, uint64(n)*pageSize)
			if part[0].slot == 0 {
				clear(live)
			} else {
				copy(live, g.slots.bytes(part[0].slot, uint32(n)))
			}
			part = part[n:]
		}
		return nil
	})
}

// revert makes back what cur says.
func (g *shadow) revert(l *shadowLayer, back []placed) {
	g.readers.Lock()
	defer g.readers.Unlock()
	if l == g.newest {
		// What its delta holds goes back to where it came from. (It may be there
		// already, after a rollback below a fork.)
		for _, list := range l.delta.lists {
			for _, e := range list {
				g.slots.give(g.cur.slots[e.page])
				g.setCur(e.page, e.slot)
			}
		}
		l.delta.reset(&g.lists)
		return
	}
	// Forks hold newer ones: to them it looks like a snapshot that found these pages
	// written. l and cur share slots from now on.
	old := g.lists.get()
	for _, e := range back {
		if was := g.cur.slots[e.page]; was != e.slot {
			g.slots.share(e.slot)
			g.setCur(e.page, e.slot)
			old = append(old, placed{e.page, was})
		}
	}
	g.newest.delta.add(old, &g.lists, g.drop)
}

// forgetAll gives up what is pending.
func (g *shadow) forgetAll() {
	for _, list := range g.pending {
		for _, e := range list {
			g.unclaim(e)
		}
		g.lists.put(list)
	}
	g.pending = g.pending[:0]
}
