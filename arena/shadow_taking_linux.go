package arena

import (
	"fmt"
	"runtime"
	"time"

	"github.com/cowheap/cowheap/internal/uffd"
)

// Taking: how the pages written since the last snapshot come into slots.
//
// A page is first protected and then copied. Whatever is written to it while it is copied,
// or later, makes it dirty again, so a copy made while writers go on is either the
// page's content or made once more: large sets are copied ahead of the
// instant, in passes that shrink, and with writers held only what is left.

const (
	armPiece  = 4 << 20   // protected by one call; the kernel's memory lock is held throughout
	armRound  = 16 << 20  // protected, then copied, while writers go on
	scanPiece = 256 << 20 // scanned by one call, 0.1 ms

	aheadPasses = 100
	aheadFor    = 5 * time.Second
	// What is copied in less time with writers held is no pause worth sparing.
	directFor = 150 * time.Microsecond
	// Mostly dirty state is copied with writers held for up to that long: ahead, it would be protected for the copy
	// and laid open afterwards, half as dear again as the copy.
	wholeFor = 12 * time.Millisecond
	// First guesses at what copying a page costs.
	firstPageNs  = 500
	firstRangeNs = 300
)

// pace is what copying has cost until now.
type pace struct {
	lastDirty uint64        // pages that the last snapshot copied
	pageNs    float64       // to copy one of those that a scan found
	rangeNs   float64       // to copy one among many that follow each other
	scanning  time.Duration // the last time
	lastScan  time.Time
}

// aheadPays: copying with writers held would hold them for long. Where scanning alone takes longer than copying,
// another scan ahead would cost more than it spares.
func (g *shadow) aheadPays(high uint64) bool {
	switch g.a.opts.Arming {
	case ArmWholesale:
		return false
	case ArmAhead:
		return true
	}
	ns := g.rangeNs * float64(high-min(high, g.armed)) / pageSize
	if g.armed > 0 {
		// Hot pages would be written again before the instant.
		ns += g.pageNs * float64(g.lastDirty-min(g.lastDirty, g.hotPages()))
	}
	if g.mode != byProtecting {
		return time.Duration(ns) > wholeFor
	}
	return time.Duration(ns) > max(directFor, g.scanning)
}

// takeAhead copies what is dirty while writers go on.
func (g *shadow) takeAhead(high func() uint64, done *passes) error {
	began := time.Now()
	defer func() { done.arming += time.Since(began) }()
	old := g.armed > 0
	for g.wholeBlocks(high()) > g.armed {
		n, err := g.takeNew(high)
		done.reprotected += n
		if err != nil {
			return err
		}
	}
	epoch := time.Since(g.lastScan)
	if !old {
		epoch = time.Since(began)
	}
	for least := uint64(1 << 62); done.count < aheadPasses && time.Since(began) < aheadFor; {
		from := time.Now()
		n, err := g.takeWritten()
		if err != nil {
			return err
		}
		done.count++
		done.reprotected += n
		if n <= fewPages || n >= least-least/4 {
			break
		}
		// As many again in the time that this has taken, as in that before?
		took := time.Since(from)
		if float64(n)*float64(took)/float64(max(epoch, 1)) < float64(fewPages) {
			break
		}
		least, epoch = n, took
	}
	return nil
}

// takeRest copies what is left of [0, size).
// Preconditions: writers are held.
func (g *shadow) takeRest(size uint64) (pages uint64, err error) {
	if g.armed == 0 && g.mode != byProtecting {
		// Without protecting it: a fault for most pages costs more than copying all.
		return g.takeRange(0, size)
	}
	if g.armed > 0 {
		take := g.takeWritten
		if g.hotPages() > 0 {
			take = g.takeAllButHot
		}
		if pages, err = take(); err != nil {
			return 0, err
		}
	}
	for g.armed < size {
		n, err := g.takeNew(func() uint64 { return size })
		if pages += n; err != nil {
			return 0, err
		}
	}
	return pages, nil
}

// takeNew protects some more, and copies what of it is in use.
func (g *shadow) takeNew(high func() uint64) (pages uint64, err error) {
	from := g.armed
	end := min(g.wholeBlocks(high()), from+armRound)
	if err := g.protectRange(from, end-from, true); err != nil {
		return 0, err
	}
	g.armed = end
	// Looked at once more: what was written there before it was protected lies below.
	if stop := min(high(), end); stop > from {
		return g.takeRange(from, stop)
	}
	return 0, nil
}

// takeRange copies all pages of [from, end), which are dirty by definition.
func (g *shadow) takeRange(from, end uint64) (pages uint64, err error) {
	first, stop := uint32(from/pageSize), uint32((end+pageSize-1)/pageSize)
	list, err := g.claim(g.lists.get(), first, stop)
	if err == nil {
		err = g.bringList(list)
	}
	if err != nil {
		g.lose(list)
		return 0, err
	}
	// Compared with cur; what is pending might differ from both.
	g.forget(first, stop)
	compare, began := g.mode != byCopying, time.Now()
	if compare {
		g.copyOut(list, true, copyPages, copyOnEach)
	} else {
		g.copyOut(list, false, copyRange, copyRangeOnEach)
	}
	learn(&g.rangeNs, began, len(list))
	if compare {
		list = g.dropSame(list)
	}
	g.pend(list)
	return uint64(len(list)), nil
}

// takeWritten protects and copies what was written below armed.
func (g *shadow) takeWritten() (pages uint64, err error) {
	from := time.Now()
	g.lastScan = from
	g.open = g.open[:0]
	g.regions, err = g.scanRange(g.regions[:0], g.armed, uffd.ScanProtect)
	g.scanning = time.Since(from)
	if err != nil {
		g.lose(nil)
		return 0, err
	}
	return g.takeRegions()
}

// takeRegions copies the pages of regions, which were protected.
func (g *shadow) takeRegions() (pages uint64, err error) {
	list := g.lists.get()
	for _, r := range g.regions {
		base := uint64(g.a.mem.Addr())
		if list, err = g.claim(list, uint32((r.Start-base)/pageSize), uint32((r.End-base)/pageSize)); err != nil {
			break
		}
	}
	if err == nil {
		err = g.bringList(list)
	}
	if err != nil {
		g.lose(list)
		return 0, err
	}
	from := time.Now()
	g.copyOut(list, false, copyPages, copyOnEach)
	learn(&g.pageNs, from, len(list))
	g.pend(list)
	return uint64(len(list)), nil
}

// scanRange appends to dst what was written of [0, end).
func (g *shadow) scanRange(dst []uffd.PageRegion, end uint64, mode uffd.ScanMode) (_ []uffd.PageRegion, err error) {
	if mode&uffd.ScanProtect == 0 && end > scanPiece {
		return g.scanParts(dst, end)
	}
	for at := uint64(0); at < end; at += scanPiece {
		if dst, err = g.scanPart(dst, at, min(scanPiece, end-at), mode); err != nil {
			return dst, err
		}
	}
	return dst, nil
}

// scanParts is scanRange without protecting, on several processors. (Protecting, they would flush each other's
// TLBs for every two MiB with something written.)
func (g *shadow) scanParts(dst []uffd.PageRegion, end uint64) ([]uffd.PageRegion, error) {
	parts := make([][]uffd.PageRegion, (end+scanPiece-1)/scanPiece)
	err := parallel(end, scanPiece, scanPiece, runtime.GOMAXPROCS(0), func(off, n uint64) (err error) {
		parts[off/scanPiece], err = g.scanPart(nil, off, n, 0)
		return err
	})
	for _, part := range parts {
		dst = append(dst, part...)
	}
	return dst, err
}

// scanPart is scanRange of [off, off+n).
func (g *shadow) scanPart(dst []uffd.PageRegion, off, n uint64, mode uffd.ScanMode) ([]uffd.PageRegion, error) {
	dst, err := g.pagemap.Scan(dst, g.a.mem.Addr()+uintptr(off), uintptr(n), mode)
	if err != nil {
		return dst, fmt.Errorf("asking which pages were written: %w", err)
	}
	return dst, nil
}

// protectRange protects [from, from+n), or lifts the protection.
func (g *shadow) protectRange(from, n uint64, on bool) error {
	do := g.fd.Unprotect
	if on {
		do = g.fd.Protect
	}
	return parallel(n, armPiece, 2*armPiece, runtime.GOMAXPROCS(0), func(off, n uint64) error {
		if err := do(g.a.mem.Addr()+uintptr(from+off), uintptr(n)); err != nil {
			return fmt.Errorf("arming write protection: %w", err)
		}
		return nil
	})
}

// wholeBlocks rounds up to blocks, within the reservation.
func (g *shadow) wholeBlocks(n uint64) uint64 {
	return min((n+blockSize-1)&^(blockSize-1), g.a.mem.Size())
}
