//go:build linux && amd64

package trap

import (
	"fmt"
	"unsafe"

	"github.com/cowheap/cowheap/internal/vm"
)

// A fork: the missing pages of a Range come from a snapshot of another one, the
// parent, which goes on being written. The resolver of the fork reads the parent's
// memory as any reader of a snapshot does: it copies the live page, then walks the
// Tables from the snapshot's on upward. None has an entry, and the copy is good,
// because whoever lifted the protection would have published before; one has, and its
// slot is read. It waits for nobody.
//
// Ordinary code may unlink a Table from that walk, after what it held has been merged
// into the one below. Before it unmaps the Table it waits until nobody is left who may
// have found it before: Synchronize.

// AttachParent makes the pages [0, pages) missing ones that come from the snapshot of
// parent that t belongs to. It costs memory for a bit a page.
// Preconditions: as AttachImage. What of parent is missing is zero. Until ForgetFile or
// Close has returned, parent and t stay, and t's snapshot is preserved (SetPinned);
// other Tables are unmapped after Synchronize only.
func (h *Handle) AttachParent(parent *Handle, t *Table, pages uint64) (err error) {
	if pages > h.r.pages || pages > t.pages {
		return fmt.Errorf("%d pages of a snapshot of %d for a range of %d", pages, t.pages, h.r.pages)
	}
	blocks := (pages + blockPages - 1) >> blockShift
	m := &imageMemory{path: "the parent"}
	indexOff := roundUp(uint64(unsafe.Sizeof(Image{})))
	presentOff := indexOff + roundUp(blocks*8)
	zerosOff := presentOff + roundUp(blocks*blockPages/8)
	if m.main, err = vm.Map(zerosOff + bounceSize); err != nil {
		return err
	}
	if m.bounce, err = vm.Map(bounces * bounceSize); err != nil {
		_ = m.unmap()
		return err
	}
	base := uint64(m.main.Addr())
	im := (*Image)(m.main.Base())
	im.pages, im.index, im.present, im.zeros = pages, base+indexOff, base+presentOff, base+zerosOff
	im.bounce, im.free = uint64(m.bounce.Addr()), ^uint64(0)
	im.parent, im.table = uint64(parent.ctl.Addr())+rangeOff, t.addr()
	m.im, h.image = im, m
	store64(&h.r.image, base)
	return nil
}

// Synchronize waits until nobody is left who began to bring pages in before the call: what
// they brought in counts as present, and they look at the parent no more. It may run beside
// resolvers that come in one after the other, so it does not wait until there is none: who
// comes in after the phase has changed counts elsewhere. (Twice, because one may have read the phase and not counted yet;
// it has counted, or will see the second change, as with sleepable RCU. One caller
// after the other: between two changes of somebody else both could be the same.)
func (h *Handle) Synchronize() {
	h.phases.Lock()
	defer h.phases.Unlock()
	im := h.image.im
	for range 2 {
		waitZero(&im.readers[(add64(&im.phase, 1)-1)&1])
	}
}

// bringAsOf brings page in from the parent, and the following ones where
// somebody goes on from page to page.
//
//go:nosplit
//go:norace
//go:nocheckptr
func (r *Range) bringAsOf(page uint64) (result uint64) {
	im := imageAt(load64(&r.image))
	if im == nil {
		return bringDone
	}
	n, faults := r.hinted(page)
	stop := min(page+min(n, aroundPages), (page>>blockShift+1)<<blockShift, im.pages)
	b := im.takeBounce()
	if b == bounces {
		syscall6(sysYield, 0, 0, 0, 0, 0, 0)
		return bringRetry
	}
	buf := im.bounce + b*bounceSize
	end := page
	for end < stop && (end == page || r.isMissing(end)) {
		im.copyAsOf(buf+(end-page)<<pageShift, end)
		end++
	}
	r.leaveHint(page, end, n, faults-1) // it was no write fault
	result = r.copyIn(im, page, end-page, page, buf)
	or64(&im.free, 1<<b)
	return result
}

// copyAsOf copies page as of the snapshot to dst.
//
//go:nosplit
//go:norace
//go:nocheckptr
func (im *Image) copyAsOf(dst, page uint64) {
	parent := load64(&im.parent)
	if parent == 0 {
		copyPages(dst, im.zeros, pageSize) // it was forgotten meanwhile
		return
	}
	p := rangeAt(parent)
	if p.copyPreserved(dst, im.table, page) {
		return
	}
	// (What of the parent is missing is zero; touching it here would kill.)
	if p.isMissing(page) {
		copyPages(dst, im.zeros, pageSize)
	} else {
		copyPages(dst, p.start+page<<pageShift, pageSize)
	}
	// On amd64 loads keep their order, so the copy comes before the second walk.
	delay(delayMissing)
	p.copyPreserved(dst, im.table, page)
}

// copyPreserved copies what is preserved of page in the Table at address table or in
// those above it, if anything is.
//
//go:nosplit
//go:norace
//go:nocheckptr
func (r *Range) copyPreserved(dst, table, page uint64) bool {
	e, above := findPreserved(table, page)
	if e == entryNone {
		return false
	}
	if above {
		// Again: a Table that was passed over may have got the page meanwhile, from a resolver
		// that was late when the next one was published, for a write outside the gate. Then
		// what stands there was saved after that write. (Who sees the younger entry sees the
		// older one: loads keep their order, and so do the swaps that set them.)
		if first, _ := findPreserved(table, page); first != entryNone {
			e = first
		}
	}
	copyPages(dst, r.slots+uint64(e-1)<<pageShift, pageSize)
	return true
}

// findPreserved gives page's entry in the first Table that has one, from that at address
// table on upward; entryNone if there is none. above: not in that one itself.
//
//go:nosplit
//go:norace
//go:nocheckptr
func findPreserved(table, page uint64) (e uint32, above bool) {
	for t := tableAt(table); t != nil; {
		// The link first: who reads the new one reads the entries after what was
		// unlinked has been merged.
		next := tableAt(load64(&t.above))
		delay(delayWalk)
		if page < t.pages {
			if e = load32(t.entry(page)); e != entryNone && e != entryTomb {
				return e, above
			}
		}
		delay(delayWalk)
		t, above = next, true
	}
	return entryNone, above
}
