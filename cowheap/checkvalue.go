package cowheap

import "math/bits"

// value looks at a value of type t at off.
//
// Preconditions: it lies in an allocation that was claimed.
func (c *checker) value(w *rootWalk, t int, off uint64, at *place) {
	if c.stopped {
		return
	}
	wt := w.typ(t)
	if wt.wrong != "" {
		c.report(at, off, "the recorded layout is damaged: %s", wt.wrong)
		return
	}
	if !wt.walks {
		return
	}
	switch wt.Kind {
	case kindRef:
		if *(*uint64)(c.m.at(off)) != 0 {
			c.refs = append(c.refs, found{off, 1, at})
		}
	case kindText:
		c.text(off, at)
	case kindVec:
		c.vec(w, wt, off, at)
	case kindQueue:
		c.queue(w, wt, off, at)
	case kindMap:
		c.hashMap(w, wt, off, at)
	case kindTree, kindOrder:
		c.orderedMap(w, wt, off, at)
	case kindArray:
		size := uint64(w.types[wt.Elem].Size)
		elem := c.kid(at, kidElem, 1, "[]", wt.Elem, false)
		for i := range uint64(wt.Len) {
			c.value(w, wt.Elem, off+i*size, elem)
		}
	case kindStruct:
		for i, f := range wt.Fields {
			if w.types[f.Type].walks {
				c.value(w, f.Type, off+uint64(f.Offset), c.kid(at, i, len(wt.Fields), "."+f.Name, f.Type, false))
			}
		}
	}
}

// ref looks at the Ref at off. What it leads to belongs to nobody, and any number of
// Refs may lead there, also in a circle.
func (c *checker) ref(off uint64, at *place) {
	w := at.root
	t := &w.types[at.typ]
	to, elem := *(*uint64)(c.m.at(off)), w.typ(t.Elem)
	if elem.wrong != "" {
		c.report(at, off, "the recorded layout is damaged: %s", elem.wrong)
		return
	}
	if wrong := c.allocated(to, uint64(elem.Size)); wrong != "" {
		c.report(at, off, "%s", wrong)
		return
	}
	if had, ok := c.claims[to]; ok {
		if had&(claimRef|claimRoot) == 0 {
			other := c.places[had&claimMask]
			c.report(at, off, "leads to %#x, which belongs to root %q: %s", to, other.root.name, other.path())
		}
		return
	}
	c.claims[to] = at.owner() | claimRef
	if elem.walks {
		c.value(w, t.Elem, to, c.kid(at, kidElem, 1, "->", t.Elem, true))
	}
}

// text looks at a String.
func (c *checker) text(off uint64, at *place) {
	switch s := asText(c.m.at(off)); {
	case s.n == 0 && s.off != 0:
		c.report(at, off, "of no bytes refers to offset %#x", s.off)
	case s.n != 0:
		c.claim(s.off, s.n, at, "the text")
	}
}

// flag looks at a container's writerFlag.
func (c *checker) flag(f *writerFlag, off uint64, at *place) {
	if f.word != 0 {
		c.report(at, off, "the flag of its writer is %#x, and nobody writes", f.word)
	}
}

// elements claims room for so many elements, of which n are in use, and returns the
// type of one and whether it can be looked at.
func (c *checker) elements(w *rootWalk, t *walkType, off uint64, at *place, to, n, room uint64) (elem *walkType, ok bool) {
	elem = w.typ(t.Elem)
	size := uint64(elem.Size)
	switch {
	case elem.wrong != "":
		c.report(at, off, "the recorded layout is damaged: %s", elem.wrong)
	case size == 0 || room == 0:
		if to != 0 || room != 0 || size > 0 && n != 0 {
			c.report(at, off, "%d elements of %d bytes, room for %d at offset %#x", n, size, room, to)
		}
	case n > room:
		c.report(at, off, "%d elements, and room for %d", n, room)
	default:
		hi, bytes := bits.Mul64(room, size)
		if hi != 0 {
			c.report(at, off, "room for %d elements of %d bytes", room, size)
			break
		}
		return elem, c.claim(to, bytes, at, "the elements")
	}
	return elem, false
}

func (c *checker) vec(w *rootWalk, t *walkType, off uint64, at *place) {
	v := asVec(c.m.at(off))
	c.flag(&v.flag, off, at)
	elem, ok := c.elements(w, t, off, at, v.off, v.n, v.room)
	if !ok {
		return
	}
	size := uint64(elem.Size)
	if used := v.n * size; !c.zeros(v.off+used, v.room*size-used) {
		c.report(at, v.off+used, "the room behind its %d elements is not zero", v.n)
	}
	c.inside(v.off, v.n, c.kid(at, kidElem, 1, "[]", t.Elem, true))
}

func (c *checker) queue(w *rootWalk, t *walkType, off uint64, at *place) {
	q := asQueue(c.m.at(off))
	c.flag(&q.flag, off, at)
	if q.room&(q.room-1) != 0 {
		c.report(at, off, "room for %d elements, which is no power of two", q.room)
		return
	}
	elem, ok := c.elements(w, t, off, at, q.off, q.n, q.room)
	if !ok {
		return
	}
	size := uint64(elem.Size)
	// Two runs: what is in use may go around the end of the ring, and so may the rest.
	runs := func(first, n uint64, do func(off, n uint64)) {
		first &= q.room - 1
		one := min(n, q.room-first)
		do(q.off+first*size, one)
		do(q.off, n-one)
	}
	runs(q.first+q.n, q.room-q.n, func(off, n uint64) {
		if !c.zeros(off, n*size) {
			c.report(at, off, "the ring is not zero where no element is")
		}
	})
	kid := c.kid(at, kidElem, 1, "[]", t.Elem, true)
	runs(q.first, q.n, func(off, n uint64) { c.inside(off, n, kid) })
}

// keyTexts claims what the key at off holds, and reports whether it can be read.
func (c *checker) keyTexts(kt *keyType, off uint64, at *place) bool {
	switch kt.class {
	case keyText:
		return c.keyText(off, at)
	case keyMixed:
		ok := true
		for _, p := range kt.parts {
			ok = (!p.text || c.keyText(off+p.off, at)) && ok
		}
		return ok
	}
	return true
}

func (c *checker) keyText(off uint64, at *place) bool {
	k := (*textKey)(c.m.at(off))
	if k.long() {
		n := k.hi &^ longTextMark
		if n <= maxShortText {
			c.report(at, off, "%d bytes of text are kept apart, up to %d belong into the key", n, maxShortText)
			return false
		}
		return c.claim(k.lo, n, at, "the text of a key")
	}
	n := k.hi >> 56
	if n > maxShortText {
		c.report(at, off, "text of %d bytes in a key that has room for %d", n, maxShortText)
		return false
	}
	if !c.zeros(off+n, maxShortText-n) {
		c.report(at, off, "text of %d bytes with something behind it", n)
		return false
	}
	return true
}

// sameKey reports whether two keys are equal.
//
// Preconditions: both can be read.
func (c *checker) sameKey(kt *keyType, a, b uint64) bool {
	switch kt.class {
	case keyText:
		return c.m.textOf(c.m.at(a)) == c.m.textOf(c.m.at(b))
	case keyMixed:
		for _, p := range kt.parts {
			if p.text && c.m.textOf(c.m.at(a+p.off)) != c.m.textOf(c.m.at(b+p.off)) ||
				!p.text && rawText(c.m.at(a+p.off), p.n) != rawText(c.m.at(b+p.off), p.n) {
				return false
			}
		}
		return true
	}
	return rawText(c.m.at(a), kt.keySize) == rawText(c.m.at(b), kt.keySize)
}

// key looks at the Refs in a key.
func (c *checker) key(w *rootWalk, t *walkType, off uint64, at *place) {
	if w.types[t.Key].walks {
		c.value(w, t.Key, off, c.kid(at, kidKey, 2, "[key]", t.Key, true))
	}
}

// keptValue looks at the value that an entry keeps at off: itself, or the offset of
// an allocation.
func (c *checker) keptValue(t *walkType, apart bool, size, off uint64, at *place) {
	if apart {
		to := *(*uint64)(c.m.at(off))
		if !c.claim(to, size, at, "a value") {
			return
		}
		off = to
	}
	c.inside(off, 1, c.kid(at, kidElem, 2, "[]", t.Elem, true))
}
