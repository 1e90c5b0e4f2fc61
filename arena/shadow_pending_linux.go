package arena

import (
	"bytes"
	"runtime"
	"slices"
	"time"
)

const (
	copyPages  = 32 // copied at once by one processor
	copyOnEach = 64 // pages for which it pays to use one more
	// The same for pages that follow each other.
	copyRange       = 256
	copyRangeOnEach = 1024
)

// claim appends the pages [first, end) to list, with a slot for each. With no snapshot open the slot that a
// page has in cur is as good as a new one, because nobody reads it.
func (g *shadow) claim(list []placed, first, end uint32) ([]placed, error) {
	if err := g.cur.cover(uint64(end)); err != nil {
		return list, err
	}
	for page := first; page < end; {
		if slot := g.cur.slots[page]; isSlot(slot) && g.newest == nil {
			list = append(list, placed{page, slot})
			page++
			continue
		}
		stop := end
		if g.newest == nil {
			for stop = page + 1; stop < end && !isSlot(g.cur.slots[stop]); stop++ {
			}
		}
		for page < stop {
			slot, n, err := g.slots.take(stop - page)
			if err != nil {
				return list, err
			}
			g.waiting += uint64(n)
			for i := range n {
				list = append(list, placed{page + i, slot + i})
			}
			page += n
		}
	}
	return list, nil
}

// unclaim gives the slot of e back, unless it is the one in cur.
func (g *shadow) unclaim(e placed) {
	if g.cur.slots[e.page] != e.slot {
		g.waiting--
		g.slots.give(e.slot)
	}
}

// same marks a page that is in cur as it is.
const same = 1 << 31

// copyOut copies the live pages to their slots, pieces of so many at once, on one more processor for so
// many. With compare those that are in cur
// as they are, are marked instead: reading both costs no more than a
// copy does.
func (g *shadow) copyOut(list []placed, compare bool, piece, onEach uint64) {
	_ = parallel(uint64(len(list)), piece, onEach, runtime.GOMAXPROCS(0), func(at, n uint64) error {
		part := list[at : at+n]
		for len(part) > 0 {
			n := run(part)
			page, slot := part[0].page, part[0].slot
			live := g.a.mem.Bytes(uint64(page)*pageSize, uint64(n)*pageSize)
			if !compare {
				copy(g.slots.bytes(slot, uint32(n)), live)
				part = part[n:]
				continue
			}
			for i := range n {
				now := live[i*pageSize : (i+1)*pageSize]
				was := g.cur.slots[page+uint32(i)]
				if isSlot(was) && bytes.Equal(now, g.slots.bytes(was, 1)) {
					part[i].page |= same
					continue
				}
				copy(g.slots.bytes(slot+uint32(i), 1), now)
			}
			part = part[n:]
		}
		return nil
	})
}

// run is how many entries at the beginning of list follow each other, pages and slots.
func run(list []placed) int {
	n := 1
	for n < len(list) && list[n].page == list[0].page+uint32(n) && list[n].slot == list[0].slot+uint32(n) {
		n++
	}
	return n
}

// dropSame takes the marked entries off.
func (g *shadow) dropSame(list []placed) []placed {
	keep := list[:0]
	for _, e := range list {
		if e.page&same != 0 {
			g.unclaim(placed{e.page &^ same, e.slot})
			continue
		}
		keep = append(keep, e)
	}
	return keep
}

// pend adds list to pending.
func (g *shadow) pend(list []placed) {
	if len(list) == 0 {
		g.lists.put(list)
		return
	}
	g.seeList(list)
	g.pending = append(g.pending, list)
}

// forget takes the pages [first, end) off the lists in pending: they are copied anew.
func (g *shadow) forget(first, end uint32) {
	for i, list := range g.pending {
		tail := from(list, first)
		head := len(list) - len(tail)
		n := len(tail) - len(from(tail, end))
		for _, e := range tail[:n] {
			g.unclaim(e)
		}
		g.pending[i] = slices.Delete(list, head, head+n)
	}
}

// lose gives up list, whose pages may not have been copied: from now on all are dirty.
func (g *shadow) lose(list []placed) {
	for _, e := range list {
		g.unclaim(e)
	}
	g.lists.put(list)
	g.armed, g.open = 0, g.open[:0]
}

// settlePending is what is pending as one list: a page as it was copied last.
func (g *shadow) settlePending() (all []placed) {
	for i := len(g.pending) - 1; i >= 0; i-- {
		list := g.pending[i]
		if all == nil {
			all = list
			continue
		}
		list = without(list, all, g.unclaim)
		merged := unite(g.lists.get(), all, list)
		g.lists.put(all)
		g.lists.put(list)
		all = merged
	}
	g.pending = g.pending[:0]
	return all
}

// learn makes ns what copying a page cost among so many since from, for the most part.
// Less than memory can do it is not, and one that was interrupted should not count for much.
func learn(ns *float64, from time.Time, pages int) {
	if pages >= copyPages {
		now := float64(time.Since(from)) / float64(pages)
		*ns = (*ns + min(max(now, 100), 2**ns)) / 2
	}
}
