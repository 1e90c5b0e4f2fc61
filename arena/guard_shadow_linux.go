package arena

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cowheap/cowheap/internal/uffd"
)

// shadow is the guard that keeps a second copy of the memory. The kernel notes which
// pages are written (userfaultfd, asynchronously: no signal, no other thread), and a
// snapshot copies those into new slots.
//
// # What stands where
//
// cur has for each page the slot with its content as of the newest snapshot. When
// the next one finds the page written, cur gets a new slot, and the old one goes into
// the delta of the newest layer until then. A layer is an open snapshot; a page as of
// it = the entry in the oldest layer not older that has one, else cur. So whoever
// reads a snapshot never looks at the live memory, a slot does not change while
// anybody may read it, and nothing has to be validated.
//
// Closing a snapshot hands what its delta holds down to the next older layer,
// or frees it if there is none.
//
// # Which pages are dirty
//
// At every instant a page below High has changed since it was last copied only if
//   - it lies beyond armed: dirty by definition, or
//   - it is not write-protected: a scan of the page map finds it, and protects it again in
//     the same step, or leaves it as it is and takes it again the next time (shadow_hot_linux.go), or
//   - it is on a list in pending: it was copied for a snapshot that did not come
//     about, or not yet; the slot on the list has its content, unless a scan finds
//     it again.
//
// Where a scan or a copy fails half-way, armed becomes 0: everything is dirty, and
// nothing can be lost.
//
// Beyond High as of the newest snapshot cur is 0.
//
// # Missing pages
//
// A lazy restore or a fork begins without a copy: cur says elsewhere, which is where the
// missing pages come from, and so does a delta when such a page has been written. See
// shadow_incoming_linux.go.
//
// # Who may do what
//
// Arena.mu is held by all that changes anything. readers is held for reading by
// those who read a snapshot, in pieces of at most 256 KiB, and for writing while layers,
// their deltas and cur change.
type shadow struct {
	a       *Arena
	fd      *uffd.FD
	pagemap *uffd.Pagemap
	slots   *slotPool

	armed   uint64     // bytes from 0 on that were protected: whole blocks, or all that came from elsewhere
	pending [][]placed // oldest first
	waiting uint64     // slots on these lists that are not in cur, too
	policy
	pace
	hot
	incoming

	// readers guards what follows, see above.
	readers sync.RWMutex
	newest  *shadowLayer // of those that are open
	cur     slotTable
	inCur   uint64 // slots in cur
	refers  bool   // some entry may say elsewhere

	lists   listPool
	regions []uffd.PageRegion // for the next scan
	timer   *time.Timer       // to give memory back
	closed  bool

	figures struct {
		preserved, shadow, hot, limit, overruns, armed atomic.Uint64
	}
}

// probeShadow tells whether the guard works here, and why not.
func probeShadow() error {
	for _, have := range []func() error{uffd.HaveUserfaultfd, uffd.HaveWriteProtect, uffd.HaveWPUnpopulated, uffd.HaveWPAsync, uffd.HavePagemapScan} {
		if err := have(); err != nil {
			if errors.Is(err, errors.ErrUnsupported) {
				return fmt.Errorf("%w: %w", ErrNotSupported, err)
			}
			return err // it could not be told
		}
	}
	return nil
}

func newShadow(a *Arena) (_ guard, err error) {
	if err := probeShadow(); err != nil {
		return nil, fmt.Errorf("guard shadow: %w", err)
	}
	if a.opts.HugePages {
		if err := uffd.HaveHugePages(); err != nil {
			return nil, fmt.Errorf("huge pages with guard shadow: %w: %w", ErrNotSupported, err)
		}
	}
	g := &shadow{a: a, pace: pace{pageNs: firstPageNs, rangeNs: firstRangeNs}}
	defer func() {
		if err != nil {
			err = errors.Join(err, g.close())
		}
	}()
	// SIGBUS is for missing pages: of writes the kernel tells nobody.
	if g.fd, err = uffd.Open(uffd.FeatureWriteProtect | uffd.FeatureWPUnpopulated | uffd.FeatureWPAsync | uffd.FeatureSIGBUS); err != nil {
		return nil, fmt.Errorf("guard shadow: %w", err)
	}
	if g.pagemap, err = uffd.OpenPagemap(); err != nil {
		return nil, fmt.Errorf("guard shadow: %w", err)
	}
	if err := g.fd.Register(a.mem.Addr(), uintptr(a.mem.Size()), uffd.ModeWP); err != nil {
		return nil, err
	}
	pages := a.mem.Size() / pageSize
	if g.cur, err = newSlotTable(pages); err != nil {
		return nil, err
	}
	// The shadow, what is being copied, and the history. Addresses cost nothing.
	if g.slots, err = newSlotPool(2*pages + max(pages, uint64(a.opts.MaxPreserved)/pageSize)); err != nil {
		return nil, err
	}
	g.figures.limit.Store(uint64(a.opts.MaxPreserved))
	g.timer = time.AfterFunc(shadowCool, g.cool)
	g.timer.Stop()
	return g, nil
}

func (g *shadow) kind() Guard { return GuardShadow }

func (g *shadow) freeze(high func() uint64, hold hold) (frozen, timing, error) {
	defer g.publishFigures()
	if g.broken != nil {
		return nil, timing{}, g.broken
	}
	var done passes
	known := g.armed > 0
	if g.unscanned {
		if err := g.armIncoming(&done); err != nil {
			return nil, timing{}, err
		}
	}
	if g.aheadPays(high()) {
		if err := g.takeAhead(high, &done); err != nil {
			return nil, timing{}, err
		}
	}
	start := time.Now()
	release, err := hold()
	if err != nil {
		return nil, timing{}, err // pending has what was taken
	}
	held := time.Now()
	size := high()
	done.held, err = g.takeRest(size)
	release()
	t := timing{size: size, waited: held.Sub(start), pause: time.Since(held), passes: done}
	if err != nil {
		return nil, t, err
	}
	// Writers go on: nothing from here on looks at the live memory.
	fresh := g.settlePending()
	copied := uint64(len(fresh))
	l := &shadowLayer{g: g, size: size, copied: copied}
	g.notice(fresh, known && g.mode == byProtecting || g.mode == byComparing)
	g.makeRoom(fresh, size)
	g.publish(fresh, l)
	g.adapt(copied, (size+pageSize-1)/pageSize, known)
	g.timer.Reset(shadowCool)
	return l, t, nil
}

// publish makes fresh what cur says, and l the newest layer.
func (g *shadow) publish(fresh []placed, l *shadowLayer) {
	g.readers.Lock()
	defer g.readers.Unlock()
	old := g.swap(fresh)
	g.waiting = 0
	if g.newest != nil {
		g.newest.delta.add(old, &g.lists, g.drop)
	} else {
		g.discard(old)
	}
	l.older = g.newest
	if l.older != nil {
		l.older.newer = l
	}
	g.newest = l
}

// swap puts the slots of list into cur, and what stood there into list.
// What was there already is taken off.
// Preconditions: readers is locked.
func (g *shadow) swap(list []placed) (old []placed) {
	old = list[:0]
	for _, e := range list {
		if was := g.cur.slots[e.page]; was != e.slot {
			g.setCur(e.page, e.slot)
			old = append(old, placed{e.page, was})
		}
	}
	return old
}

func (g *shadow) setCur(page, slot uint32) {
	if isSlot(g.cur.slots[page]) {
		g.inCur--
	}
	if isSlot(slot) {
		g.inCur++
	}
	g.cur.slots[page] = slot
}

// drop gives the slot of e back.
func (g *shadow) drop(e placed) { g.slots.give(e.slot) }

// discard gives the slots of list back, and the list.
func (g *shadow) discard(list []placed) {
	for _, e := range list {
		g.slots.give(e.slot)
	}
	g.lists.put(list)
}

// history is how many slots are held for snapshots beyond the shadow itself.
func (g *shadow) history() uint64 { return g.slots.used - g.inCur - g.waiting }

func (g *shadow) publishFigures() {
	g.figures.preserved.Store(g.history())
	g.figures.shadow.Store(g.inCur)
	g.figures.hot.Store(uint64(len(g.open)))
	g.figures.armed.Store(g.armed)
}

func (g *shadow) stats(s *Stats) {
	s.PreservedPages = int64(g.figures.preserved.Load())
	s.PreservedBytes = s.PreservedPages * pageSize
	s.ShadowBytes = int64(g.figures.shadow.Load()) * pageSize
	s.HotPages = int64(g.figures.hot.Load())
	s.MaxPreserved = int64(g.figures.limit.Load())
	s.Overruns = int64(g.figures.overruns.Load())
	if regions, err := g.scanRange(nil, g.figures.armed.Load(), 0); err == nil {
		for _, r := range regions {
			s.Dirty += int64((r.End - r.Start) / pageSize)
		}
	}
	if g.missing != nil {
		s.RestoredPages, s.RestorePages, s.Missing = g.missing.figures()
	}
}

// prepareRead, prepareWrite and pin have nothing to do but to bring missing pages in: the
// kernel resolves writes that system calls make, too.
func (g *shadow) prepareRead(off, n uint64) error {
	if g.missing == nil {
		return nil
	}
	return g.missing.bringIn(off/pageSize, (off+n+pageSize-1)/pageSize-off/pageSize)
}

func (g *shadow) prepareWrite(off, n uint64) error { return g.prepareRead(off, n) }

func (g *shadow) pin(off, n uint64) (unpin func(), err error) {
	return func() {}, g.prepareRead(off, n)
}

func (g *shadow) fill(off uint64, src []byte) error {
	copy(g.a.mem.Bytes(off, uint64(len(src))), src)
	return nil
}

const (
	// shadowCool is how long no snapshot must have been taken or closed before the memory
	// of free slots goes back to the system.
	shadowCool = 5 * time.Second
	// keptSlots are kept all the same.
	keptSlots = 1024
)

// cool gives the memory of free slots back, but for what the next snapshot is likely to need,
// or does what a snapshot stood in the way of.
func (g *shadow) cool() {
	g.a.mu.Lock()
	defer g.a.unlock()
	switch {
	case g.closed:
	case g.mayEndIncoming():
		_ = g.endIncoming() // the next snapshot says so, or the end of the next one tries again
		g.publishFigures()
		g.timer.Reset(shadowCool)
	default:
		_ = g.slots.cool(max(keptSlots, g.lastDirty)) // it stays in memory then
	}
}

func (g *shadow) quiesce() { g.timer.Stop() }

func (g *shadow) close() error {
	g.closed = true
	var errs []error
	if g.timer != nil {
		g.timer.Stop()
	}
	if g.missing != nil {
		errs = append(errs, g.missing.close()) // after it no resolver uses the descriptor
	}
	if g.pagemap != nil {
		errs = append(errs, g.pagemap.Close())
	}
	if g.fd != nil {
		errs = append(errs, g.fd.Close())
	}
	errs = append(errs, g.cur.mem.Unmap())
	if g.slots != nil {
		errs = append(errs, g.slots.mem.Unmap())
	}
	return errors.Join(errs...)
}
