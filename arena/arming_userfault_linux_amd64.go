package arena

import (
	"fmt"
	"runtime"
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

// arming is what a userfault guard knows about it, under Arena.mu.
type arming struct {
	armed   uint64  // bytes from 0 on, whole blocks, of which the log knows what is not protected; 0: not armed
	perPage float64 // ns to protect one page among many, by experience
}

const (
	// Protecting at once what takes no longer than this is no pause worth
	// sparing: waking writers up takes as long.
	wholesaleFor = 150 * time.Microsecond
	// A call costs as much as this many pages, so smaller gaps are not left out.
	joinedGap = 24
	// Passes that do not shrink any more are repeated for so long, in the hope of a
	// better one, and never for longer than the second.
	patience    = 10 * time.Millisecond
	maxArming   = 5 * time.Second
	perPageNs   = 32 // a first guess at perPage
	perCallNs   = 800
	hugePageNs  = 0.1
	aheadPiece  = 4 << 20
	aheadOnEach = 256 << 20
)

// arm protects ahead of the instant, if that is worth while, and answers what it did.
func (g *userfault) arm(high func() uint64) (p passes, err error) {
	ahead := false
	switch g.a.opts.Arming {
	case ArmAuto:
		ahead = g.toProtect(high()) > wholesaleFor
	case ArmAhead:
		ahead = true
	}
	if !ahead {
		return p, nil
	}
	began := time.Now()
	defer func() { p.arming = time.Since(began) }()
	if g.armed == 0 {
		g.startLog()
	}
	least, bored := g.h.Logged(), time.Time{}
	for {
		if err := g.protectNew(high(), false); err != nil {
			return p, err
		}
		left := g.h.Logged()
		now := time.Now()
		switch {
		case left <= fewPages, now.Sub(began) > maxArming:
			return p, nil
		case p.count == 0 || left < least*3/4:
			least, bored = left, time.Time{}
		case bored.IsZero():
			least, bored = min(left, least), now
		case left <= least, now.Sub(bored) > patience:
			return p, nil
		}
		n, err := g.protectLog(false)
		p.count++
		p.reprotected += n
		if err != nil {
			return p, err
		}
	}
}

// toProtect is how long it takes to protect what is not protected of high bytes.
func (g *userfault) toProtect(high uint64) time.Duration {
	each := g.perPage
	if each == 0 {
		if each = perPageNs; g.a.opts.HugePages {
			each = hugePageNs
		}
	}
	ns := each * float64(high-min(high, g.armed)) / pageSize
	if g.armed > 0 {
		ns += min(float64(g.h.Logged())*perCallNs, each*float64(g.armed)/pageSize)
	}
	return time.Duration(ns)
}

// armRest protects what is left of [0, size), and answers how many pages.
// Preconditions: writers are held, and no resolver is inside that does not
// know so (Drain).
func (g *userfault) armRest(size uint64) (pages uint64, err error) {
	if g.armed > 0 && g.a.opts.Arming != ArmWholesale {
		from := g.armed
		if err := g.protectNew(size, true); err != nil {
			return 0, err
		}
		n, err := g.protectLog(true)
		return n + (g.armed-from)/pageSize, err
	}
	// Everything will be protected, so the log has nothing to say.
	g.h.StartLog()
	g.armed = 0
	err = g.protectNew(size, true)
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
	g.armed = 0
	g.h.StopLog()
	g.h.Drain()
}

// protectNew protects [armed, high), in whole blocks.
func (g *userfault) protectNew(high uint64, held bool) error {
	high = min((high+blockSize-1)&^(blockSize-1), g.a.mem.Size())
	if high <= g.armed {
		return nil
	}
	from, n := g.armed, high-g.armed
	// The kernel's memory lock is held throughout a call: 16 MiB of small pages
	// are a quarter of a millisecond. Huge pages take microseconds in all, less
	// than starting a second thread; where many have been split, a call is as
	// long as 16 MiB of small ones every eighth time.
	piece, work, workers := uint64(16<<20), uint64(64<<20), runtime.GOMAXPROCS(0)
	switch {
	case g.a.opts.HugePages:
		piece, work = 128<<20, 4<<30
	case !held:
		// Half of the processors, in pieces that spare the scheduler's attention.
		piece, work, workers = aheadPiece, aheadOnEach, (workers+1)/2
	}
	start := time.Now()
	err := parallel(n, piece, work, workers, func(off, n uint64) error {
		return g.protect(from+off, n, held)
	})
	if err != nil {
		return err
	}
	if n >= 16<<20 {
		g.perPage = float64(time.Since(start).Nanoseconds()) / float64(n/pageSize)
	}
	g.armed = high
	return nil
}

// protectLog takes what is in the log and protects it, neighbours and small
// gaps in one call. It answers how many pages were in the log.
func (g *userfault) protectLog(held bool) (pages uint64, err error) {
	const longest = aheadPiece / pageSize
	first, end := uint64(0), uint64(0)
	for page, n := range g.h.TakeLog() {
		pages += n
		if end == 0 {
			first, end = page, page+n
			continue
		}
		if page-end <= joinedGap && page+n-first <= longest {
			end = page + n
			continue
		}
		if err == nil {
			err = g.protect(first*pageSize, (end-first)*pageSize, held)
		}
		if err != nil {
			g.h.PutBack(first, end-first)
		}
		first, end = page, page+n
	}
	if end == 0 {
		return pages, err
	}
	if err == nil {
		err = g.protect(first*pageSize, (end-first)*pageSize, held)
	}
	if err != nil {
		g.h.PutBack(first, end-first)
	}
	return pages, err
}

// protect is one call, but for what is pinned: that stays as it is, and in the log.
func (g *userfault) protect(off, n uint64, held bool) error {
	if held {
		return g.protectAll(off, n)
	}
	return g.pins.around(off, n, g.protectAll, func(off, n uint64) { g.h.PutBack(off/pageSize, n/pageSize) })
}

func (g *userfault) protectAll(off, n uint64) error {
	if err := g.fd.Protect(g.a.mem.Addr()+uintptr(off), uintptr(n)); err != nil {
		return fmt.Errorf("arming write protection: %w", err)
	}
	return nil
}
