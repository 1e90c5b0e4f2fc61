package arena

import (
	"context"
	"errors"
	"fmt"
	"math"
	"runtime"
	"slices"
	"sync"

	"github.com/cowheap/cowheap/internal/block"
	"github.com/cowheap/cowheap/internal/uffd"
)

const (
	livePiece  = 4 << 20  // protected by one call, then read
	liveLook   = 64 << 20 // read before the first look at how much has been written; the next is at twice as much
	livePasses = 16
	// So many pages are copied at most with writers held, about 0.7 us each; and a pass is
	// not the last one if it leaves half as many.
	liveHeld = 1024
	// One in so many pages may have been written to, else a snapshot is the better way: bench checkpoint-tax.
	liveShare = 16
	liveLeast = 1024 // pages that may be in any case
	liveDoubt = 4    // times as many as may be are expected when it is given up early
	liveTurn  = 256  // pages copied before who wants to end it gets a turn
)

// liveMemory is one Live: its guard has given the memory to the kernel, see noting.
type liveMemory struct {
	g    *userfault
	size uint64 // bytes to be read
	most int    // pages to be kept

	mu    sync.Mutex // what follows; held for a scan, or to copy some 256 KiB. After Arena.mu
	ended error      // why nothing can be read any more
	noted uint64     // bytes from 0 on, whole blocks, of which the kernel notes what is written
	look  uint64     // bytes read when it is time for another look
	keep  keptPages

	regions []uffd.PageRegion // that the last scan has found
}

func (g *userfault) live(size uint64) (liveRead, error) {
	if err := g.mayLive(); err != nil {
		return nil, err
	}
	if err := g.goAway(size); err != nil {
		return nil, err
	}
	most := max(size/pageSize/liveShare, liveLeast)
	if m := uint64(g.a.opts.MaxPreserved) / pageSize; m != 0 {
		most = min(most, m)
	}
	l := &liveMemory{g: g, size: size, most: int(most), look: liveLook}
	g.current = l
	return l, nil
}

// mayLive is nil, or an ErrUnsettled.
func (g *userfault) mayLive() error {
	switch _, of := g.h.Present(); {
	case g.broken != nil:
		return unsettled("%w", g.broken)
	case len(*g.chain.Load()) > 0:
		return unsettled("a snapshot is open")
	case g.current != nil:
		return unsettled("another one is being read")
	case g.a.opts.Track:
		return unsettled("Options.Track keeps the protection up")
	case g.a.opts.HugePages:
		return unsettled("a huge page counts as written as a whole")
	case of != 0 && !g.h.Detached() || g.incomplete.Load():
		return unsettled("%w", ErrIncomplete)
	}
	for _, have := range []func() error{uffd.HaveWPUnpopulated, uffd.HaveWPAsync, uffd.HavePagemapScan} {
		if err := have(); err != nil {
			return unsettled("%w", err)
		}
	}
	return nil
}

// end makes it an error to go on. After it nothing of the memory is protected, or read, for l any more.
// Preconditions: Arena.mu is held.
func (l *liveMemory) end(why error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.fail(why)
	l.g.current = nil
}

// fail is end but for who comes after it, and answers err. What has been protected again and
// not kept is lost, so after an error nothing is right any more.
// Preconditions: l.mu is held.
func (l *liveMemory) fail(err error) error {
	if err != nil && l.ended == nil {
		l.ended = err
	}
	return err
}

func (l *liveMemory) state() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.ended
}

func (l *liveMemory) read(p []byte, off uint64) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ended != nil {
		return l.ended
	}
	for end := off + uint64(len(p)); l.noted < end; {
		if err := l.note(min(l.noted+livePiece, l.size)); err != nil {
			return l.fail(err)
		}
	}
	delay()
	// Protected first, then read: what is written from then on is noted.
	copy(p, l.g.a.mem.Bytes(off, uint64(len(p))))
	if off < l.look {
		return nil
	}
	l.look = 2 * off
	n, err := l.scan(0, l.noted, 0)
	// Where pages are written at random the number grows with the square of what was read: longer, and more to write to. A
	// burst, or hot pages, may look like more than it will be.
	share := float64(l.size) / float64(off)
	if err == nil && float64(n)*share*share > liveDoubt*float64(l.most) {
		err = busy("%d pages were written while the first %d bytes of %d were read", n, off, l.size)
	}
	return l.fail(err)
}

// note has the kernel note writes to [0, end).
//
// Not by UFFDIO_WRITEPROTECT: while that runs each first write of another thread flushes all TLBs, 12 us
// (do_wp_page, mm_tlb_flush_pending), and it does not pass over what is protected already. What was never
// touched may stay as it is: it counts as written when it has been.
//
// Preconditions: l.mu is held.
func (l *liveMemory) note(end uint64) error {
	if end <= l.noted {
		return nil
	}
	if _, err := l.scan(l.noted, end, uffd.ScanProtect); err != nil {
		return err
	}
	l.noted = end
	return nil
}

// scan finds the pages of [from, end) that are not protected, and with uffd.ScanProtect protects them.
// Preconditions: l.mu is held.
func (l *liveMemory) scan(from, end uint64, mode uffd.ScanMode) (pages int, err error) {
	l.regions = l.regions[:0]
	if from >= end {
		return 0, nil
	}
	parts := make([][]uffd.PageRegion, (end-from+scanPiece-1)/scanPiece)
	parts[0] = l.regions
	err = parallel(end-from, scanPiece, 2*scanPiece, runtime.GOMAXPROCS(0), func(off, n uint64) (err error) {
		part := &parts[off/scanPiece]
		*part, err = l.g.noting.pagemap.Scan(*part, l.g.a.mem.Addr()+uintptr(from+off), uintptr(n), mode)
		return err
	})
	if err != nil {
		return 0, unsettled("asking which pages were written: %w", err)
	}
	if l.regions = parts[0]; len(parts) > 1 {
		l.regions = slices.Concat(parts...)
	}
	for _, r := range l.regions {
		pages += int((r.End - r.Start) / pageSize)
	}
	return pages, nil
}

func (l *liveMemory) gather(ctx context.Context) error {
	for least, pass := math.MaxInt, 0; pass < livePasses; pass++ {
		if err := ctx.Err(); err != nil {
			if cause := context.Cause(ctx); cause != err {
				err = fmt.Errorf("%w: %w", err, cause)
			}
			return err
		}
		n, err := l.gatherOnce()
		if err != nil {
			return err
		}
		if n <= int(fewPages) || n >= least-least/4 {
			break
		}
		least = n
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ended != nil {
		return l.ended
	}
	n, err := l.scan(0, l.noted, 0)
	if err == nil && n > liveHeld/2 {
		err = busy("%d pages are written in the time that a pass takes", n)
	}
	return l.fail(err)
}

// gatherOnce keeps what was written since it was read or kept, and what has come into
// use. It answers how many pages were written.
func (l *liveMemory) gatherOnce() (pages int, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	defer func() { err = l.fail(err) }()
	if l.ended != nil {
		return 0, l.ended
	}
	from := l.noted
	if err := l.note(l.g.wholeBlocks(l.g.a.High())); err != nil {
		return 0, err
	}
	delay()
	// All that is not zero there, also beyond what High was: it may have come into use before
	// it was protected.
	if err := l.keepNew(from, l.noted, l.most, true); err != nil {
		return 0, err
	}
	if pages, err = l.scan(0, l.noted, uffd.ScanProtect); err != nil {
		return 0, err
	}
	delay()
	if n := len(l.keep.pages) + pages; n > l.most {
		return 0, busy("%d pages were written", n)
	}
	return pages, l.keepFound(true)
}

// keepFound keeps what scan has found. With turns it lets those who want to end it do so.
// Preconditions: l.mu is held.
func (l *liveMemory) keepFound(turns bool) error {
	base := uint64(l.g.a.mem.Addr())
	for _, r := range l.regions {
		for off := r.Start - base; off < r.End-base; off += pageSize {
			if err := l.keepPage(off, turns); err != nil {
				return err
			}
		}
	}
	return nil
}

// keepNew keeps those pages of [from, end) that are not zero, up to most in all.
// Preconditions: l.mu is held; the memory up to end is there.
func (l *liveMemory) keepNew(from, end uint64, most int, turns bool) error {
	for off := from; off < end; off += pageSize {
		if block.IsZero(l.g.a.mem.Bytes(off, pageSize)) {
			continue
		}
		if len(l.keep.pages) >= most {
			return unsettled("%d bytes came into use", end-from)
		}
		if err := l.keepPage(off, turns); err != nil {
			return err
		}
	}
	return nil
}

// keepPage keeps the page at off.
// Preconditions: l.mu is held.
func (l *liveMemory) keepPage(off uint64, turns bool) error {
	if err := l.keep.add(off, l.g.a.mem.Bytes(off, pageSize)); err != nil {
		return unsettled("%w", err)
	}
	if turns && len(l.keep.pages)%liveTurn == 0 {
		l.mu.Unlock()
		l.mu.Lock()
	}
	return l.ended
}

func (l *liveMemory) rest(size uint64) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.fail(l.keepRest(size))
}

func (l *liveMemory) keepRest(size uint64) error {
	if l.ended != nil {
		return l.ended
	}
	if size < l.size {
		return unsettled("the arena has become smaller")
	}
	n, err := l.scan(0, l.noted, 0)
	if err != nil {
		return err
	}
	if n > liveHeld || len(l.keep.pages)+n > l.most {
		return busy("%d pages were written before writers were held", n)
	}
	if err := l.keepFound(false); err != nil {
		return err
	}
	return l.keepNew(l.noted, size, min(l.most, len(l.keep.pages)+liveHeld), false)
}

func (l *liveMemory) kept() *keptPages { return &l.keep }

func (l *liveMemory) close() error {
	a := l.g.a
	a.mu.Lock()
	defer a.unlock()
	if l.g.current == l {
		l.end(ErrClosed)
	}
	return l.keep.free()
}

// Why a Live has ended.
var (
	errLiveFrozen  = unsettled("a snapshot was taken")
	errLiveTrimmed = unsettled("memory was given back to the system")
)

// endLive ends the one that there is. Arena.mu is held.
func (g *userfault) endLive(why error) {
	if g.current != nil {
		g.current.end(why)
	}
}

// closeNoting gives the second descriptor back. What it has it protects no longer then.
func (g *userfault) closeNoting() error {
	g.endLive(ErrClosed)
	if g.noting.fd == nil {
		return nil
	}
	return errors.Join(g.noting.pagemap.Close(), g.noting.fd.Close())
}
