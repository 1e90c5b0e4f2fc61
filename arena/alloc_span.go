package arena

// addSpan makes a span for class c and puts the cursor on it.
func (al *allocator) addSpan(c int) error {
	return al.attempt(func() error {
		state := al.load64(classState(c))
		order := min(spansOf(state), numOrders-1)
		shape := &spanShapes[c][order]
		page, fresh, err := al.takeRun(uint64(shape.pages))
		if err != nil {
			return err
		}
		start, size := page<<runPageShift, uint64(classSizes[c])
		if err := al.raise(start + size); err != nil {
			return err
		}
		// Nothing may fail after this.
		id, err := al.takeDescs(uint64(shape.descs))
		if err != nil {
			return err
		}
		for p := range uint64(shape.pages) {
			al.put32(al.pageEntry(page+p), entrySpan|id)
		}
		for part := range uint64(shape.descs) {
			al.addDesc(id+uint32(part), makeDescInfo(page, c, order, part, staleIn(part, size, start, fresh)))
		}
		al.put64(classState(c), state+1<<32)
		al.cursors[c] = cursor{id, al.descOff(id)}
		return nil
	})
}

// staleIn returns how many of the 64 objects of a part of a span, which lies
// at start, begin below the first fresh page.
func staleIn(part, size, start, fresh uint64) uint64 {
	start += part * 64 * size
	fresh <<= runPageShift
	if fresh <= start {
		return 0
	}
	return min(64, (fresh-start+size-1)/size)
}

func (al *allocator) addDesc(id uint32, info descInfo) {
	desc, c := al.descOff(id), info.class()
	al.put64(desc, info.shape().emptyBits(info.part()))
	al.put64(desc+8, uint64(info))
	al.opened(c, id)
}

// emptied is called when the descriptor id has no object any more. If its span
// has none either, the span goes back to the page tables, or is kept in
// place of a higher one.
func (al *allocator) emptied(info descInfo, id uint32) {
	base := id - uint32(info.part())
	if !al.isEmpty(base, info.shape()) {
		return
	}
	c := info.class()
	state := al.load64(classState(c))
	kept := uint32(state)
	if kept == base {
		return
	}
	if kept == 0 || base < kept {
		state = state&^0xffffffff | uint64(base)
		al.put64(classState(c), state)
		base = kept
	}
	if base != 0 {
		al.releaseSpan(c, base)
	}
}

// occupied is called when an object of the span of descriptor base is allocated,
// or one of its descriptors claimed: it is not the one kept for reuse any more.
func (al *allocator) occupied(c int, base uint32) {
	if state := al.load64(classState(c)); uint32(state) == base {
		al.put64(classState(c), state&^0xffffffff)
	}
}

// isEmpty reports whether a span has no object, and no cache that may put one there.
//
// Preconditions: id is that of its first descriptor.
func (al *allocator) isEmpty(id uint32, shape *spanShape) bool {
	for part := range uint64(shape.descs) {
		desc := al.descOff(id) + part*descSize
		if al.word(desc).Load() != shape.emptyBits(part) || descInfo(al.load64(desc+8)).claim() != 0 {
			return false
		}
	}
	return true
}

// releaseSpan gives an empty span's pages and descriptors back. The id is that
// of its first descriptor.
func (al *allocator) releaseSpan(c int, id uint32) {
	info, ok := al.spanInfo(id)
	shape := info.shape()
	if !ok || info.class() != c || !al.freeRun(info.page(), uint64(shape.pages)) {
		return // written over; check reports it
	}
	for part := range shape.descs {
		al.closed(c, id+part)
	}
	al.dropDescs(id, uint64(shape.descs))
	for p := range uint64(shape.pages) {
		al.put32(al.pageEntry(info.page()+p), 0)
	}
	state := al.load64(classState(c)) - 1<<32
	if !al.journal.recording {
		// Not where it may be taken back: who frees without mu would pass a place over, and
		// the class, tight again, would not look for it.
		state &^= classTight
	}
	al.put64(classState(c), state)
}

// keepsSpans reports whether any class keeps an empty span.
func (al *allocator) keepsSpans() bool {
	for c := range numClasses {
		if uint32(al.load64(classState(c))) != 0 {
			return true
		}
	}
	return false
}

// releaseKept gives back the empty spans that the classes keep.
func (al *allocator) releaseKept() {
	for c := range numClasses {
		state := al.load64(classState(c))
		if id := uint32(state); id != 0 {
			al.put64(classState(c), state&^0xffffffff)
			al.releaseSpan(c, id)
		}
	}
}
