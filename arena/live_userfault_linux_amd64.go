package arena

import (
	"context"
	"errors"
	"fmt"
	"math"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/cowheap/cowheap/internal/block"
	"github.com/cowheap/cowheap/internal/uffd"
)

// Live with userfaultfd: the memory is registered with a second descriptor then, for which
// the kernel resolves first writes by itself and remembers them. A mapping belongs to one
// descriptor, and one descriptor does the one or the other, so the memory changes over; it
// stays with the second until the next snapshot is taken, so that many Lives in a row
// change nothing.
//
// While it is with the second nobody takes a fault, and nothing is armed. One that
// was taken just before finds, in the handler, that lifting is refused, returns, and
// the write succeeds.

// noting is the second descriptor, under Arena.mu.
type noting struct {
	fd      *uffd.FD // nil: it has not been needed yet
	pagemap *uffd.Pagemap
	// From before the first block goes over until after the last has come back.
	away    atomic.Bool
	current *liveMemory // nil: there is none
}

const (
	// Changes over in one call: the kernel's lock of the mapping is held meanwhile,
	// some 30 ns a page that is protected.
	changePiece = 32 << 20
	livePiece   = 4 << 20  // protected by one call, then read
	liveLook    = 64 << 20 // read before the first look at how much has been written; the next is at twice as much
	livePasses  = 16
	// With writers held so many pages are copied at most, about 0.7 us each.
	liveHeld = 512
	// One in so many pages may have been written to, else a snapshot is the better way: bench checkpoint-tax.
	liveShare = 16
	liveLeast = 1024 // pages that may be in any case
	liveDoubt = 4    // times as many as may be are expected when it is given up early
)

// liveMemory is one Live.
type liveMemory struct {
	g    *userfault
	size uint64 // bytes to be read
	most int    // pages to be kept

	mu    sync.Mutex // what follows; held for a call of some 100 us. After Arena.mu
	ended error      // why nothing can be read any more
	noted uint64     // bytes from 0 on, whole blocks, of which the kernel notes what is written
	look  uint64     // bytes read when it is time for another look
	keep  keptPages

	regions []uffd.PageRegion
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

// goAway gives the memory to the descriptor for which the kernel notes writes.
func (g *userfault) goAway(size uint64) error {
	if g.away.Load() {
		return nil
	}
	if g.noting.fd == nil {
		fd, err := uffd.Open(uffd.FeatureWriteProtect | uffd.FeatureWPUnpopulated | uffd.FeatureWPAsync)
		if err != nil {
			return unsettled("%w", err)
		}
		pagemap, err := uffd.OpenPagemap()
		if err != nil {
			return unsettled("%w", errors.Join(err, fd.Close()))
		}
		g.noting.fd, g.noting.pagemap = fd, pagemap
	}
	g.away.Store(true)
	if err := g.change(g.fd, g.noting.fd, size); err != nil {
		return unsettled("%w", errors.Join(err, g.comeBack()))
	}
	return nil
}

// comeBack takes the memory back, which ends a Live that reads it.
func (g *userfault) comeBack() error {
	g.endLive(errLiveFrozen)
	if !g.away.Load() {
		return nil
	}
	if err := g.change(g.noting.fd, g.fd, g.a.High()); err != nil {
		g.broken = fmt.Errorf("registering the arena again: %w", err)
		return g.broken
	}
	g.away.Store(false)
	return nil
}

// change gives the memory, of which size bytes are in use, from one descriptor to another. All protection goes with it. What the
// other has already stays there.
func (g *userfault) change(from, to *uffd.FD, size uint64) error {
	for off, end := uint64(0), g.a.mem.Size(); off < end; {
		n := min(changePiece, end-off)
		if off >= size {
			n = end - off // nothing is there
		}
		addr := g.a.mem.Addr() + uintptr(off)
		// An error is that the other has it, or that it has been taken already: then
		// registering says so.
		_ = from.Unregister(addr, uintptr(n))
		if err := to.Register(addr, uintptr(n), uffd.ModeWP); err != nil {
			return err
		}
		off += n
	}
	return nil
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

// end makes it an error to go on. After it nothing of the memory is protected for l any more.
func (l *liveMemory) end(why error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ended == nil {
		l.ended = why
	}
	l.g.current = nil
}

// note has the kernel note writes to [0, end).
// Preconditions: l.mu is held.
func (l *liveMemory) note(end uint64) error {
	if l.ended != nil || end <= l.noted {
		return l.ended
	}
	// Not by UFFDIO_WRITEPROTECT: while that runs each first write of another thread flushes all TLBs, 12 us
	// (do_wp_page, mm_tlb_flush_pending), and it does not pass over what is protected already. What was never
	// touched stays as it is: it counts as written when it has been.
	_, err := l.scan(l.noted, end, uffd.ScanProtect)
	if err != nil {
		return err
	}
	l.noted = end
	return nil
}

func (l *liveMemory) read(p []byte, off uint64) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ended != nil {
		return l.ended
	}
	for end := off + uint64(len(p)); l.noted < end; {
		if err := l.note(min(l.noted+livePiece, l.size)); err != nil {
			return err
		}
	}
	// Protected first, then read: what is written from then on is noted.
	copy(p, l.g.a.mem.Bytes(off, uint64(len(p))))
	if off < l.look {
		return nil
	}
	l.look = 2 * off
	n, err := l.written(0)
	if err != nil {
		return err
	}
	// Where pages are written at random the number grows with the square of what was read: longer, and more to write to. A
	// burst, or hot pages, may look like more than it will be.
	share := float64(l.size) / float64(off)
	if float64(n)*share*share > liveDoubt*float64(l.most) {
		return unsettled("%d pages were written while the first %d bytes of %d were read", n, off, l.size)
	}
	return nil
}

// written finds in regions the pages written of those that are noted, and with uffd.ScanProtect protects
// them again.
// Preconditions: l.mu is held.
func (l *liveMemory) written(mode uffd.ScanMode) (pages int, err error) {
	if l.ended != nil {
		return 0, l.ended
	}
	return l.scan(0, l.noted, mode)
}

// scan finds the pages of [from, end) that are not protected.
// Preconditions: l.mu is held.
func (l *liveMemory) scan(from, end uint64, mode uffd.ScanMode) (pages int, err error) {
	if from >= end {
		l.regions = l.regions[:0]
		return 0, nil
	}
	parts := make([][]uffd.PageRegion, (end-from+scanPiece-1)/scanPiece)
	parts[0] = l.regions[:0]
	err = parallel(end-from, scanPiece, 2*scanPiece, runtime.GOMAXPROCS(0), func(off, n uint64) (err error) {
		part := &parts[off/scanPiece]
		*part, err = l.g.noting.pagemap.Scan(*part, l.g.a.mem.Addr()+uintptr(from+off), uintptr(n), mode)
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("asking which pages were written: %w", err)
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
	n, err := l.written(0)
	if err == nil && n > liveHeld {
		err = unsettled("%d pages are written in the time that a pass takes", n)
	}
	return err
}

// gatherOnce keeps what was written since it was read or kept, and what has come into
// use. It answers how many pages were written.
func (l *liveMemory) gatherOnce() (pages int, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	from, high := l.noted, l.g.a.High()
	if err := l.note(l.g.wholeBlocks(high)); err != nil {
		return 0, err
	}
	pages, err = l.written(uffd.ScanProtect)
	if err != nil {
		return 0, err
	}
	// All of that counts as written.
	fresh := max(high, from) - from
	if have := len(l.keep.pages); have+pages+int(fresh/pageSize) > l.most {
		return 0, unsettled("%d pages were written, and %d bytes came into use", have+pages, fresh)
	}
	if err := l.keepNew(from, high); err != nil {
		return 0, err
	}
	return pages, l.keepWritten(true)
}

// keepWritten keeps what written has found. With pauses it lets those who want to end it do so.
// Preconditions: l.mu is held.
func (l *liveMemory) keepWritten(pauses bool) error {
	const between = 1 << 20
	for _, r := range l.regions {
		first, end := r.Start-uint64(l.g.a.mem.Addr()), r.End-uint64(l.g.a.mem.Addr())
		for off := first; off < end; off += between {
			if err := l.keep.add(off, l.g.a.mem.Bytes(off, min(between, end-off))); err != nil {
				return err
			}
		}
		if pauses && len(l.keep.pages)%256 == 0 {
			l.mu.Unlock()
			l.mu.Lock()
			if l.ended != nil {
				return l.ended
			}
		}
	}
	return nil
}

// keepNew keeps those pages of [from, high) that are not zero.
// Preconditions: l.mu is held.
func (l *liveMemory) keepNew(from, high uint64) error {
	for off := from; off < high; off += pageSize {
		if page := l.g.a.mem.Bytes(off, pageSize); !block.IsZero(page) {
			if err := l.keep.add(off, page); err != nil {
				return err
			}
		}
	}
	return nil
}

func (l *liveMemory) rest(size uint64) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, err := l.written(0); err != nil {
		return err
	}
	if err := l.keepWritten(false); err != nil {
		return err
	}
	return l.keepNew(l.noted, size)
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
