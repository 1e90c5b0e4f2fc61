package arena

import (
	"fmt"
	"math/bits"
	"runtime"
	"slices"
)

// Rolling back: to readers of other snapshots it looks like any other writing. A page
// has its entry before it is written over, entries and slots stay where they are, and
// what was lifted is in the log. So nothing is protected here: pages that were
// put back have entries in the newest table, as after a first write, and the next
// snapshot protects them with the rest of the log.

// putBackOnEach is work for which it pays to use one more processor, in runs of pages.
const putBackOnEach = 256

// intact is nil, or why l's content is not whole.
func (l *layer) intact() error {
	l.g.h.Drain() // who is about to give it up has done so
	switch {
	case l.lost():
		return ErrOverrun
	case l.released:
		return fmt.Errorf("parts of the snapshot were released: %w", ErrOverrun)
	}
	return nil
}

func (g *userfault) rollsBack() error { return nil }

func (g *userfault) rollback(f frozen, high uint64) (pages uint64, err error) {
	l := f.(*layer)
	chain := *g.chain.Load()
	i := slices.Index(chain, l)
	above := chain[i+1:]
	var runs []pageRun
	switch {
	case len(above) == 0 && g.logged == l:
		runs = g.written(l)
	case slices.ContainsFunc(above, (*layer).wanted):
		runs = g.preservedSince(chain[i:])
	default:
		if err := g.uncover(l); err != nil {
			return 0, err
		}
		runs, above = g.preservedSince([]*layer{l}), nil
	}
	if g.h.Chunk() != 0 {
		if err := g.putBackChunks(l, runs); err != nil {
			return 0, err
		}
	} else {
		g.liftAll(runs)
		_ = parallel(uint64(len(runs)), 64, putBackOnEach, runtime.GOMAXPROCS(0), func(off, n uint64) error {
			for _, r := range runs[off : off+n] {
				for page := r.first; page < r.first+r.n; page++ {
					l.copyBack(page)
				}
			}
			return nil
		})
	}
	for _, r := range runs {
		pages += r.n
	}
	if high > l.total {
		g.empty(l.total, high, len(above) == 0)
		pages += (high - l.total) / pageSize
	}
	if len(above) == 0 && g.logged != nil {
		g.logged = l
	}
	return pages, nil
}

// written gives the pages that l has and that are in the log: those that
// were written since l's instant, or since it was last rolled back to.
func (g *userfault) written(l *layer) (runs []pageRun) {
	for page, n := range g.h.EachLogged() {
		for ; n > 0; page, n = page+1, n-1 {
			if _, ok := l.tab.Slot(page); ok {
				runs = appendPage(runs, page)
			}
		}
	}
	return runs
}

// preservedSince gives the pages that one of the layers has, in ascending order.
func (g *userfault) preservedSince(layers []*layer) (runs []pageRun) {
	most := uint64(0)
	for _, l := range layers {
		most = max(most, l.tab.Pages())
	}
	set := make([]uint64, (most+63)/64)
	for _, l := range layers {
		for page := range g.h.Entries(l.tab) {
			set[page/64] |= 1 << (page % 64)
		}
	}
	for i, word := range set {
		for ; word != 0; word &= word - 1 {
			if page := uint64(i*64 + bits.TrailingZeros64(word)); page < layers[0].tab.Pages() {
				runs = appendPage(runs, page)
			}
		}
	}
	return runs
}

// changed: what was written first between l and newer is in the layers from l's on.
func (l *layer) changed(newer frozen) ([]pageRun, bool) {
	chain := *l.g.chain.Load()
	n, ok := newer.(*layer)
	i, j := slices.Index(chain, l), slices.Index(chain, n)
	if !ok || i < 0 || j < i {
		return nil, false
	}
	return l.g.preservedSince(chain[i:j]), true
}

// written: who has written to a page since l's instant has put it into a layer from
// l's on before; what is lifted from now on is in the log, until Arena.mu is free again.
func (l *layer) written() []pageRun {
	chain := *l.g.chain.Load()
	return l.g.preservedSince(chain[slices.Index(chain, l):])
}

// uncover makes l the newest layer: those above it, whose snapshots are closed, are
// merged into it. Preconditions: no resolver is inside, and nobody writes.
func (g *userfault) uncover(l *layer) error {
	chain := *g.chain.Load()
	i := slices.Index(chain, l)
	keep, gone := slices.Clone(chain[:i+1]), chain[i+1:]
	for _, up := range gone {
		up.pages, up.faults = up.tab.Preserved(), up.tab.Faults()
		g.h.Merge(l.tab, up.tab)
	}
	g.publish(l.tab)
	g.h.Drain()
	return g.drop(keep, gone)
}

// liftAll makes the pages of runs writable, by one goroutine: as long as another
// processor runs this program each lift interrupts it, which takes ten times as long
// as the lift.
func (g *userfault) liftAll(runs []pageRun) {
	for _, r := range runs {
		if !g.h.IsLogged(r.first, r.n) {
			// What is not lifted because of an error is lifted by the fault that follows.
			_ = g.h.Prepare(r.first, r.n, true)
		}
	}
}

// copyBack makes page what it was as of l.
func (l *layer) copyBack(page uint64) {
	if content, ok := l.slot(page); ok {
		copy(l.g.a.mem.Bytes(page*pageSize, pageSize), content)
	}
}

// emptyByHand is how much is zeroed rather than given back to the system: who goes back and
// forth should not have it brought in again each time.
const emptyByHand = 16 << 20

// empty makes [from, end) zero. discard: no snapshot needs what is there.
func (g *userfault) empty(from, end uint64, discard bool) {
	byHand := end
	if border := g.wholeBlocks(from); discard && end > border && end-border > emptyByHand && !g.missing() {
		// From there on nothing is known of protection any more, and nothing is populated.
		if g.a.mem.Discard(border, end-border) == nil {
			byHand, g.armed, g.populated = border, min(g.armed, border), min(g.populated, border)
		}
	}
	for off := from; off < byHand; {
		stop := min((off+blockSize)&^(blockSize-1), byHand)
		_ = g.h.Prepare(off/pageSize, (stop-off)/pageSize, true)
		clear(g.a.mem.Bytes(off, stop-off))
		off = stop
	}
}

// missing: faults on missing pages are still registered somewhere.
func (g *userfault) missing() bool {
	_, of := g.h.Present()
	return of > 0 && !g.h.Detached()
}
