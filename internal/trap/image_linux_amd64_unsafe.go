//go:build linux && amd64

package trap

import (
	"errors"
	"fmt"
	"runtime"
	"unsafe"

	"github.com/cowheap/cowheap/internal/block"
	"github.com/cowheap/cowheap/internal/vm"
)

// ImageConfig names the file that missing pages come from.
type ImageConfig struct {
	FD    int      // of the file, opened for reading; must stay open until Handle.Close
	Path  string   // for the last words
	Pages uint64   // pages [0, Pages) of the range come from the file
	Index []uint64 // for each region of 512 pages its block's file offset, 0: all zero
	ID    [16]byte // the checkpoint's UUID
}

// imageMemory is what an Image stands in.
type imageMemory struct {
	im      *Image
	main    vm.Mapping // Image, path, index, ready words, bitmap, zeros
	headers vm.Mapping
	bounce  vm.Mapping
	path    string
}

// ErrDamaged: a page cannot be brought in.
var ErrDamaged = errors.New("checkpoint file damaged or unreadable")

// AttachImage makes the pages [0, c.Pages) missing ones. It costs memory for
// the index, 8 bytes for 2 MiB, and nothing else before pages are touched.
// Preconditions: the range is registered for missing faults there, nothing has
// been written to it, and nobody uses it yet.
func (h *Handle) AttachImage(c ImageConfig) (err error) {
	regions := (c.Pages + blockPages - 1) >> blockShift
	if uint64(len(c.Index)) != regions || c.Pages > h.r.pages {
		return fmt.Errorf("image of %d pages with an index of %d regions for a range of %d pages", c.Pages, len(c.Index), h.r.pages)
	}
	m := &imageMemory{path: c.Path}
	defer func() {
		if err != nil {
			err = errors.Join(err, m.unmap())
		}
	}()
	// One mapping, laid out in this order.
	pathOff := roundUp(uint64(unsafe.Sizeof(Image{})))
	indexOff := pathOff + roundUp(uint64(len(c.Path)))
	readyOff := indexOff + roundUp(regions*8)
	presentOff := readyOff + roundUp(regions*8)
	zerosOff := presentOff + roundUp(regions*blockPages/8)
	if m.main, err = vm.Map(zerosOff + bounceSize); err != nil {
		return err
	}
	if m.headers, err = vm.Map(roundUp(regions * block.HeaderSize)); err != nil {
		return err
	}
	if m.bounce, err = vm.Map(bounces * bounceSize); err != nil {
		return err
	}
	base := uint64(m.main.Addr())
	copy(m.main.Bytes(pathOff, uint64(len(c.Path))), c.Path)
	copy(unsafe.Slice((*uint64)(unsafe.Add(m.main.Base(), indexOff)), regions), c.Index)
	im := (*Image)(m.main.Base())
	im.fd, im.pages = uint64(c.FD), c.Pages
	im.path, im.pathLen = base+pathOff, uint64(len(c.Path))
	im.index, im.ready, im.present, im.zeros = base+indexOff, base+readyOff, base+presentOff, base+zerosOff
	im.headers, im.bounce, im.free = uint64(m.headers.Addr()), uint64(m.bounce.Addr()), ^uint64(0)
	copy(unsafe.Slice((*byte)(unsafe.Pointer(&im.id)), 16), c.ID[:])
	m.im, h.image = im, m
	store64(&h.r.image, base)
	return nil
}

// ForgetFile says that every page that is not all zero is in: what is missing
// is zero, and once it has returned the file, the parent or its slots are not looked at any more.
func (h *Handle) ForgetFile() {
	im := h.image.im
	store64(&im.parent, 0)
	store64(&im.slots, 0)
	if im.index != 0 {
		for region := range (im.pages + blockPages - 1) >> blockShift {
			store64(word64(im.index+region*8), 0)
		}
	}
	// Last: who comes while others are waited for is not.
	h.Synchronize()
}

// DetachImage ends it: no page is missing from now on. The image's memory stays
// until Close, because a resolver may be reading it.
// Preconditions: the range is not registered for missing faults any more.
func (h *Handle) DetachImage() { store64(&h.r.image, 0) }

func (m *imageMemory) unmap() error {
	return errors.Join(m.bounce.Unmap(), m.headers.Unmap(), m.main.Unmap())
}

// BringIn brings the missing pages of [first, first+n) in, as the resolver
// does, but answers an error (ErrDamaged) where the resolver would crash. It
// may run concurrently with itself and the resolver.
func (h *Handle) BringIn(first, n uint64) error {
	if load64(&h.r.image) == 0 {
		return nil
	}
	for p := first; p < first+n; p++ {
		for tries := 0; h.r.isMissing(p); tries++ {
			result, offset := h.r.bringOne(p)
			if result == bringAgain && tries > 1000 {
				return fmt.Errorf("page at arena offset %#x of %s: the kernel refuses to bring it in (no memory?)", p<<pageShift, h.image.path)
			}
			if result == bringFailed {
				return fmt.Errorf("page at arena offset %#x: %w at offset %#x of %s", p<<pageShift, ErrDamaged, offset, h.image.path)
			}
		}
	}
	return nil
}

// bringOne is missingFault for ordinary code.
func (r *Range) bringOne(page uint64) (result, offset uint64) {
	counter := r.arrive()
	if counter == 0 {
		return bringDone, 0
	}
	defer add64(word64(counter), ^uint64(0))
	switch r.origin() {
	case fromSlots:
		return r.bringSlots(page), 0
	case fromParent:
		return r.bringAsOf(page), 0
	case fromFile:
		return r.bringIn(page)
	}
	return bringDone, 0
}

// ReadImage fills p with what stands at off of the image, be it in or not; it brings nothing
// in. ErrDamaged as BringIn. Any number of goroutines.
// Preconditions: the pages come from a file, and ForgetFile has not been called.
func (h *Handle) ReadImage(p []byte, off uint64) error {
	im := h.image.im
	for len(p) > 0 {
		page := off >> pageShift
		b := im.takeBounce()
		if b == bounces {
			runtime.Gosched()
			continue
		}
		n := min((page+aroundPages)<<pageShift&^(bounceSize-1)-off, uint64(len(p)))
		end := (off + n + pageSize - 1) >> pageShift
		buf := h.image.bounce.Bytes(b*bounceSize, bounceSize)
		bad, at := im.readPages(page, end, uint64(vm.AddrOf(buf)))
		copy(p[:n], buf[off&(pageSize-1):])
		or64(&im.free, 1<<b)
		if bad < end {
			return fmt.Errorf("page at arena offset %#x: %w at offset %#x of %s", bad<<pageShift, ErrDamaged, at, h.image.path)
		}
		p, off = p[n:], off+n
	}
	return nil
}

// readPages reads the pages [first, end), which lie in one group of aroundPages, to buf, and
// checks them.
// Postconditions: bad is end, or the first page that is damaged, by file offset at.
func (im *Image) readPages(first, end, buf uint64) (bad, at uint64) {
	region := first >> blockShift
	at = load64(word64(im.index + region*8))
	head := im.headers + region*block.HeaderSize
	if at != 0 && !im.cacheHeader(region, at, head, buf) {
		return first, at
	}
	for page := first; page < end; {
		to := buf + (page-first)<<pageShift
		if at == 0 || !isStored(head, page) {
			copyPages(to, im.zeros, pageSize)
			page++
			continue
		}
		stop := page + 1
		for stop < end && isStored(head, stop) {
			stop++
		}
		offset := at + block.HeaderSize + rank(head, page)<<pageShift
		got := im.read(to, (stop-page)<<pageShift, offset) >> pageShift
		for i := range stop - page {
			if i >= got || !isIntact(head, page+i, to+i<<pageShift) {
				return page + i, offset + i<<pageShift
			}
		}
		page = stop
	}
	return end, 0
}

// Missing answers the first missing page of [first, first+n), if there is one.
func (h *Handle) Missing(first, n uint64) (page uint64, ok bool) {
	for p := first; p < first+n; p++ {
		if h.r.isMissing(p) {
			return p, true
		}
	}
	return 0, false
}

// Brought answers the first page of [first, first+n) that is in, if there is one.
func (h *Handle) Brought(first, n uint64) (page uint64, ok bool) {
	im := imageAt(load64(&h.r.image))
	for p, end := first, first+n; p < end; {
		if im != nil && p < im.pages {
			if w := load64(word64(im.present+p>>6<<3)) >> (p & 63); w == 0 {
				p = min(p&^63+64, im.pages)
				continue
			} else if w&1 == 0 {
				p++
				continue
			}
		}
		return p, true
	}
	return 0, false
}

// MarkPresent records that ordinary code brought [first, first+n) in.
func (h *Handle) MarkPresent(first, n uint64) { imageAt(load64(&h.r.image)).markPresent(first, n) }

// Present is how many pages of the image are in, and how many it has: both 0
// if there never was one, the same after DetachImage.
func (h *Handle) Present() (in, of uint64) {
	switch {
	case h.image == nil:
		return 0, 0
	case load64(&h.r.image) == 0:
		return h.image.im.pages, h.image.im.pages
	}
	return load64(&h.image.im.brought), h.image.im.pages
}

// Detached tells whether DetachImage was called.
func (h *Handle) Detached() bool { return h.image != nil && load64(&h.r.image) == 0 }

// CopyPresent copies the bits of the pages that are in, from page first on, a multiple of 64, to dst; beyond
// the image they are 0. It answers how many pages the image has. Any goroutine until Close.
func (h *Handle) CopyPresent(first uint64, dst []uint64) (pages uint64) {
	if h.image == nil {
		clear(dst)
		return 0
	}
	im := h.image.im
	for i := range dst {
		dst[i] = 0
		if p := first + uint64(i)*64; p < im.pages {
			dst[i] = load64(word64(im.present + p>>6<<3))
		}
	}
	return im.pages
}
