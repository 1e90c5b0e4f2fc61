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
// Which of the two it is, is found out by what writers lose: most of a
// processor, or, as the ski renter does it, a good part of one until it comes to
// what copying everything costs. Where writers were busy when the last snapshot was streamed
// little needs to be lost until they are taken to be so again, and nothing if they had to be held
// while it was armed.
//
// As with arming, writers at full speed are held for slices while that is done. They
// would spend the time in faults anyway, and interrupt whoever copies; held, they
// leave all processors to the copying, and the scheduler has nobody else to run. Whoever
// reads the stream waits meanwhile, so that it does not take one of them to write a file.

const (
	// aheadBlocks is how many pages a fault takes meanwhile, where writers go on.
	aheadBlocks = 64
	// aheadRound is how long is copied at a time where writers go on.
	aheadRound = 2 * time.Millisecond
	// aheadSlice is how long writers are held at a time. Several processors have to
	// be woken for it.
	aheadSlice = time.Millisecond
	// Losing so much of one processor is reason enough, and so much if it has been
	// going on for long. (The resolver's own time is half to two thirds of what a
	// fault costs; the rest is the kernel's, delivering it.)
	aheadShare     = 0.4
	aheadLongShare = 0.25
	// Losing less is none to give room and processors for.
	aheadIdleShare = 0.05
	// Load is looked at so often, and over so long: writers may come in bursts. They
	// are busy when they have lost a part of what copying everything takes without a break, and at least
	// and at most so much: whoever has more to copy waits until it is surer.
	aheadLook     = time.Millisecond
	aheadWindow   = 5 * time.Millisecond
	aheadLoss     = 5 * time.Millisecond
	aheadLossMost = 25 * time.Millisecond
	aheadStake    = 16
	// copyFactor is what preserving a page ahead costs beside its copy.
	copyFactor = 2
)

// copying is how far preserving ahead a layer's snapshot has come.
type copying struct {
	alone sync.Mutex // whoever finds it locked leaves the work to the other; guards what follows
	total uint64     // bytes of the snapshot
	begun bool
	busy  bool          // writers are
	since spent         // when the snapshot began to be streamed
	least time.Duration // to lose until they are
	load                // from arming on
	spell               // of slices

	next   atomic.Uint64 // offset
	copied atomic.Uint64 // pages
	slices atomic.Uint64
}

// plan is called while the snapshot is streamed.
func (l *layer) plan() plan {
	g, c := l.g, &l.copying
	switch mode := g.a.opts.Preserving; {
	case mode == PreserveOnWrite, l.void.Load():
		return plan{again: -1}
	case mode == PreserveAuto && g.a.opts.Track:
		return plan{again: -1} // every page would look as if it had been written
	}
	if !c.alone.TryLock() {
		return plan{again: aheadLook} // it is being streamed twice
	}
	defer c.alone.Unlock()
	all := c.total / pageSize * g.h.Stats().CopyTicks * copyFactor
	c.decide(g.spent(), g.clock, all, &g.streamedBusy, g.a.opts.Preserving == PreserveAhead)
	return plan{copy: c.begun, held: c.busy && c.pays(), again: aheadLook}
}

// decide looks at what writers have lost until now. To copy everything takes all, in
// ticks; before says that they were busy when the last snapshot was streamed, and
// learns whether they are now.
func (c *copying) decide(now spent, clock clock, all uint64, before *atomic.Bool, forced bool) {
	if c.since == (spent{}) {
		c.since, c.last = now, now
		c.least = min(max(clock.duration(all)/aheadStake, aheadLoss), aheadLossMost)
		again := before.Swap(false)
		if again {
			c.least = aheadLoss
		}
		// Now is best: later this may have to wait for its turn among the writers.
		c.busy = c.load.busy(clock, c.least) || again && c.sliced
		c.begun = forced || c.busy
	}
	held := c.busy && c.pays()
	switch share := c.look(now, clock); {
	case share < 0:
	case !held && share < aheadIdleShare:
		// Whatever it was, it is over.
		c.busy, c.begun = false, forced
	default:
		c.busy = c.busy || c.load.busy(clock, c.least)
		c.begun = c.begun || c.busy || share > aheadLongShare && now.resolver-c.since.resolver > all
	}
	if c.busy {
		before.Store(true)
	}
}

// ahead copies some more.
func (l *layer) ahead(held bool, waited time.Duration) (all bool) {
	g, c := l.g, &l.copying
	if l.void.Load() {
		return true // and its table is gone
	}
	if !c.alone.TryLock() {
		return false
	}
	defer c.alone.Unlock()
	began := time.Now()
	until, workers := began.Add(aheadRound), (runtime.GOMAXPROCS(0)+1)/2
	if held {
		until, workers = began.Add(aheadSlice), runtime.GOMAXPROCS(0)
		c.slices.Add(1)
	} else {
		g.h.TakeBlocks(aheadBlocks)
		defer g.h.TakeBlocks(0)
	}
	newest := (*g.chain.Load())[len(*g.chain.Load())-1] // has the entries
	var full atomic.Bool
	work := func() {
		for time.Now().Before(until) && !full.Load() {
			off := c.next.Add(blockSize) - blockSize
			if off >= c.total {
				return
			}
			k, ok := g.h.PreserveAhead(off/pageSize, min(blockSize, c.total-off)/pageSize)
			newest.copied.Add(k)
			g.copied.Add(k)
			if !ok {
				full.Store(true)
			}
		}
	}
	var others sync.WaitGroup
	for range min(workers, aheadWorkers) - 1 {
		others.Go(work)
	}
	work()
	others.Wait()
	if held {
		c.spell.add(waited, time.Since(began), aheadSlice)
	}
	return full.Load() || c.next.Load() >= c.total
}

// aheadWorkers have the whole bandwidth of most memories.
const aheadWorkers = 8
