//go:build linux && amd64

package trap

import (
	"structs"
	"unsafe"

	"github.com/cowheap/cowheap/internal/block"
	"github.com/cowheap/cowheap/internal/uffd"
)

// Missing pages: a lazy restore. The pages [0, pages) of a Range come from a
// checkpoint file. Like the write faults of resolve, what missingFault calls
// runs in the signal handler and keeps its rules; ordinary code calls bringIn
// as well. The resolver never maps the file: a file that was cut short would be
// a signal inside the handler. It reads by pread into a bounce buffer, checks
// the CRC there, and puts the page in by UFFDIO_COPY, which is atomic.
//
// Pages come in write-protected (MODE_WP): protection may be going up at this
// very moment, and a page that came in writable would escape it.

// Image is the off-heap description of the file.
type Image struct {
	_       structs.HostLayout
	fd      uint64
	pages   uint64    // [0, pages) of the Range come from here
	index   uint64    // address of a file offset for each block, 0: all zero
	headers uint64    // address of a cached block header for each block
	ready   uint64    // address of a word for each block: 1, its header is cached
	present uint64    // address of a bit for each page: it is in
	brought uint64    // bits set in present
	id      [2]uint64 // the checkpoint's UUID, as it stands in every block header
	bounce  uint64    // address of the bounce buffers
	free    uint64    // a bit for each bounce buffer that is free
	zeros   uint64    // address of aroundPages pages of zeros
	path    uint64    // address of the file's name, for the last words
	pathLen uint64

	// A fork's missing pages come from a snapshot of another Range.
	parent uint64 // address of that Range, 0: from the file
	table  uint64 // address of the snapshot's Table

	// Or they stand in slots that nobody changes.
	slots  uint64 // address of slot 0; 0: all is zero
	slotOf uint64 // address of a slot's number for each page, 0: all zero. 0: they come from elsewhere

	phase   uint64    // its lowest bit says which of readers counts who comes next
	readers [2]uint64 // those who are bringing pages in, see Synchronize
}

const (
	// aroundPages is how much one fault brings in at most: the rest of its
	// aligned group of 16 pages, at half the cost a page of one page alone.
	aroundPages = 16
	bounces     = 64
	bounceSize  = aroundPages * pageSize
)

// What bringIn answers.
const (
	bringDone   = iota
	bringRetry  // all bounce buffers are in use: run the instruction again
	bringFailed // the file is damaged or cannot be read
	bringAgain  // the kernel refuses for now: run the instruction again, so many times
)

// isMissing: the page has not been brought in, as far as the bitmap knows.
//
//go:nosplit
//go:norace
//go:nocheckptr
func (r *Range) isMissing(page uint64) bool {
	im := imageAt(load64(&r.image))
	return im != nil && page < im.pages && load64(word64(im.present+page>>6<<3))>>(page&63)&1 == 0
}

// isComplete: no page of [first, first+n) is missing. first is a multiple of 64.
//
//go:nosplit
//go:norace
//go:nocheckptr
func (r *Range) isComplete(first, n uint64) bool {
	im := imageAt(load64(&r.image))
	if im == nil || load64(&im.brought) == im.pages {
		return true
	}
	for end := min(first+n, im.pages); first < end; first += 64 {
		want := ^uint64(0)
		if end-first < 64 {
			want = 1<<(end-first) - 1
		}
		if load64(word64(im.present+first>>6<<3))&want != want {
			return false
		}
	}
	return true
}

// markPresent records that [first, first+n) are in.
//
//go:nosplit
//go:norace
//go:nocheckptr
func (im *Image) markPresent(first, n uint64) {
	for end := first + n; first < end; {
		stop := min(end, first&^63+64)
		mask := (^uint64(0) >> (64 - (stop - first))) << (first & 63)
		old := or64(word64(im.present+first>>6<<3), mask)
		add64(&im.brought, ones(mask&^old))
		first = stop
	}
}

// ones counts bits. (math/bits is a call on processors that may lack POPCNT.)
//
//go:nosplit
//go:norace
//go:nocheckptr
func ones(x uint64) uint64 {
	x -= x >> 1 & 0x5555555555555555
	x = x&0x3333333333333333 + x>>2&0x3333333333333333
	x = (x + x>>4) & 0x0f0f0f0f0f0f0f0f
	return x * 0x0101010101010101 >> 56
}

// missingFault is bringIn for a thread that faulted.
//
//go:nosplit
//go:norace
//go:nocheckptr
func missingFault(entry, info, ctx uint64) uint64 {
	e := entryAt(entry)
	r := rangeAt(load64(&e.ctl))
	page := (load64(word64(info+infoAddr)) - load64(&e.start)) >> pageShift
	counter := r.arrive()
	if counter == 0 {
		return faultRetry
	}
	// (Apart, and called from here, so that their frames do not add up.)
	var result, offset uint64
	switch r.origin() {
	case fromSlots:
		result = r.bringSlots(page)
	case fromParent:
		result = r.bringAsOf(page)
	case fromFile:
		result, offset = r.bringIn(page)
	}
	add64(word64(counter), ^uint64(0))
	switch result {
	case bringFailed:
		r.lastWords(page, offset)
		return faultHopeless
	case bringRetry:
		r.forgetRepeats(page) // waiting for a buffer is not a loop
	}
	return faultRetry
}

// arrive counts somebody who is about to bring pages in; who has answered add64(word64(counter), -1)
// to it afterwards. What Synchronize waits for lies between. 0: nothing is missing any more.
//
//go:nosplit
//go:norace
//go:nocheckptr
func (r *Range) arrive() (counter uint64) {
	im := imageAt(load64(&r.image))
	if im == nil {
		return 0 // detached since this fault was taken
	}
	add64(&r.missing, 1)
	counter = addrOfWord(&im.readers[0]) + load64(&im.phase)&1*8
	add64(word64(counter), 1)
	delay(delayMissing)
	return counter
}

// origin tells where missing pages come from.
//
//go:nosplit
//go:norace
//go:nocheckptr
func (r *Range) origin() uint64 {
	im := imageAt(load64(&r.image))
	switch {
	case im == nil:
		return fromNowhere
	case im.slotOf != 0:
		return fromSlots
	case im.table != 0:
		return fromParent
	}
	return fromFile
}

// What origin answers.
const (
	fromNowhere = iota // nothing is missing any more
	fromFile
	fromParent
	fromSlots
)

// bringIn brings page in from the file, and what stands around it there. It, bringAsOf and
// bringSlots are called between arrive and its end.
// Postconditions: bringDone: the page is in. bringFailed: offset is the place in
// the file that is damaged or cannot be read.
//
//go:nosplit
//go:norace
//go:nocheckptr
func (r *Range) bringIn(page uint64) (result, offset uint64) {
	im := imageAt(load64(&r.image))
	if im == nil {
		return bringDone, 0
	}
	at := load64(word64(im.index + page>>blockShift*8))
	if at == 0 {
		first := page &^ (aroundPages - 1)
		return r.copyIn(im, first, min(aroundPages, im.pages-first), page, im.zeros), 0
	}
	b := im.takeBounce()
	if b == bounces {
		syscall6(sysYield, 0, 0, 0, 0, 0, 0)
		return bringRetry, 0
	}
	buf := im.bounce + b*bounceSize
	first, n, offset := r.readStored(im, page, at, buf)
	switch {
	case n == 0:
		result = bringFailed
	case offset == 0:
		result = r.copyIn(im, first, n, page, im.zeros)
	default:
		result = r.copyIn(im, first, n, page, buf)
	}
	or64(&im.free, 1<<b)
	return result, offset
}

// takeBounce gives the number of a free bounce buffer, or bounces.
//
//go:nosplit
//go:norace
//go:nocheckptr
func (im *Image) takeBounce() uint64 {
	for {
		free := load64(&im.free)
		if free == 0 {
			return bounces
		}
		if cas64(&im.free, free, free&(free-1)) {
			return ones(free&-free - 1)
		}
	}
}

// readStored reads page, and what is missing around it, from the block at file
// offset at to the start of buf, and checks it.
// Postconditions: the n pages from first on may be copied in, page among them,
// from buf, or from zeros if offset is 0; or n is 0 and offset is the place in
// the file that is damaged or cannot be read.
//
//go:nosplit
//go:norace
//go:nocheckptr
func (r *Range) readStored(im *Image, page, at, buf uint64) (first, n, offset uint64) {
	head := im.headers + page>>blockShift*block.HeaderSize
	if !im.cacheHeader(page>>blockShift, at, head, buf) {
		return 0, 0, at
	}
	end := page + 1
	stored := isStored(head, page)
	for stop := min(page&^(aroundPages-1)+aroundPages, im.pages); end < stop &&
		isStored(head, end) == stored && r.isMissing(end); {
		end++
	}
	if !stored {
		return page, end - page, 0
	}
	// (Pages before this one come by their own faults: a reader goes forward.)
	offset = at + block.HeaderSize + rank(head, page)<<pageShift
	got := im.read(buf, (end-page)<<pageShift, offset) >> pageShift
	// A damaged neighbour is left to its own fault.
	for n < got && isIntact(head, page+n, buf+n<<pageShift) {
		n++
	}
	return page, n, offset
}

// cacheHeader sees to it that the block header of region stands at head.
//
//go:nosplit
//go:norace
//go:nocheckptr
func (im *Image) cacheHeader(region, at, head, buf uint64) bool {
	ready := word64(im.ready + region*8)
	if load64(ready) != 0 {
		return true
	}
	if im.read(buf, block.HeaderSize, at) != block.HeaderSize || !im.isHeader(buf, region) {
		return false
	}
	// Two threads may do this at once; both write the same bytes.
	copyPages(head, buf, block.HeaderSize)
	store64(ready, 1)
	return true
}

// read is pread that goes on until n bytes are there; it answers what it got.
//
//go:nosplit
//go:norace
//go:nocheckptr
func (im *Image) read(buf, n, at uint64) uint64 {
	got := uint64(0)
	for got < n {
		k := syscall6(sysPread, im.fd, buf+got, n-got, at+got, 0, 0)
		if k == ^uint64(eintr)+1 {
			continue
		}
		if k == 0 || k >= errnoFirst {
			break
		}
		got += k
	}
	return got
}

// isHeader checks a block header as internal/block describes it.
//
//go:nosplit
//go:norace
//go:nocheckptr
func (im *Image) isHeader(buf, reg uint64) bool {
	crc := crc32c(^uint32(0), buf, block.CRCOff)
	crc = ^crc32c(crc, buf+block.CRCOff+4, block.HeaderSize-block.CRCOff-4)
	return load32(word32(buf+block.CRCOff)) == crc &&
		load32(word32(buf+block.MagicOff)) == block.Magic &&
		load32(word32(buf+block.RegionOff)) == uint32(reg) &&
		load64(word64(buf+block.IDOff)) == im.id[0] &&
		load64(word64(buf+block.IDOff+8)) == im.id[1]
}

//go:nosplit
//go:norace
//go:nocheckptr
func isStored(head, page uint64) bool {
	i := page & (blockPages - 1)
	return load64(word64(head+block.BitmapOff+i>>6<<3))>>(i&63)&1 != 0
}

// rank counts the pages of the block that are stored before page.
//
//go:nosplit
//go:norace
//go:nocheckptr
func rank(head, page uint64) uint64 {
	i := page & (blockPages - 1)
	n := uint64(0)
	w := head + block.BitmapOff
	for ; i >= 64; i -= 64 {
		n += ones(load64(word64(w)))
		w += 8
	}
	return n + ones(load64(word64(w))&(1<<i-1))
}

//go:nosplit
//go:norace
//go:nocheckptr
func isIntact(head, page, buf uint64) bool {
	want := load32(word32(head + block.PageCRCOff + page&(blockPages-1)*4))
	return ^crc32c(^uint32(0), buf, pageSize) == want
}

// copyIn puts [first, first+n) in from src. page is the one that must be in.
//
//go:nosplit
//go:norace
//go:nocheckptr
func (r *Range) copyIn(im *Image, first, n, page, src uint64) (result uint64) {
	done := r.copyPagesIn(first, n, src)
	delay(delayMissing) // in, and not in present yet
	if done <= n && done > 0 {
		im.markPresent(first, done)
	}
	if !r.isMissing(page) {
		return bringDone
	}
	// The copy stopped before page: another thread brought a neighbour in.
	done = r.copyPagesIn(page, 1, src+(page-first)<<pageShift)
	// ENOENT: who completes the lazy restore has ended missing faults, and is about to say
	// so (DetachImage). The page is zero without us.
	if done == 1 || done == ^uint64(eexist)+1 || done == ^uint64(enoent)+1 {
		im.markPresent(page, 1)
		return bringDone
	}
	// EAGAIN, ENOMEM: the backstop ends what does not end.
	syscall6(sysYield, 0, 0, 0, 0, 0, 0)
	return bringAgain
}

// copyPagesIn is one UFFDIO_COPY. It answers the pages copied, or -errno.
//
//go:nosplit
//go:norace
//go:nocheckptr
func (r *Range) copyPagesIn(first, n, src uint64) uint64 {
	arg := uffd.CopyArg{
		Dst:  r.start + first<<pageShift,
		Src:  src,
		Len:  n << pageShift,
		Mode: uint64(uffd.CopyWP | uffd.CopyDontWake),
	}
	if ret := ioctl(r.fd, uffd.IoctlCopy, unsafe.Pointer(&arg)); ret < errnoFirst {
		return n
	}
	if arg.Copy > 0 {
		return uint64(arg.Copy) >> pageShift
	}
	return uint64(arg.Copy)
}
