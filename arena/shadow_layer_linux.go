package arena

import (
	"math"
	"sync/atomic"
	"time"
)

// shadowLayer is one snapshot of a shadow guard.
type shadowLayer struct {
	g      *shadow
	size   uint64 // bytes
	copied uint64 // pages, when it was taken
	pins   atomic.Int64
	void   atomic.Bool // given up: it is no layer any more

	// Under shadow.readers.
	older, newer *shadowLayer
	delta        delta // the pages that snapshots after it have found written, as they were before
}

// readPages is how many pages are looked up at once.
const readPages = 256<<10/pageSize + 1

// What is no slot; nor is 0, a page of zeros.
const (
	unknown   = math.MaxUint32
	elsewhere = unknown - 1 // the page is what it was when a lazy restore or a fork began
)

func isSlot(slot uint32) bool { return slot != 0 && slot != elsewhere }

func (l *shadowLayer) readAt(p []byte, off uint64) error {
	for len(p) > 0 {
		n := min(uint64(len(p)), (off/pageSize+readPages)*pageSize-off)
		if err := l.readPiece(p[:n], off); err != nil {
			return err
		}
		p, off = p[n:], off+n
	}
	return nil
}

// readPiece reads what touches at most readPages pages.
func (l *shadowLayer) readPiece(p []byte, off uint64) error {
	g := l.g
	first, end := uint32(off/pageSize), uint32((off+uint64(len(p))+pageSize-1)/pageSize)
	var found [readPages]uint32
	slots := found[:end-first]
	g.readers.RLock()
	defer g.readers.RUnlock()
	if l.void.Load() {
		return ErrOverrun
	}
	l.lookUp(slots, first)
	for i := 0; i < len(slots); {
		n, step := 1, uint32(0)
		if isSlot(slots[i]) {
			step = 1
		}
		for i+n < len(slots) && slots[i+n] == slots[i]+uint32(n)*step {
			n++
		}
		at := uint64(first)*pageSize + uint64(i)*pageSize
		from, to := max(at, off), min(at+uint64(n)*pageSize, off+uint64(len(p)))
		switch slots[i] {
		case 0:
			clear(p[from-off : to-off])
		case elsewhere:
			if err := g.missing.readAt(p[from-off:to-off], from); err != nil {
				return err
			}
		default:
			copy(p[from-off:to-off], g.slots.bytes(slots[i], uint32(n))[from-at:])
		}
		delay()
		i += n
	}
	return nil
}

// lookUp fills in the slots of the pages from first on, as of l.
// Preconditions: readers is locked, for reading at least.
func (l *shadowLayer) lookUp(slots []uint32, first uint32) {
	for i := range slots {
		slots[i] = unknown
	}
	for c := l; c != nil; c = c.newer {
		for _, list := range c.delta.lists {
			for _, e := range from(list, first) {
				i := e.page - first
				if i >= uint32(len(slots)) {
					break
				}
				if slots[i] == unknown {
					slots[i] = e.slot
				}
			}
		}
	}
	for i := range slots {
		if slots[i] == unknown {
			slots[i] = l.g.cur.slots[first+uint32(i)]
		}
	}
}

// index fills in the slots of all pages as of l, in the time of a copy of cur.
// Preconditions: as lookUp.
func (l *shadowLayer) index(slots []uint32) {
	g := l.g
	copy(slots, g.cur.slots[:min(uint64(len(slots)), g.cur.committed/4)])
	for c := g.newest; ; c = c.older { // an older one has the say
		for _, list := range c.delta.lists {
			for _, e := range list {
				if e.page < uint32(len(slots)) {
					slots[e.page] = e.slot
				}
			}
		}
		if c == l {
			return
		}
	}
}

// leave takes the layer out of the chain, and hands down what it held.
// Preconditions: Arena.mu is held.
func (l *shadowLayer) leave() {
	g := l.g
	g.readers.Lock()
	defer g.readers.Unlock()
	for _, list := range l.delta.lists {
		if l.older != nil {
			l.older.delta.add(list, &g.lists, g.drop)
		} else {
			g.discard(list)
		}
	}
	l.delta.lists = nil
	if l.older != nil {
		l.older.newer = l.newer
	}
	if l.newer != nil {
		l.newer.older = l.older
	} else {
		g.newest = l.older
	}
	l.older, l.newer = nil, nil
}

// makeRoom gives up the oldest snapshots that no fork needs until what fresh replaces
// has room beside the history of the others. It is called after the pages were
// copied, not before, because only then is it known how many there are: the memory
// of one snapshot comes on top of MaxPreserved for a moment.
func (g *shadow) makeRoom(fresh []placed, size uint64) {
	limit := uint64(g.a.opts.MaxPreserved) / pageSize
	if limit == 0 {
		limit = max(size/pageSize, leastHistory)
	}
	g.figures.limit.Store(limit * pageSize)
	more := uint64(0)
	for _, e := range fresh {
		if was := g.cur.slots[e.page]; isSlot(was) && was != e.slot {
			more++
		}
	}
	for g.newest != nil && g.history()+more > limit {
		oldest := g.newest
		for c := g.newest; c != nil; c = c.older {
			if oldest.pins.Load() > 0 || c.pins.Load() == 0 {
				oldest = c
			}
		}
		if oldest.pins.Load() > 0 {
			return
		}
		oldest.void.Store(true)
		oldest.leave()
		g.figures.overruns.Add(1)
	}
}

// leastHistory is the least room for the history without MaxPreserved, in pages: a ring of snapshots of
// small state would be more than is in use.
const leastHistory = 64 << 20 / pageSize

func (l *shadowLayer) intact() error {
	if l.void.Load() {
		return ErrOverrun
	}
	return nil
}

func (l *shadowLayer) pin() error {
	if err := l.intact(); err != nil {
		return err
	}
	l.pins.Add(1)
	return nil
}

func (l *shadowLayer) unpin() { l.pins.Add(-1) }

// plan never has anything copied: it was when the snapshot was taken.
func (l *shadowLayer) plan() plan { return plan{again: -1} }

func (l *shadowLayer) ahead(bool, time.Duration) (all bool) { return true }

func (l *shadowLayer) release(off, n uint64) {}

func (l *shadowLayer) cost() cost { return cost{pages: l.copied} }

func (l *shadowLayer) close() error {
	if l.void.Load() {
		return nil
	}
	l.leave()
	l.g.publishFigures()
	if l.g.mayEndIncoming() {
		l.g.timer.Reset(0) // not here: a writer may be closing it
	} else {
		l.g.timer.Reset(shadowCool)
	}
	return nil
}
