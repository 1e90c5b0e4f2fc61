package arena

import "bytes"

// allocRun allocates whole pages.
func (al *allocator) allocRun(size uint64) (uint64, error) {
	if size > al.limit {
		return 0, ErrFull
	}
	n := (size + runPageSize - 1) >> runPageShift
	al.mu.Lock()
	var page, fresh uint64
	err := al.attempt(func() (err error) {
		page, fresh, err = al.takeRun(n)
		if err != nil {
			return err
		}
		if err := al.raise((page + n) << runPageShift); err != nil {
			return err
		}
		al.put32(al.pageEntry(page), entryRun|uint32(n))
		return nil
	})
	if err == nil {
		al.store64(headBytes, al.load64(headBytes)+n<<runPageShift)
		al.store64(headObjects, al.load64(headObjects)+1)
	}
	al.mu.Unlock()
	if err != nil {
		return 0, err
	}
	if page < fresh {
		al.clearStale(page<<runPageShift, (min(fresh, page+n)-page)<<runPageShift)
	}
	return page << runPageShift, nil
}

var zeroPage [runPageSize]byte

// clearStale zeroes memory that was in use before. Of whole pages it looks for
// something to clear first: a write to a page that is zero already would take
// up memory, or make a snapshot preserve it.
func (al *allocator) clearStale(off, n uint64) {
	if n < runPageSize {
		clear(al.bytes(off, n))
		return
	}
	for n > 0 {
		b := al.bytes(off, min(n, runPageSize-off%runPageSize))
		if !bytes.Equal(b, zeroPage[:len(b)]) {
			clear(b)
		}
		off += uint64(len(b))
		n -= uint64(len(b))
	}
}

// releaseRun gives back a run that allocRun returned.
func (al *allocator) releaseRun(page, n uint64) error {
	if !al.freeRun(page, n) {
		return corruptAt(al.pageBits(page), "pages of the run of %d at page %d are marked free", n, page)
	}
	al.put32(al.pageEntry(page), 0)
	return nil
}

// object is an allocation that find has found.
type object struct {
	size  uint64
	desc  uint64 // offset of its descriptor; 0: a run
	info  descInfo
	id    uint32
	place uint64 // which of the descriptor's 64
}

// find returns the allocation that begins at off, or a *FreeError.
func (al *allocator) find(off uint64) (object, error) {
	page := off >> runPageShift
	if off == 0 || page >= al.top {
		return object{}, al.notFound(off)
	}
	entry := al.load32(al.pageEntry(page))
	id := entry & entryValue
	if entry&^entryValue != entrySpan {
		if entry&^entryValue != entryRun || off&(runPageSize-1) != 0 {
			return object{}, al.notFound(off)
		}
		if id == 0 || uint64(id) > al.top-page {
			return object{}, corruptAt(al.pageEntry(page), "a run of %d pages", id)
		}
		return object{size: uint64(id) << runPageShift}, nil
	}
	info, ok := al.spanInfo(id)
	shape := info.shape()
	rel := off - info.start()
	if !ok || rel >= uint64(shape.pages)<<runPageShift {
		return object{}, corruptAt(al.pageEntry(page), "descriptor %#x is not about page %d", id, page)
	}
	desc, size := al.descOff(id), uint64(shape.size)
	i := rel * shape.reciprocal >> 32
	if i*size != rel || i >= uint64(shape.objects) {
		return object{}, &FreeError{off, FreeInterior}
	}
	if i >= 64 {
		desc += i >> 6 * descSize
		part := descInfo(al.load64(desc + 8))
		if part.withStale(0) != info.withPart(i>>6).withStale(0) {
			return object{}, corruptAt(desc, "not part %d of the span of descriptor %#x", i>>6, id)
		}
		id, info = id+uint32(i>>6), part
	}
	if al.load64(desc)>>(i&63)&1 == 0 {
		return object{}, &FreeError{off, FreeNotAllocated}
	}
	return object{size, desc, info, id, i & 63}, nil
}

// notFound says why nothing was allocated at off.
//
// Preconditions: off is not in a span.
func (al *allocator) notFound(off uint64) error {
	page := off >> runPageShift
	switch {
	case off == 0:
		return &FreeError{off, FreeNil}
	case page >= al.top:
		return &FreeError{off, FreeBeyond}
	case al.isMetadata(page):
		return &FreeError{off, FreeMetadata}
	case off&(runPageSize-1) == 0 && !al.isTaken(page):
		return &FreeError{off, FreeNotAllocated}
	default:
		return &FreeError{off, FreeInterior}
	}
}

// isMetadata reports whether a page is the header or in a table.
func (al *allocator) isMetadata(page uint64) bool {
	if page == 0 {
		return true
	}
	for t := range numTables {
		size := tableSize(t, al.chunks, al.descSpace)
		for k := range maxSegments {
			first, n := segmentPages(k)
			if first >= size {
				break
			}
			if start := al.tablePage(t, first) >> runPageShift; page >= start && page < start+n {
				return true
			}
		}
	}
	return false
}
