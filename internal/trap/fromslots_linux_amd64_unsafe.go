//go:build linux && amd64

package trap

import (
	"fmt"
	"unsafe"

	"github.com/cowheap/cowheap/internal/vm"
)

// Missing pages whose content stands in slots that nobody changes while they are needed:
// a fork of a snapshot of the shadow guard. There is nothing to be validated, and
// nothing to be copied first: UFFDIO_COPY reads the slot itself.

// AttachSlots makes the pages [0, pages) missing ones that come from the slots of pageSize
// bytes from address slots on. It answers the numbers of their slots, for the caller to
// fill in before anybody touches a page; 0 is a page of zeros.
// Preconditions: as AttachImage. Until ForgetFile or Close has returned the slots stay as they are.
func (h *Handle) AttachSlots(slots uintptr, pages uint64) (slotOf []uint32, err error) {
	if pages > h.r.pages {
		return nil, fmt.Errorf("slots of %d pages for a range of %d", pages, h.r.pages)
	}
	m := &imageMemory{path: "the parent"}
	presentOff := roundUp(uint64(unsafe.Sizeof(Image{})))
	zerosOff := presentOff + roundUp((pages+63)/64*8)
	slotOff := zerosOff + bounceSize
	if m.main, err = vm.Map(slotOff + roundUp(pages*4)); err != nil {
		return nil, err
	}
	base := uint64(m.main.Addr())
	im := (*Image)(m.main.Base())
	im.pages, im.present, im.zeros = pages, base+presentOff, base+zerosOff
	im.slots, im.slotOf = uint64(slots), base+slotOff
	m.im, h.image = im, m
	store64(&h.r.image, base)
	return unsafe.Slice((*uint32)(unsafe.Add(m.main.Base(), slotOff)), pages), nil
}

// bringSlots brings page in from its slot, and the following ones, as far as their slots follow
// each other, where somebody goes on from page to page.
//
//go:nosplit
//go:norace
//go:nocheckptr
func (r *Range) bringSlots(page uint64) (result uint64) {
	im := imageAt(load64(&r.image))
	if im == nil {
		return bringDone
	}
	n, faults := r.hinted(page)
	stop := min(page+min(n, aroundPages), (page>>blockShift+1)<<blockShift, im.pages)
	src, step := im.zeros, uint64(0)
	// Forgotten, what is missing is zero.
	slots, first := load64(&im.slots), uint64(load32(word32(im.slotOf+page<<2)))
	if slots != 0 && first != 0 {
		src, step = slots+first<<pageShift, 1
	}
	end := page + 1
	for end < stop && r.isMissing(end) &&
		(slots == 0 || uint64(load32(word32(im.slotOf+end<<2))) == (first+end-page)*step) {
		end++
	}
	r.leaveHint(page, end, n, faults-1) // it was no write fault
	return r.copyIn(im, page, end-page, page, src)
}
