package arena

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cowheap/cowheap/internal/trap"
	"github.com/cowheap/cowheap/internal/uffd"
)

// userfault is the guard that write-protects by userfaultfd. What runs in the
// signal handler is internal/trap; here is the ordinary code around it.
//
// # Reading a page of an open snapshot
//
// A page as of snapshot s is the entry in the oldest layer not older than s that
// has one, else the live page. A reader that finds no entry copies the live page,
// then loads the chain and looks again: no layer has an entry, and the copy is
// good, because whoever lifted the protection would have published before; one
// has, and its slot is read. It never waits. Entries are never taken out of a layer
// that an open snapshot reads through, so what was found stays. Who finds an entry
// above the oldest looks once more at those below: see slot.
//
// # Layers
//
// Each snapshot has a layer; a closed one's stays while an older snapshot is
// open, because the pages written after it are preserved nowhere else. A layer
// that is not the newest takes no more entries (the freeze that made a newer
// one waited until no resolver was inside), so it may be merged into the one
// below it at leisure, with writers going on: see tidy.
type userfault struct {
	a  *Arena
	fd *uffd.FD
	h  *trap.Handle

	arming
	noting
	pins pins

	seq   uint64
	chain atomic.Pointer[[]*layer] // oldest first; the last one is what resolvers consult

	// readers is held for reading by whoever walks a chain, in pieces of at
	// most 256 KiB; taking it for writing waits until nobody holds an old one.
	readers sync.RWMutex

	forks    forks  // that read this one's snapshots
	lazyHigh uint64 // bytes that a lazy restore or a fork brings in
	broken   error  // why no snapshot can be taken any more
	// All content of a lazy restore is in, but a snapshot was open.
	incomplete atomic.Bool
	owner      any // of the file that missing pages come from
	parent     *userfault

	overruns atomic.Uint64
	copied   atomic.Uint64 // pages preserved ahead
	// Writers were busy when a snapshot was last streamed.
	streamedBusy atomic.Bool
	clock        clock
	keeper       sync.WaitGroup
}

// layer is a snapshot's table, and what is needed to read through it.
type layer struct {
	g    *userfault
	tab  *trap.Table
	seq  uint64
	open bool         // under Arena.mu: the snapshot has not been closed
	bare bool         // it never had a snapshot, see supersede
	void atomic.Bool  // given up: what is read through it is wrong
	pins atomic.Int32 // forks that read through it; it is not given up

	pinning bool // under Arena.mu: there is about to be one more of them

	copying
	gone          bool   // under userfault.readers: the table has been unmapped
	pages, faults uint64 // what it counted until then; read only if gone

	// Pages [late-1, lateEnd) could not be released when it was asked for.
	late, lateEnd uint64
	released      bool // something was
}

const userfaultFeatures = uffd.FeatureWriteProtect | uffd.FeatureSIGBUS // and WPUnpopulated, where there is such

func probeUserfault() error {
	for _, have := range []func() error{trap.Supported, uffd.HaveUserfaultfd, uffd.HaveWriteProtect, uffd.HaveSIGBUS, uffd.HaveCopy} {
		if err := have(); err != nil {
			if errors.Is(err, errors.ErrUnsupported) {
				return fmt.Errorf("%w: %w", ErrNotSupported, err)
			}
			return err // it could not be told
		}
	}
	return nil
}

func newUserfault(a *Arena) (_ guard, err error) {
	if err := probeUserfault(); err != nil {
		return nil, fmt.Errorf("guard userfault: %w", err)
	}
	if a.opts.HugePages {
		if err := uffd.HaveHugePages(); err != nil {
			return nil, fmt.Errorf("huge pages with guard userfault: %w: %w", ErrNotSupported, err)
		}
	}
	g := &userfault{a: a, clock: startClock()}
	g.chain.Store(&[]*layer{})
	features := userfaultFeatures
	if !a.opts.populate && uffd.HaveWPUnpopulated() == nil {
		features |= uffd.FeatureWPUnpopulated
	} else if a.opts.HugePages {
		// Populated for reading means huge pages of zeros, and kernels that are that old
		// lose protection when they split one.
		return nil, fmt.Errorf("huge pages with guard userfault before Linux 6.4: %w", ErrNotSupported)
	}
	if g.fd, err = uffd.Open(features); err != nil {
		return nil, fmt.Errorf("guard userfault: %w", err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, g.fd.Close())
		}
	}()
	if err := g.fd.Register(a.mem.Addr(), uintptr(a.mem.Size()), uffd.ModeWP); err != nil {
		return nil, err
	}
	g.protector = uffdProtector{g.fd, a.mem, features&uffd.FeatureWPUnpopulated != 0}
	if g.h, err = trap.New(trap.Config{
		FD:       g.fd.Fd(),
		Start:    a.mem.Addr(),
		Size:     a.mem.Size(),
		MaxSlots: g.slotLimit(a.mem.Size()) + forkSizes*a.mem.Size()/pageSize,
	}); err != nil {
		return nil, err
	}
	if err := g.h.Force(uint64(a.opts.FaultPages)); err != nil {
		return nil, errors.Join(err, g.h.Close())
	}
	g.keeper.Go(g.keep)
	return g, nil
}

func (g *userfault) kind() Guard { return GuardUserfault }

// slotSlack is how many slots there are beyond MaxPreserved: two threads that
// preserve the same page hold one each until one of them has lost.
const slotSlack = 1024

// slotLimit is the number of slots for one more snapshot of size bytes. What was
// preserved ahead, and might never have been needed, does not count against it.
func (g *userfault) slotLimit(size uint64) uint64 {
	if m := uint64(g.a.opts.MaxPreserved); m != 0 {
		return (m + pageSize - 1) / pageSize
	}
	n := size/pageSize + slotSlack
	for _, l := range *g.chain.Load() {
		n += l.copied.Load()
	}
	return n
}

// limitSlots makes that many slots usable, and those that forks need besides.
func (g *userfault) limitSlots(size uint64) error {
	g.base = g.slotLimit(size)
	g.most = max(g.most, g.base)
	return g.h.SetLimit(g.most + g.forks.pages(*g.chain.Load()))
}

// lowSlots is how few free slots make the oldest of several snapshots give way.
func lowSlots(limit uint64) uint64 { return min(limit/8, 4096) }

// warmSlots is how many slots are kept ready while a snapshot is open.
const warmSlots = 256

func (g *userfault) freeze(high func() uint64, hold hold) (frozen, timing, error) {
	if g.broken != nil {
		return nil, timing{}, g.broken
	}
	if err := g.h.CheckHandler(); err != nil {
		return nil, timing{}, err
	}
	if err := g.comeBack(); err != nil {
		return nil, timing{}, err
	}
	g.reclaim() // what has been given up should not cost the next one its slots
	// What can be done before writers are held: a table with room for some
	// growth until then, slots, memory behind the first of them.
	g.seq++
	before := high()
	tab, err := trap.NewTable(g.seq, min(before+before/8+blockSize, g.a.mem.Size())/pageSize)
	if err != nil {
		return nil, timing{}, err
	}
	limit := g.slotLimit(before)
	if err := g.limitSlots(before); err != nil {
		return nil, timing{}, errors.Join(fmt.Errorf("%w (lower MaxPreserved)", err), tab.Unmap())
	}
	if w := g.h.Warm(); w < warmSlots {
		g.h.WarmUp(min(warmSlots, limit/2) - min(w, limit/2))
	}

	done, err := g.arm(high, hold)
	if err != nil {
		return nil, timing{}, errors.Join(err, tab.Unmap(), g.tidy())
	}
	start := time.Now()
	release, err := hold()
	if err != nil {
		return nil, timing{}, errors.Join(err, tab.Unmap(), g.tidy())
	}
	held := time.Now()
	size := high()
	if tab, err = g.fit(tab, size); err != nil {
		release()
		return nil, timing{}, errors.Join(err, g.tidy())
	}
	l := &layer{g: g, tab: tab, seq: g.seq, open: true}
	l.total, l.load = size, g.armingLoad
	// From here on resolvers publish in tab. Raising says that nobody should;
	// after Drain nobody is left who has seen the table before.
	tab.Raise()
	old := *g.chain.Load()
	if len(old) > 0 {
		old[len(old)-1].tab.SetAbove(tab)
	}
	// The readers' chain first, as in supersede: a write outside the gate spoils this snapshot,
	// but readers of older ones must look where its page was preserved.
	g.chain.Store(ptr(append(old[:len(old):len(old)], l)))
	g.publish(tab)
	g.h.Drain()
	g.h.BeginArming()
	g.protector.instant(size)
	done.held, err = g.armRest(size)
	g.logged = l
	page, pc, torn := tab.Settle()
	release()
	t := timing{size: size, waited: held.Sub(start), pause: time.Since(held), passes: done}

	if torn && err == nil {
		err = &ConcurrentWriteError{Offset: page * pageSize, PC: uintptr(pc)}
	}
	if err != nil {
		// The layer is closed at once. It may still be needed by older ones.
		l.open = false
		return nil, t, errors.Join(err, g.tidy())
	}
	// An error here is munmap's: memory stays mapped, the snapshot is good.
	_ = g.tidy()
	return l, t, nil
}

// publish makes tab the one that resolvers consult, and says whether there is one.
func (g *userfault) publish(tab *trap.Table) {
	g.a.frozen.Store(tab != nil)
	g.h.Publish(tab)
}

// touch is Arena.Touch for a page.
func (g *userfault) touch(page uint64) { g.h.Touch(page) }

// fit makes table and slots fit an arena that may have grown to size before
// writers were held. On an error the table is gone.
func (g *userfault) fit(tab *trap.Table, size uint64) (*trap.Table, error) {
	if err := g.limitSlots(size); err != nil {
		return nil, errors.Join(err, tab.Unmap())
	}
	if tab.SetPages(size/pageSize) == nil {
		return tab, nil
	}
	// It grew by more than an eighth.
	if err := tab.Unmap(); err != nil {
		return nil, err
	}
	return trap.NewTable(g.seq, size/pageSize)
}

func ptr[T any](v T) *T { return &v }

// tidy drops and merges the layers that no open snapshot needs by themselves.
// Preconditions: Arena.mu is held, and nobody reads through a closed layer's
// snapshot any more.
func (g *userfault) tidy() error {
	g.supersede()
	old := *g.chain.Load()
	if len(old) == 0 && !g.a.opts.Track {
		g.disarm() // a snapshot that came to nothing
	}
	var keep, gone []*layer
	for i, l := range old {
		newest := i == len(old)-1
		l.pages, l.faults = l.tab.Preserved(), l.tab.Faults()
		switch {
		case l.wanted(), newest && len(keep) > 0:
			keep = append(keep, l)
		case newest:
			// No open snapshot at all: nobody needs a page from now on.
			g.publish(nil)
			if g.a.opts.Track {
				g.h.Drain()
			} else {
				g.disarm()
			}
			g.h.FreeSlots(l.tab)
			gone = append(gone, l)
		case len(keep) > 0:
			// Neither this layer nor the one below takes entries any more.
			g.h.Merge(keep[len(keep)-1].tab, l.tab)
			gone = append(gone, l)
		default:
			g.h.FreeSlots(l.tab)
			gone = append(gone, l)
		}
	}
	g.setLow(keep)
	if len(gone) == 0 {
		return nil
	}
	if n := len(keep); n > 1 && keep[n-1].bare {
		// What it stood on may be among those that go.
		keep[n-1].tab.SetBelow(keep[n-2].tab)
		g.h.Drain()
	}
	err := g.drop(keep, gone)
	if len(keep) == 0 {
		g.h.Ring() // cool down
	}
	return err
}

// drop makes keep the chain and unmaps the tables of those that are gone.
func (g *userfault) drop(keep, gone []*layer) error {
	g.chain.Store(&keep)
	for i, l := range keep {
		var above *trap.Table
		if i+1 < len(keep) {
			above = keep[i+1].tab
		}
		l.tab.SetAbove(above)
	}
	g.budget()
	g.h.Drain() // who looks whether a fork needs a page
	g.forks.synchronize()
	// Whoever loads the chain from here on does not see what is gone; wait for
	// those who loaded it before.
	g.readers.Lock()
	for _, l := range gone {
		l.gone = true
	}
	g.readers.Unlock()
	var errs []error
	for _, l := range gone {
		g.h.FreeSlots(l.tab) // what a merge has left
		errs = append(errs, l.tab.Unmap())
	}
	return errors.Join(errs...)
}

// supersede puts an empty layer, without a snapshot, on top of a newest layer
// whose own snapshot is closed while an older one is open: that layer can then
// be merged down, and what it holds twice is free. Without it one snapshot could
// need more slots than it has pages.
//
// The empty layer does not keep the rule that a page which is not protected has
// an entry in the newest table: it may stand in the one below. The resolver looks
// there, too (Table.SetBelow), and readers find that one first. Who has read newest
// before still publishes in the one below, until Drain has returned; so after
// copying both look at the other's table, whether the page was preserved there
// and written since.
func (g *userfault) supersede() {
	chain := *g.chain.Load()
	if len(chain) < 2 {
		return
	}
	newest := chain[len(chain)-1]
	if newest.bare || newest.wanted() || !slices.ContainsFunc(chain, (*layer).wanted) {
		return
	}
	tab, err := trap.NewTable(g.seq+1, newest.tab.Pages())
	if err != nil {
		return // then the old one stays
	}
	g.seq++
	tab.SetBelow(newest.tab)
	newest.tab.SetAbove(tab)
	// The readers' chain first: writers go on, and as soon as a resolver puts a
	// page into the new table, readers must look there.
	g.chain.Store(ptr(append(chain[:len(chain):len(chain)], &layer{g: g, tab: tab, seq: g.seq, bare: true})))
	g.publish(tab)
	g.h.Drain()
}

// wanted: an open snapshot reads through it as its first layer.
func (l *layer) wanted() bool { return l.open && !l.void.Load() }

// lost: it has been given up, or is about to be.
func (l *layer) lost() bool {
	return l.void.Load() || l.pins.Load() == 0 && l.g.h.Overrun() >= l.seq
}

// setLow makes slots running low ring the bell where giving up the oldest
// snapshot helps another one.
func (g *userfault) setLow(layers []*layer) {
	low, open := uint64(0), 0
	for _, l := range layers {
		if l.wanted() {
			open++
		}
	}
	if open > 1 {
		low = lowSlots(g.base)
	}
	g.low = low
	g.h.SetLow(low)
}

func (l *layer) readAt(p []byte, off uint64) error {
	g := l.g
	if l.void.Load() {
		return ErrOverrun
	}
	first, end := off/pageSize, (off+uint64(len(p))+pageSize-1)/pageSize
	g.readers.RLock()
	defer g.readers.RUnlock()
	for page := first; page < end; {
		if content, ok := l.slot(page); ok {
			copyOverlap(p, off, content, page*pageSize)
			page++
			continue
		}
		from := page
		for page++; page < end; page++ {
			if _, ok := l.slot(page); ok {
				break
			}
		}
		if err := l.readLive(p, off, from, page); err != nil {
			return err
		}
	}
	// A slot is taken away only after one of these marks was set, so if neither
	// is, what was copied was still there.
	if l.lost() {
		return ErrOverrun
	}
	return nil
}

// readLive reads those of the pages [first, end) that p, which stands at off, has
// a part in, from the live memory, as long as nobody has preserved them.
func (l *layer) readLive(p []byte, off, first, end uint64) error {
	// A damaged file is an error here; touching the page would be a crash.
	if err := l.g.bringIn(first, end-first); err != nil {
		return err
	}
	copyOverlap(p, off, l.g.a.mem.Bytes(first*pageSize, (end-first)*pageSize), first*pageSize)
	delay()
	// The copy comes before the look at the tables (on amd64 loads keep their order):
	// what is preserved from here on was whole when it was copied.
	for page := first; page < end; page++ {
		delay()
		if content, ok := l.slot(page); ok {
			copyOverlap(p, off, content, page*pageSize)
		}
	}
	return nil
}

// slot is where page stands as of l, if somebody has preserved it.
func (l *layer) slot(page uint64) (content []byte, ok bool) {
	chain := *l.g.chain.Load()
	for len(chain) > 0 && chain[0] != l {
		chain = chain[1:]
	}
	for i, c := range chain {
		slot, ok := c.tab.Slot(page)
		if !ok {
			continue
		}
		// Again: one of those passed over may have got it meanwhile, from a resolver that was
		// late when this one was published, for a write outside the gate. Then what
		// stands here was saved after that write.
		for _, older := range chain[:i] {
			if first, ok := older.tab.Slot(page); ok {
				slot = first
				break
			}
		}
		return l.g.h.SlotBytes(slot), true
	}
	return nil, false
}

// copyOverlap copies the part of src, which stands at srcOff, that lies within
// dst, which stands at dstOff.
func copyOverlap(dst []byte, dstOff uint64, src []byte, srcOff uint64) {
	if srcOff < dstOff {
		src, srcOff = src[dstOff-srcOff:], dstOff
	}
	copy(dst[srcOff-dstOff:], src)
}

// release gives protection back early: only where this is the one snapshot,
// because an older one would miss what is written from then on. Arming is
// locked out; if somebody is about to arm, what is left comes with the next call.
func (l *layer) release(off, n uint64) {
	g := l.g
	first, end := (off+pageSize-1)/pageSize, (off+n)/pageSize
	if l.late != 0 && l.lateEnd == first {
		first = l.late - 1
	}
	if !g.a.mu.TryLock() {
		l.late, l.lateEnd = first+1, end
		return
	}
	defer g.a.unlock()
	l.late = 0
	if g.a.opts.Track {
		return // it would look as if somebody had written there
	}
	if chain := *g.chain.Load(); len(chain) != 1 || chain[0] != l || l.void.Load() || l.pins.Load() > 0 {
		return
	}
	const block = blockSize / pageSize
	l.released = true
	for first < end {
		stop := min(end, (first/block+1)*block)
		g.h.Tombstone(l.tab, first, stop-first)
		first = stop
	}
}

func (l *layer) cost() cost {
	l.g.readers.RLock()
	defer l.g.readers.RUnlock()
	if l.gone {
		return cost{int(l.slices.Load()), l.pages, l.copied.Load(), l.faults}
	}
	return cost{int(l.slices.Load()), l.tab.Preserved(), l.copied.Load(), l.tab.Faults()}
}

// close is called with Arena.mu held, when no reader of this snapshot is left.
func (l *layer) close() error {
	l.open = false
	if l.void.Load() {
		return nil // keep has reclaimed it already
	}
	return l.g.tidy()
}
