package arena

// object is an allocation that find has found.
type object struct {
	size  uint64
	desc  uint64 // offset of its descriptor; 0: a run
	info  descInfo
	id    uint32
	place uint64 // which of the descriptor's 64
}

// find returns the allocation that begins at off, or a *FreeError. It may be
// called without mu: if off is that of an allocation, nothing that it looks at
// changes but for what it masks out; if it is not, words may change underneath,
// and it still reads nothing but metadata.
func (al *allocator) find(off uint64) (object, error) {
	page := off >> runPageShift
	top := al.top.Load()
	if off == 0 || page >= top || page >= al.chunks.Load()*chunkPages {
		return object{}, al.notFound(off)
	}
	entry := al.load32(al.pageEntry(page))
	id := entry & entryValue
	if entry&^entryValue != entrySpan {
		if entry&^entryValue != entryRun || off&(runPageSize-1) != 0 {
			return object{}, al.notFound(off)
		}
		if id == 0 || uint64(id) > top-page {
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
		part := descInfo(al.word(desc + 8).Load())
		if part.fixed() != info.withPart(i>>6).fixed() {
			return object{}, corruptAt(desc, "not part %d of the span of descriptor %#x", i>>6, id)
		}
		id, info = id+uint32(i>>6), part
	}
	if al.word(desc).Load()>>(i&63)&1 == 0 {
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
	case page >= al.top.Load():
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
	if first := al.cacheTable.Load() >> runPageShift; first != 0 && page-first < cachePages {
		return true
	}
	for t := range numTables {
		size := tableSize(t, al.chunks.Load(), al.descSpace.Load())
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
