package arena

import (
	"bytes"
	"time"

	"github.com/cowheap/cowheap/internal/uffd"
)

// hot is what a shadow guard knows of pages that are written in every epoch, as those of what moves in a
// game. Protecting such a page costs a fault in the next frame, which is dearer than copying it. So pages that
// two snapshots in a row have found written are left open, that is unprotected. The next snapshot compares them
// with what the shadow has: those that differ stay open, those that nobody has written are protected again.
//
// Which pages stand in open is a hint, no promise: whatever is not protected is found by the scan and taken.
type hot struct {
	last  []uint32 // pages that the newest snapshot found written, in order; none if it did not find out
	again uint64   // of them, those that the one before found, too
	open  []uint32 // pages that were left open, in order
	rest  int      // snapshots to come that leave none open, since it did not pay
	rests int      // how many there were the last time, 0 after it did
	shut  bool     // the next snapshot protects all: too many that were open have come to rest
	runs  []hotRun // for the next snapshot
}

// hotRun is the pages [first, end), which a scan has found.
type hotRun struct {
	first, end uint32
	kind       hotKind
}

type hotKind uint8

const (
	isOpen  hotKind = iota // it was left open: written, perhaps
	isAgain                // written, as before the last snapshot
	isNew                  // written, and not then
)

const (
	// What leaving a page open spares, the fault of "async/random" in go run ./bench fault, and what a call costs that
	// protects one run of others. That one is near the other is what counts.
	hotFaultNs  = 700
	hotCallNs   = 850
	hotRest     = 16   // snapshots, at most
	hotNew      = 1024 // runs that one snapshot protects for it, in a millisecond with writers held
	hotClosings = 256  // runs protected again by one snapshot
)

// mayLeaveOpen: hot pages are neither unwelcome nor impossible.
func (g *shadow) mayLeaveOpen() bool {
	return adapting && g.high == 0 && g.a.opts.Arming != ArmAhead &&
		!g.a.opts.HugePages // protecting a part of one would split it
}

// mostHot is how many pages may be hot: they are copied with writers held.
func (g *shadow) mostHot() uint64 { return uint64(float64(wholeFor) / g.pageNs) }

// hotPays: so many pages are better left open, if so many runs are protected one at a time for it.
func hotPays(pages, runs uint64) bool { return pages*hotFaultNs >= runs*hotCallNs }

// hotPages is how many of the pages to be taken next are likely to be hot, 0 if none is to be left open.
func (g *shadow) hotPages() uint64 {
	most, found := g.mostHot(), uint64(len(g.last))
	switch {
	case g.mode != byProtecting || !g.mayLeaveOpen() || len(g.pending) > 0 || g.rest > 0:
		return 0
	case len(g.open) > 0 && uint64(len(g.open)) <= most:
		return uint64(len(g.open))
	case found <= most && hotPays(g.again, found-g.again):
		return g.again
	}
	return 0
}

// notice learns from the pages that a snapshot has found written; exact says that it knew.
func (g *shadow) notice(fresh []placed, exact bool) {
	g.rest = max(g.rest-1, 0)
	g.again = 0
	if !exact {
		g.last = g.last[:0]
		return
	}
	last := g.last
	for _, e := range fresh {
		for len(last) > 0 && last[0] < e.page {
			last = last[1:]
		}
		if len(last) > 0 && last[0] == e.page {
			g.again++
		}
	}
	g.last = g.last[:0]
	for _, e := range fresh {
		g.last = append(g.last, e.page)
	}
}

// steadily: most pages that were copied are hot and may be left open, and they are not so many of all that copying
// all is cheaper.
func (g *shadow) steadily(copied, pages uint64) bool {
	return g.again > 0 && g.again*8 >= copied*7 && copied*3 < 2*pages && g.mayLeaveOpen() && copied <= g.mostHot()
}

// takeAllButHot is takeWritten, but leaves hot pages open.
// Preconditions: writers are held, nothing is pending.
func (g *shadow) takeAllButHot() (pages uint64, err error) {
	g.lastScan = time.Now()
	if g.regions, err = g.scanRange(g.regions[:0], g.armed, 0); err != nil {
		g.lose(nil)
		return 0, err
	}
	g.scanning = time.Since(g.lastScan)
	found := g.sortRegions()
	fresh := g.newRuns()
	costly := fresh > hotNew || !hotPays(uint64(found[isOpen]+found[isAgain]), uint64(fresh))
	all := costly || g.shut
	if all {
		// What is found now has the say.
		g.shut = false
		if costly {
			g.rests = min(max(2*g.rests, 1), hotRest)
			g.rest = g.rests + 1 // this one is taken off, too
		}
		if g.regions, err = g.scanRange(g.regions[:0], g.armed, uffd.ScanProtect); err == nil {
			g.sortRegions()
		}
	} else {
		g.rests = 0
		err = g.closeRuns(g.runs, isNew)
	}
	if err != nil {
		g.lose(nil)
		return 0, err
	}
	taken, asked := g.lists.get(), g.lists.get()
	for _, r := range g.runs {
		if r.kind == isOpen {
			asked, err = g.claim(asked, r.first, r.end)
		} else {
			taken, err = g.claim(taken, r.first, r.end)
		}
		if err != nil {
			g.lose(taken)
			g.lose(asked)
			return 0, err
		}
	}
	from := time.Now()
	g.copyOut(taken, false, copyPages, copyOnEach)
	g.compareOpen(asked)
	learn(&g.pageNs, from, len(taken)+len(asked))
	closing := g.leaveOpen(asked, all)
	asked = g.dropSame(asked)
	pages = uint64(len(taken) + len(asked))
	g.pend(taken)
	g.pend(asked)
	n, err := g.closeUnchanged(closing)
	return pages + n, err
}

// compareOpen copies those of list that are not in cur as they are, and marks the others. A page that a rollback has
// made zeros has no slot there.
func (g *shadow) compareOpen(list []placed) {
	g.copyOut(list, true, copyPages, copyOnEach)
	for i, e := range list {
		if e.page&same == 0 && g.cur.slots[e.page] == 0 && bytes.Equal(g.slots.bytes(e.slot, 1), zeroPage[:pageSize]) {
			list[i].page |= same
		}
	}
}

// sortRegions makes runs what regions hold, and counts the pages of each kind.
func (g *shadow) sortRegions() (pages [isNew + 1]int) {
	g.runs = g.runs[:0]
	base := uint64(g.a.mem.Addr())
	open, last := g.open, g.last
	for _, r := range g.regions {
		for page, end := uint32((r.Start-base)/pageSize), uint32((r.End-base)/pageSize); page < end; page++ {
			for len(open) > 0 && open[0] < page {
				open = open[1:]
			}
			for len(last) > 0 && last[0] < page {
				last = last[1:]
			}
			kind := isNew
			switch {
			case len(open) > 0 && open[0] == page:
				kind = isOpen
			case len(last) > 0 && last[0] == page:
				kind = isAgain
			}
			pages[kind]++
			if n := len(g.runs); n > 0 && g.runs[n-1].kind == kind && g.runs[n-1].end == page {
				g.runs[n-1].end++
				continue
			}
			g.runs = append(g.runs, hotRun{page, page + 1, kind})
		}
	}
	return pages
}

// newRuns is how many of runs are to be protected.
func (g *shadow) newRuns() (n int) {
	for _, r := range g.runs {
		if r.kind == isNew {
			n++
		}
	}
	return n
}

// closeRuns protects the runs of a kind, and nothing beside them: what is written there meanwhile by one who
// is not held would be lost.
func (g *shadow) closeRuns(runs []hotRun, kind hotKind) error {
	for _, r := range runs {
		if r.kind != kind {
			continue
		}
		if err := g.protectRange(uint64(r.first)*pageSize, uint64(r.end-r.first)*pageSize, true); err != nil {
			return err
		}
	}
	return nil
}

// leaveOpen makes open the pages of runs that stay open, and returns the others that are not protected yet: of
// asked, the pages that were open, those that nobody has written. With none it is none.
func (g *shadow) leaveOpen(asked []placed, none bool) (closing []hotRun) {
	g.open = g.open[:0]
	if none {
		return nil
	}
	for _, r := range g.runs {
		for page := r.first; page < r.end && r.kind != isNew; page++ {
			if r.kind == isOpen {
				unchanged := asked[0].page&same != 0
				asked = asked[1:]
				if n := len(closing); unchanged && n > 0 && closing[n-1].end == page {
					closing[n-1].end++
					continue
				} else if unchanged && n < hotClosings {
					closing = append(closing, hotRun{page, page + 1, isOpen})
					continue
				}
				g.shut = g.shut || unchanged
			}
			g.open = append(g.open, page)
		}
	}
	return closing
}

// closeUnchanged protects runs, and takes what was written there nevertheless since it was compared.
func (g *shadow) closeUnchanged(runs []hotRun) (pages uint64, err error) {
	if len(runs) == 0 {
		return 0, nil
	}
	delay()
	list := g.lists.get()
	if err = g.closeRuns(runs, isOpen); err == nil {
		for _, r := range runs {
			if list, err = g.claim(list, r.first, r.end); err != nil {
				break
			}
		}
	}
	if err != nil {
		g.lose(list)
		return 0, err
	}
	g.compareOpen(list)
	list = g.dropSame(list)
	pages = uint64(len(list))
	g.pend(list)
	return pages, nil
}

// leaveBackOpen leaves open what a rollback has put back, if that is not much more than a frame writes: whoever goes
// back a few frames plays them again. It answers false where all is to be protected.
func (g *shadow) leaveBackOpen(back []placed) bool {
	g.open = g.open[:0]
	n := uint64(len(back))
	if g.mode != byProtecting || !g.mayLeaveOpen() || g.rest > 0 || g.armed == 0 || n > min(2*g.lastDirty, g.mostHot()) {
		return false
	}
	for _, e := range back {
		g.open = append(g.open, e.page)
	}
	return true
}
