package arena

import (
	"errors"
	"fmt"
	"math"
	"runtime"
	"sync/atomic"
	"time"
)

// Arming: how all of the memory comes to be protected at an instant.
//
// Wholesale, everything is protected while writers are held: as long as a fork.
// Ahead, it is protected while writers go on. A write to a protected page that
// no snapshot needs is lifted at once and noted in the resolver's log (lift, then
// log). Passes over what the log has got follow, each shorter than the one
// before; what is left is protected with writers held. From then on, until the
// last snapshot is closed, or for ever with Options.Track, the log says which pages
// have been lifted, so that the next snapshot begins with the passes.
//
// The invariant, while armed > 0: each page of [0, armed) is protected, or in the
// log, or a resolver is inside that is about to log it, or a pass has taken it
// out of the log and is about to protect it. When writers are held and no
// resolver is inside, after the log has been taken and protected, all are
// protected.
//
// # Writers at full speed
//
// Protecting while writers go on is cheap for them as long as they seldom write
// to what has just been protected. At full speed all over the memory each write
// is a fault, and each lift interrupts whoever protects, who then takes several
// times as long as with writers held. So when the resolver has taken a good part of the time, writers are held for
// slices of a few hundred microseconds instead. Between two slices everybody
// who was held up gets at least one turn.

// arming is what a userfault guard knows about it, under Arena.mu.
type arming struct {
	protector protector
	populated uint64  // bytes from 0 on that the protector need not populate any more
	armed     uint64  // bytes from 0 on, whole blocks, of which the log knows what is not protected; 0: not armed
	perPage   float64 // ns to protect one page among many with writers held, by experience
	// The snapshot since whose instant all that was written is in the log; nil if that
	// is so for none, because some has been taken out.
	logged *layer
	base   uint64 // slots for snapshots that no fork reads
	most   uint64 // the largest base so far: that many slots are there at any rate
	low    uint64 // with fewer free slots than this the oldest snapshot should be given up

	armingLoad load // what writers lost to the last arming

	armingAhead atomic.Bool // has Arena.mu for a while
}

const (
	// Protecting at once what takes no longer than this is no pause worth
	// sparing: waking writers up takes as long.
	wholesaleFor = 150 * time.Microsecond
	// Writers are held for slices of about this length.
	sliceFor = 300 * time.Microsecond
	// They are busy where the resolver's part of one processor is this much.
	busyShare = 0.3
	// Their updates are long where waiting for them took so many times as long as
	// the slices, and this much in all: then slices cost more than they spare. So they do
	// where they take so many times as long as they are meant to, and this much.
	longTimes = 3
	longWaits = 20 * time.Millisecond

	// A call costs as much as this many pages, so smaller gaps are not left out.
	joinedGap   = 24
	perCallNs   = 800
	perPageNs   = 40 // a first guess at perPage
	leastPageNs = 10
	maxPasses   = 100
	maxPassing  = 5 * time.Second
	goingPiece  = 4 << 20 // protected by one call while writers go on
	goingRound  = 16 << 20
	heldPiece   = 4 << 20
	heldOnEach  = 8 << 20 // work for which it pays to use one more processor
	goingOnEach = 256 << 20
)

// arm protects ahead of the instant, if that is worth while, and answers what it did.
func (g *userfault) arm(high func() uint64, hold hold) (p passes, err error) {
	ahead := false
	switch g.a.opts.Arming {
	case ArmAuto:
		ahead = g.toProtect(high()) > wholesaleFor
	case ArmAhead:
		ahead = true
	}
	g.armingLoad = load{}
	if !ahead {
		return p, nil
	}
	began := time.Now()
	g.logged = nil
	g.armingAhead.Store(true)
	defer func() {
		g.armingAhead.Store(false)
		p.arming = time.Since(began)
	}()
	if g.armed == 0 {
		g.startLog()
	}
	c := campaign{g: g, hold: hold, passes: &p, load: &g.armingLoad}
	c.last = g.spent()
	// Where room runs low the oldest snapshot has to be given up, for which the lock
	// is needed that we have.
	room := func() bool { return g.h.Free() >= g.low }
	for g.wholeBlocks(high()) > g.armed && room() {
		if err := c.advance(g.wholeBlocks(high())); err != nil {
			return p, err
		}
	}
	passing := time.Now()
	for least := uint64(math.MaxUint64); p.count < maxPasses && time.Since(passing) < maxPassing && room(); p.count++ {
		left := g.h.Logged()
		if left <= fewPages || c.slicing && left >= least {
			break
		}
		// Passes that do not shrink will not, unless writers are held.
		c.slicing = c.slicing || left > least*3/4
		least = min(least, left)
		if err := c.pass(); err != nil {
			return p, err
		}
	}
	return p, nil
}

// campaign is one arming ahead.
type campaign struct {
	g    *userfault
	hold hold
	*passes
	*load
	slicing bool // hold writers for slices, if that pays
	spell
}

// advance protects some more of [armed, high).
func (c *campaign) advance(high uint64) error {
	g := c.g
	if c.slices() {
		n := g.wholeBlocks(uint64(float64(sliceFor.Nanoseconds())/g.pageCost()) * pageSize)
		return c.slice(func() error { return g.protectNew(min(high, g.armed+max(n, blockSize)), true) })
	}
	if err := g.protectNew(min(high, g.armed+goingRound), false); err != nil {
		return err
	}
	// Writers may come in bursts.
	if share := c.look(g.spent(), g.clock); share >= 0 {
		c.slicing = share > busyShare
	}
	return nil
}

// pass protects what is in the log.
func (c *campaign) pass() error {
	if !c.slices() {
		n, err := c.g.protectLog(math.MaxInt64, false)
		c.reprotected += n
		return err
	}
	for left := c.g.h.Logged(); left > 0; {
		done := uint64(0)
		if err := c.slice(func() (err error) {
			done, err = c.g.protectLog(sliceFor, true)
			return err
		}); err != nil {
			return err
		}
		c.reprotected += done
		if left -= min(left, done); done == 0 || !c.slices() {
			break
		}
	}
	return nil
}

// slices: hold writers for slices.
func (c *campaign) slices() bool { return c.slicing && c.pays() }

// spell is a number of slices for which writers are held.
type spell struct{ waited, held, meant time.Duration }

// add counts a slice that was meant to be so long.
func (s *spell) add(waited, held, meant time.Duration) {
	s.waited += waited
	s.held += held
	s.meant += meant
}

// pays: updates are not so long that waiting for them costs more than holding
// writers spares, and whoever holds them has the processors for it. Where others want
// these a slice of a millisecond takes twenty, and writers had better run in them.
func (s *spell) pays() bool {
	return s.waited <= s.held*longTimes+longWaits && s.held <= s.meant*longTimes+longWaits
}

// slice runs do with writers held.
func (c *campaign) slice(do func() error) error {
	began := time.Now()
	release, err := c.hold()
	if err != nil {
		return err
	}
	held := time.Now()
	err = do()
	release()
	c.passes.slices++
	c.sliced = true
	c.spell.add(held.Sub(began), time.Since(held), sliceFor)
	return err
}

// toProtect is how long it takes to protect what is not protected of high bytes.
func (g *userfault) toProtect(high uint64) time.Duration {
	ns := g.pageCost() * float64(high-min(high, g.armed)) / pageSize
	if g.armed > 0 {
		ns += min(float64(g.h.Logged())*perCallNs, g.pageCost()*float64(g.armed)/pageSize)
	}
	return time.Duration(ns)
}

// pageCost is perPage, or a guess.
func (g *userfault) pageCost() float64 {
	if g.perPage == 0 {
		return perPageNs
	}
	// Huge pages cost next to nothing, until something has split them.
	return max(g.perPage, leastPageNs)
}

// wholeBlocks rounds up to blocks, within the reservation.
func (g *userfault) wholeBlocks(n uint64) uint64 {
	return min((n+blockSize-1)&^(blockSize-1), g.a.mem.Size())
}

// armRest protects what is left of [0, size), and answers how many pages.
// Preconditions: writers are held, and no resolver is inside that does not
// know so (Drain).
func (g *userfault) armRest(size uint64) (pages uint64, err error) {
	if g.armed > 0 && g.a.opts.Arming != ArmWholesale {
		from := g.armed
		if err := g.protectNew(g.wholeBlocks(size), true); err != nil {
			return 0, err
		}
		n, err := g.protectLog(math.MaxInt64, true)
		return n + (g.armed-from)/pageSize, err
	}
	// Everything will be protected, so the log has nothing to say, but to watches.
	known := g.armed
	g.seeLog()
	g.h.StartLog()
	g.armed = 0
	err = g.protectMore(g.wholeBlocks(size), true)
	g.seeNew(known)
	return g.armed / pageSize, err
}

// startLog switches the log on and waits for those who lift without it.
func (g *userfault) startLog() {
	g.h.StartLog()
	g.h.Drain()
	g.h.BeginArming()
}

// disarm ends the log. Protection stays where it is until somebody writes there.
func (g *userfault) disarm() {
	g.a.loseTrack()
	g.logged = nil
	g.armed = 0
	g.h.StopLog()
	g.h.Drain()
}

// protectNew is protectMore for what nothing was known of.
func (g *userfault) protectNew(high uint64, held bool) error {
	from := g.armed
	defer func() { g.seeNew(from) }()
	return g.protectMore(high, held)
}

// protectMore protects [armed, high), whole blocks.
func (g *userfault) protectMore(high uint64, held bool) error {
	if high <= g.armed {
		return nil
	}
	from, n := g.armed, high-g.armed
	// The kernel's memory lock is held throughout a call, 50 us for 4 MiB of small
	// pages. Huge pages take microseconds in all; where many have been split, a
	// call is as long as one of small ones. While writers go on half of the
	// processors are left to them.
	piece, onEach, workers := uint64(heldPiece), uint64(heldOnEach), runtime.GOMAXPROCS(0)
	switch {
	case g.a.opts.HugePages:
		piece, onEach = 128<<20, 4<<30
	case !held:
		piece, onEach, workers = goingPiece, goingOnEach, (workers+1)/2
	}
	if err := g.populateNew(high); err != nil {
		return err
	}
	start := time.Now()
	err := parallel(n, piece, onEach, workers, func(off, n uint64) error {
		return g.protect(from+off, n, held)
	})
	if err != nil {
		return err
	}
	if held && n >= heldPiece {
		now := float64(time.Since(start).Nanoseconds()) / float64(n/pageSize)
		// One that was interrupted half-way should not count for much.
		g.perPage = (min(now, 4*g.pageCost()) + g.pageCost()) / 2
	}
	g.armed = high
	return nil
}

// protectLog takes pages out of the log and protects them, neighbours and small
// gaps in one call, for about the time given by what calls and pages cost. It
// answers how many there were.
func (g *userfault) protectLog(most time.Duration, held bool) (pages uint64, err error) {
	var run struct{ first, end uint64 }
	spent, each := 0.0, g.pageCost()
	protect := func() {
		if n := run.end - run.first; n > 0 && err == nil {
			spent += perCallNs + each*float64(n)
			err = g.protect(run.first*pageSize, n*pageSize, held)
			if err != nil {
				g.h.PutBack(run.first, n)
			}
		}
	}
	for page, n := range g.h.TakeLog() {
		pages += n
		g.a.watches.add(page, n)
		if run.end > 0 && page-run.end <= joinedGap && page+n-run.first <= goingPiece/pageSize {
			run.end = page + n
			continue
		}
		protect()
		if err != nil {
			g.h.PutBack(page, n)
			return pages, err
		}
		run.first, run.end = page, page+n
		if spent >= float64(most) {
			break
		}
	}
	protect()
	return pages, err
}

// protect is one call, but for what is pinned: that stays as it is, and in the log.
func (g *userfault) protect(off, n uint64, held bool) error {
	later := func(off, n uint64) { g.h.PutBack(off/pageSize, n/pageSize) }
	now := func(off, n uint64) error {
		switch err := g.protector.protect(off, n, held); {
		case errors.Is(err, errBusy):
			later(off, n)
		case err != nil:
			return fmt.Errorf("arming write protection: %w", err)
		}
		return nil
	}
	if held {
		return now(off, n)
	}
	return g.pins.around(off, n, now, later)
}

// populateNew makes protection hold up to high. What a lazy restore has not brought
// in yet comes in protected.
func (g *userfault) populateNew(high uint64) error {
	from := g.populated
	if _, of := g.h.Present(); of != 0 && !g.h.Detached() {
		from = max(from, g.lazyHigh)
	}
	if from >= high {
		return nil
	}
	if err := g.protector.populate(from, high-from); err != nil {
		return fmt.Errorf("arming write protection: %w", err)
	}
	g.populated = high
	return nil
}
