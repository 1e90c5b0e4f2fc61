package arena

import (
	"bytes"
	"fmt"
	"runtime"
	"time"

	"github.com/cowheap/cowheap/internal/uffd"
)

// Incoming: a lazy restore or a fork under the shadow guard.
//
// Missing pages are brought in by the thread that touches them, or in bulk, and come in
// protected: clean. What the kernel finds written afterwards is dirty, as everywhere. For all other pages
// the copy is where they come from, the file or the parent's slots: cur says elsewhere for
// them, until they are found dirty, and a snapshot that reads one reads it there.
//
// What has never been touched has no protection, and looks written to a scan. So the
// first snapshot scans everything once, which protects it (a marker, where nothing is yet), and
// leaves out what is missing. A page may be in and written and still count as missing, because who brings
// it in says so afterwards: hence the scan, then waiting for those, then the look at what is missing.
//
// When all is in, the file or the parent is to be released. With no snapshot open it is as
// if all had been written: the next one makes the copy. Else it is made at once.

// incoming is what a shadow guard knows of missing pages. Under Arena.mu, but for missing,
// which is set before the arena is used.
type incoming struct {
	missing   missingPages // nil: there never were any
	high      uint64       // bytes [0, high) come from there; 0 again when none of them can be missing any more
	unscanned bool         // see above
	allIn     bool         // but for pages of zeros
	broken    error        // why no snapshot can be taken any more
}

// missingPages brings pages in. All but close by any goroutine at any time, beside faults.
type missingPages interface {
	bringIn(first, n uint64) error // those of n pages that are missing
	bring(off uint64, src []byte) error
	brought(first, n uint64) (page uint64, ok bool) // the first of n pages that is in
	// synchronize waits for those who have brought something in and not said so yet.
	synchronize()
	// readAt reads what came, or comes in, until forget: after that what is missing is zero.
	readAt(p []byte, off uint64) error
	forget()
	detach() // nothing is missing any more
	figures() (in, of, faults int64)
	close() error
}

// expect makes [0, high) come from m.
func (g *shadow) expect(high uint64, m missingPages) error {
	pages := high / pageSize
	if err := g.cur.cover(pages); err != nil {
		return err
	}
	cur := g.cur.slots[:pages]
	for i := range cur {
		cur[i] = elsewhere
	}
	g.refers = true
	g.incoming = incoming{missing: m, high: high, unscanned: true}
	return nil
}

// armIncoming is the first scan.
func (g *shadow) armIncoming(done *passes) (err error) {
	from := time.Now()
	defer func() { done.arming += time.Since(from) }()
	// Should it fail all is dirty, and armed is 0 as yet.
	g.unscanned, g.lastScan = false, from
	base := uint64(g.a.mem.Addr())
	var all []uffd.PageRegion
	for at := uint64(0); at < g.high; at += armRound {
		if all, err = g.pagemap.Scan(all, g.a.mem.Addr()+uintptr(at), uintptr(min(armRound, g.high-at)), uffd.ScanProtect); err != nil {
			return fmt.Errorf("arming write protection: %w", err)
		}
	}
	g.missing.synchronize()
	g.regions = g.regions[:0]
	for _, r := range all {
		for page, end := (r.Start-base)/pageSize, (r.End-base)/pageSize; page < end; page++ {
			next, ok := g.missing.brought(page, end-page)
			if !ok {
				break
			}
			page = next
			at := base + page*pageSize
			if n := len(g.regions); n > 0 && g.regions[n-1].End == at {
				g.regions[n-1].End += pageSize
			} else {
				g.regions = append(g.regions, uffd.PageRegion{Start: at, End: at + pageSize})
			}
		}
	}
	g.armed = g.high
	n, err := g.takeRegions()
	done.reprotected += n
	return err
}

// bringList brings in what of list is missing, with an error where touching it would crash.
// (Only when all counts as dirty, or a page was written by one who has not said yet that it is in.)
func (g *shadow) bringList(list []placed) error {
	if g.high == 0 {
		return nil
	}
	for _, e := range list {
		if err := g.missing.bringIn(uint64(e.page), 1); err != nil {
			return err
		}
	}
	return nil
}

// bring is called with Arena.mu held.
func (g *shadow) bring(off uint64, src []byte) error {
	if g.missing == nil {
		return ErrNotSupported
	}
	return g.missing.bring(off, src)
}

func (g *shadow) complete(hold) error {
	if g.high == 0 {
		return nil
	}
	defer g.publishFigures()
	if !g.allIn {
		if g.newest != nil {
			if err := g.takeBase(); err != nil {
				return fmt.Errorf("copying what came in: %w", err)
			}
		} else {
			g.dropBase()
		}
		g.missing.forget()
		g.allIn = true
	}
	if !g.mayEndIncoming() {
		return nil
	}
	return g.endIncoming()
}

func (g *shadow) mayEndIncoming() bool { return g.allIn && g.high > 0 && g.newest == nil }

// endIncoming has the kernel tell of missing pages no more, in some 20 ms a GiB. That drops
// every protection. Writers may go on: all is dirty.
// Preconditions: mayEndIncoming.
func (g *shadow) endIncoming() error {
	g.armed = 0
	n := uintptr(g.high)
	if err := g.fd.Unregister(g.a.mem.Addr(), n); err != nil {
		return fmt.Errorf("ending the lazy restore: %w", err)
	}
	// Only now: a missing fault that finds no image would be hopeless.
	g.missing.detach()
	g.missing.synchronize()
	if err := g.fd.Register(g.a.mem.Addr(), n, uffd.ModeWP); err != nil {
		g.broken = fmt.Errorf("registering the arena again after the lazy restore: %w", err)
		return g.broken
	}
	g.high = 0
	return nil
}

// dropBase forgets what stands elsewhere: no snapshot is open, and all is dirty from here on.
func (g *shadow) dropBase() {
	g.armed, g.unscanned = 0, false
	g.readers.Lock()
	defer g.readers.Unlock()
	cur := g.cur.slots[:g.high/pageSize]
	for i, slot := range cur {
		if slot == elsewhere {
			cur[i] = 0
		}
	}
	g.refers = false
}

// takeBase copies what stands elsewhere and is needed, into slots.
func (g *shadow) takeBase() error {
	list, err := g.claimBase()
	if err == nil {
		err = g.readBase(list)
	}
	if err != nil {
		for _, e := range list {
			g.slots.give(e.slot)
		}
		return err
	}
	zero := make([]byte, pageSize)
	for i, e := range list {
		if bytes.Equal(g.slots.bytes(e.slot, 1), zero) {
			g.slots.give(e.slot)
			list[i].slot = 0
		}
	}
	g.readers.Lock()
	defer g.readers.Unlock()
	for _, e := range list {
		if g.cur.slots[e.page] == elsewhere {
			g.setCur(e.page, e.slot)
		}
	}
	for c := g.newest; c != nil; c = c.older {
		for _, entries := range c.delta.lists {
			rest := list
			for i, e := range entries {
				if e.slot == elsewhere {
					rest = from(rest, e.page)
					entries[i].slot = rest[0].slot
				}
			}
		}
	}
	g.refers = false
	return nil
}

// claimBase is what stands elsewhere, with a slot for each page: either cur says so, or one delta.
func (g *shadow) claimBase() (list []placed, err error) {
	for page, slot := range g.cur.slots[:g.high/pageSize] {
		if slot == elsewhere {
			list = append(list, placed{page: uint32(page)})
		}
	}
	for c := g.newest; c != nil; c = c.older {
		for _, entries := range c.delta.lists {
			var some []placed
			for _, e := range entries {
				if e.slot == elsewhere {
					some = append(some, placed{page: e.page})
				}
			}
			if len(some) > 0 {
				list = unite(nil, list, some)
			}
		}
	}
	for at := 0; at < len(list); {
		slot, n, err := g.slots.take(uint32(len(list) - at))
		if err != nil {
			return list[:at], err
		}
		for i := range n {
			list[at].slot = slot + i
			at++
		}
	}
	return list, nil
}

// readBase reads it.
func (g *shadow) readBase(list []placed) error {
	return parallel(uint64(len(list)), copyPages, copyOnEach, runtime.GOMAXPROCS(0), func(at, n uint64) error {
		for part := list[at : at+n]; len(part) > 0; {
			n := run(part)
			if err := g.missing.readAt(g.slots.bytes(part[0].slot, uint32(n)), uint64(part[0].page)*pageSize); err != nil {
				return err
			}
			part = part[n:]
		}
		return nil
	})
}

func (g *shadow) arrived(first uint64, dst []uint64) uint64 {
	if m, ok := g.missing.(arrivals); ok {
		return m.arrived(first, dst)
	}
	return 0
}
