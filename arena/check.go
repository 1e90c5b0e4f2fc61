package arena

import (
	"fmt"
	"iter"
	"math/bits"
)

// maxReported bounds what check remembers of a heap that is damaged all over.
const maxReported = 1000

// check walks over all metadata and reports everything that contradicts
// itself, as *InvariantError. It writes nothing, and reads nothing but metadata:
// damaged words are reported, never followed. The allocator may be used while
// the errors are looked at; they are about the moment of the first.
func (al *allocator) check() iter.Seq[error] {
	return func(yield func(error) bool) {
		for _, err := range al.violations() {
			if !yield(err) {
				return
			}
		}
	}
}

func (al *allocator) violations() []error {
	al.mu.Lock()
	defer al.mu.Unlock()
	c := checker{allocator: al}
	al.checkHeader(c.report)
	if c.n > 0 {
		return c.errs // what it names cannot be read
	}
	c.checkCopies()
	if c.n > 0 {
		return c.errs
	}
	c.checkUnused()
	c.checkPages()
	c.checkDescPages()
	c.checkClasses()
	c.checkIndex()
	c.checkCaches()
	bytes, objects := al.counted()
	if bytes != c.bytes {
		c.report(headBytes, "with the caches counts %d bytes in use, there are %d", bytes, c.bytes)
	}
	if objects != c.objects {
		c.report(headObjects, "with the caches counts %d objects, there are %d", objects, c.objects)
	}
	if c.n > len(c.errs) {
		c.errs = append(c.errs, fmt.Errorf("%w: and %d more", ErrCorrupt, c.n-len(c.errs)))
	}
	return c.errs
}

// checker gathers what a walk finds.
type checker struct {
	*allocator
	errs []error
	n    int // found, remembered or not

	bytes, objects uint64
	spans          [numClasses]uint64 // spans of each class
}

func (c *checker) report(off uint64, format string, args ...any) {
	if c.n++; c.n <= maxReported {
		c.errs = append(c.errs, corruptAt(off, format, args...))
	}
}

// checkCopies compares the header with what the allocator goes by.
func (c *checker) checkCopies() {
	for _, w := range []struct{ off, copy uint64 }{
		{headHigh, c.used.Load()},
		{headTop, c.top.Load()},
		{headChunks, c.chunks.Load()},
		{headDescPages, c.descPages.Load()},
		{headDescSpace, c.descSpace.Load()},
		{headCaches, c.cacheTable.Load()},
	} {
		if got := c.load64(w.off); got != w.copy {
			c.report(w.off, "is %#x, was %#x when the allocator wrote it", got, w.copy)
		}
	}
	for t := range numTables {
		for k := range maxSegments {
			first, _ := segmentPages(k)
			if first >= tableSize(t, c.chunks.Load(), c.descSpace.Load()) {
				break
			}
			if got := c.load64(segmentOff(t, k)); got != c.tablePage(t, first) {
				c.report(segmentOff(t, k), "segment %d of table %d is at %#x, was at %#x", k, t, got, c.tablePage(t, first))
			}
		}
	}
}

// checkUnused expects zeros where something may be written later.
func (c *checker) checkUnused() {
	c.expectZero(headCaches+8, headSegments)
	c.expectZero(headEnd, runPageSize)
	for page := c.descPages.Load(); page < c.descSpace.Load(); page++ {
		off := c.tablePage(tableDescs, page)
		c.expectZero(off, off+runPageSize)
	}
	for i := range tableSize(tableIndex, c.chunks.Load(), c.descSpace.Load()) {
		c.expectZero(c.indexRow(indexedStride, i), c.tablePage(tableIndex, i)+runPageSize)
	}
	for i := range tableSize(tableFreeRuns, c.chunks.Load(), c.descSpace.Load()) {
		off := c.tablePage(tableFreeRuns, i)
		c.expectZero(off+runsWhole+8, off+runPageSize)
	}
	if c.chunks.Load() < 32 {
		bits := c.tablePage(tablePageBits, 0)
		c.expectZero(bits+c.chunks.Load()*chunkPages/8, bits+runPageSize)
	}
}

func (c *checker) expectZero(from, to uint64) {
	for off := from; off < to; off += 8 {
		if got := c.load64(off); got != 0 {
			c.report(off, "is %#x, but was never used", got)
		}
	}
}

// checkDescPages goes through all descriptors.
func (c *checker) checkDescPages() {
	for page := range c.descPages.Load() {
		head := c.tablePage(tableDescs, page)
		const own = 1<<descHeadSlots - 1
		if room, taken := c.load64(head+descHeadRoom), c.load64(head+descHeadTaken); room&own != 0 || taken&own != own {
			c.report(head, "the head's own slots are marked %#x and %#x", room&own, taken&own)
		}
		for slot := uint64(descHeadSlots); slot < 256; slot++ {
			c.checkDesc(uint32(page<<8|slot), head, slot)
		}
	}
}

func (c *checker) checkDesc(id uint32, head, slot uint64) {
	at := head + slot*descSize
	bit := func(off uint64) bool { return c.load64(head+off+slot>>6*8)>>(slot&63)&1 != 0 }
	taken, info := c.load64(at), descInfo(c.load64(at+8))
	if !bit(descHeadTaken) {
		if taken != 0 || info != 0 || bit(descHeadRoom) {
			c.report(at, "the slot of descriptor %#x is unused, but not zero", id)
		}
		return
	}
	class := info.class()
	if uint(class) >= numClasses {
		c.report(at+8, "descriptor %#x is of no class: %#x", id, uint64(info))
		return
	}
	shape := info.shape()
	if info.part() >= uint64(shape.descs) || info.page()+uint64(shape.pages) > c.top.Load() {
		c.report(at+8, "descriptor %#x is part %d of a span of class %d from page %d on: %d parts, %d pages", id, info.part(), class, info.page(), shape.descs, shape.pages)
		return
	}
	c.checkRoom(id, head+descHeadRoom+slot>>6*8, taken, info, bit(descHeadRoom))
	padding := shape.emptyBits(info.part())
	if taken&padding != padding {
		c.report(at, "descriptor %#x offers objects beyond the end of its span", id)
	}
	objects := taken &^ padding
	if info.stale() > 64 || objects>>info.stale() != 0 {
		c.report(at+8, "descriptor %#x says its objects from %d on were never given out, but %#x are allocated", id, info.stale(), objects)
	}
	size := uint64(classSizes[class])
	if objects != 0 {
		c.objects += uint64(bits.OnesCount64(objects))
		c.bytes += uint64(bits.OnesCount64(objects)) * size
		last := info.part()*64 + uint64(bits.Len64(objects))
		if end := info.start() + last*size; end > c.used.Load() {
			c.report(at, "descriptor %#x has an object that ends at %#x, beyond high %#x", id, end, c.used.Load())
		}
	}
	if info.part() == 0 {
		c.checkSpan(id, at, info)
	}
}

// checkRoom compares the mark of a descriptor in the index with its places.
func (c *checker) checkRoom(id uint32, at, taken uint64, info descInfo, marked bool) {
	room := bits.OnesCount64(^taken)
	switch {
	case marked && info.claim() != 0:
		c.report(at, "descriptor %#x is in the index, but claimed by cache %d", id, info.claim()-1)
	case marked && room == 0:
		c.report(at, "descriptor %#x is in the index, but has no room", id)
	case !marked && info.claim() == 0 && (room >= info.reopensAt() || room > 0 && c.isTight(info.class())):
		c.report(at, "descriptor %#x has room for %d, but is not in the index", id, room)
	}
	if info.home() > numCaches {
		c.report(c.descOff(id)+8, "descriptor %#x was claimed by cache %d last, there is none", id, info.home()-1)
	}
	if n := info.claim(); n != 0 && (n > numCaches || c.cacheTable.Load() == 0 || c.load32(claimAt(c.cacheTable.Load()+(n-1)*cacheSize, info.class())) != id) {
		c.report(c.descOff(id)+8, "descriptor %#x says that cache %d has claimed it, which knows nothing of it", id, n-1)
	}
}

// checkSpan looks at a span from its first descriptor.
func (c *checker) checkSpan(id uint32, at uint64, info descInfo) {
	shape := info.shape()
	c.spans[info.class()]++
	for p := info.page(); p < info.page()+uint64(shape.pages); p++ {
		if entry := c.load32(c.pageEntry(p)); entry != entrySpan|id {
			c.report(c.pageEntry(p), "page %d is in the span of descriptor %#x, but its entry is %#x", p, id, entry)
		}
	}
	for part := range shape.descs {
		if !c.isDesc(id+part) || id&0xff+part > 0xff {
			c.report(at, "the span of descriptor %#x has descriptors beyond the end of the page", id)
			return
		}
		other := descInfo(c.load64(at + uint64(part)*descSize + 8))
		if other.fixed() != info.withPart(uint64(part)).fixed() {
			c.report(at+uint64(part)*descSize+8, "descriptor %#x is %#x, not part %d of the span of %#x", id+part, uint64(other), part, id)
		}
	}
	if kept := uint32(c.load64(classState(info.class()))); kept != id && c.isEmpty(id, shape) {
		c.report(at, "the span of descriptor %#x has no object, but that kept for reuse is %#x", id, kept)
	}
}

// checkClasses compares the words about each class with what was found.
func (c *checker) checkClasses() {
	for class := range numClasses {
		state := c.load64(classState(class))
		if spansOf(state) != c.spans[class] {
			c.report(classState(class), "counts %d spans of class %d, there are %d", spansOf(state), class, c.spans[class])
		}
		kept := uint32(state)
		if kept == 0 {
			continue
		}
		info, ok := c.spanInfo(kept)
		if !ok || info.class() != class || !c.isEmpty(kept, info.shape()) {
			c.report(classState(class), "the span of class %d kept for reuse, %#x, is not an empty one of the class", class, kept)
		}
	}
	for class := numClasses; class < indexedStride; class++ {
		if c.load64(classState(class)) != 0 {
			c.report(classState(class), "there is no class %d", class)
		}
	}
}
