//go:build linux && amd64

package trap

import (
	"errors"
	"fmt"
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
// is zero, and the file, or the parent, is not looked at any more.
func (h *Handle) ForgetFile() {
	im := h.image.im
	store64(&im.parent, 0)
	h.Synchronize()
	for region := range (im.pages + blockPages - 1) >> blockShift {
		store64(word64(im.index+region*8), 0)
	}
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
			var result, offset uint64
			if h.r.isFork() {
				result = h.r.bringAsOf(p)
			} else {
				result, offset = h.r.bringIn(p)
			}
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

// Missing answers the first missing page of [first, first+n), if there is one.
func (h *Handle) Missing(first, n uint64) (page uint64, ok bool) {
	for p := first; p < first+n; p++ {
		if h.r.isMissing(p) {
			return p, true
		}
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
