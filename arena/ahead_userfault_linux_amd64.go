package arena

import (
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

// Preserving ahead: while a snapshot is being streamed, its pages are copied
// into slots before anybody writes to them, at the speed of memory.
//
// It does not pay where writes are rare: a page that is streamed before it is
// written costs nothing at all. It pays where writers lose their time in faults
// anyway, because a fault costs as much as copying twenty pages, and lifting
// two megabytes as much as lifting one page. And then faults take blocks along,
// since all of it will be copied.
//
// Which of the two it is, is found out by what writers lose: more than half of a
// processor, or, as the ski renter does it, a good part of one until it comes to
// what copying everything costs.

const (
	// aheadRound is copied with arming locked out.
	aheadRound = 16 << 20
	// aheadBlocks is how many pages a fault takes meanwhile.
	aheadBlocks = 64
	// aheadOnEach is work for which it pays to use one more processor.
	aheadOnEach = 8 << 20
	// Losing so much of one processor is reason enough, and so much if it has been
	// going on for long.
	aheadShare     = 0.5
	aheadLongShare = 0.25
	// Load is looked at so often.
	aheadLook = time.Millisecond
	// copyFactor is what preserving a page ahead costs beside its copy.
	copyFactor = 2
)

// copying is how far preserving ahead a layer's snapshot has come.
type copying struct {
	alone  sync.Mutex // whoever finds it locked leaves the work to the other
	total  uint64     // bytes of the snapshot
	begun  bool
	next   uint64 // offset
	since  spent  // when the snapshot began to be streamed
	last   spent
	copied atomic.Uint64 // pages
}

// ahead is called while the snapshot is streamed.
func (l *layer) ahead() (again time.Duration) {
	g, c := l.g, &l.copying
	if !c.alone.TryLock() {
		return aheadLook // it is being streamed twice
	}
	defer c.alone.Unlock()
	switch {
	case g.a.opts.Preserving == PreserveOnWrite || l.void.Load():
		return -1
	case !c.begun && !c.pays(l):
		return aheadLook
	}
	if !g.a.mu.TryLock() {
		return aheadLook // a snapshot is being taken
	}
	defer g.a.unlock()
	if l.void.Load() {
		return -1 // and its table is gone
	}
	c.begun = true
	g.h.TakeBlocks(aheadBlocks)
	defer g.h.TakeBlocks(0)
	end := min(c.next+aheadRound, c.total)
	var full atomic.Bool
	// Half of the processors are left to the writers.
	_ = parallel(end-c.next, blockSize, aheadOnEach, (runtime.GOMAXPROCS(0)+1)/2, func(off, n uint64) error {
		if !full.Load() {
			k, ok := g.h.PreserveAhead((c.next+off)/pageSize, n/pageSize)
			c.copied.Add(k)
			g.copied.Add(k)
			full.Store(!ok)
		}
		return nil
	})
	if c.next = end; c.next < c.total && !full.Load() {
		return 0
	}
	return -1
}

// pays decides whether to begin.
func (c *copying) pays(l *layer) bool {
	g := l.g
	now := g.spent()
	if c.since == (spent{}) {
		c.since, c.last = now, now
		return g.a.opts.Preserving == PreserveAhead || l.busy
	}
	share := c.last.share(now)
	c.last = now
	all := c.total / pageSize * g.h.Stats().CopyTicks * copyFactor
	return share > aheadShare || share > aheadLongShare && now.resolver-c.since.resolver > all
}
