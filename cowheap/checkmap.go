package cowheap

import "math/bits"

// mapWalk is one Map as it is looked at.
type mapWalk struct {
	*checker
	h    *mapHeader
	mt   *mapType
	w    *rootWalk
	t    *walkType
	off  uint64 // of the header
	at   *place
	used uint64 // entries of all tables
}

// maxMapDepth is more than a directory in an address space can have.
const maxMapDepth = 48

func (c *checker) hashMap(w *rootWalk, t *walkType, off uint64, at *place) {
	h := asMap(c.m.at(off))
	c.flag(&h.flag, off, at)
	if h.dir == 0 {
		if h.count != 0 || h.depth != 0 {
			c.report(at, off, "no table, but count %d and depth %d", h.count, h.depth)
		}
		return
	}
	mt, wrong := w.mapType(t)
	if wrong != "" {
		c.report(at, off, "the recorded layout is damaged: %s", wrong)
		return
	}
	if mt == nil {
		return // see Check
	}
	k := mapWalk{checker: c, h: h, mt: mt, w: w, t: t, off: off, at: at}
	if k.directory() && k.used != h.count && !c.stopped {
		c.report(at, off, "count %d, the tables have %d entries", h.count, k.used)
	}
}

// directory looks at all tables. It returns false if some could not be.
func (k *mapWalk) directory() (whole bool) {
	if k.h.depth == 0 {
		return k.table(tableRef(k.h.dir), 0)
	}
	if k.h.depth > maxMapDepth {
		k.report(k.at, k.off, "a directory of depth %d", k.h.depth)
		return false
	}
	places := uint64(1) << k.h.depth
	if !k.claim(k.h.dir, 8*places, k.at, "the directory") {
		return false
	}
	whole = true
	for i := uint64(0); i < places && !k.stopped; {
		ref := *(*tableRef)(k.m.at(k.h.dir + 8*i))
		n := uint64(1) // places that lead to the table
		for i+n < places && *(*tableRef)(k.m.at(k.h.dir + 8*(i+n))) == ref {
			n++
		}
		whole = k.table(ref, i<<(64-k.h.depth)) && whole
		if whole {
			if d := (*mapTable)(k.m.at(ref.off())).depth; n != 1<<(k.h.depth-d) || i&(n-1) != 0 {
				k.report(k.at, k.h.dir+8*i, "table at %#x of depth %d has %d places from %d on of a directory of depth %d", ref.off(), d, n, i, k.h.depth)
			}
		}
		i += n
	}
	return whole
}

// table looks at a table, that for hashes from first on. It returns false if it could
// not be.
func (k *mapWalk) table(ref tableRef, first uint64) bool {
	off := ref.off()
	if !k.claim(off, tableHead, k.at, "a table") {
		return false
	}
	t := (*mapTable)(k.m.at(off))
	groups := uint64(t.mask) + 1
	size, _ := k.m.space.arena.SizeOf(off)
	if high := k.m.space.arena.High(); size > high-off {
		size = high - off
	}
	switch n := uint64(ref & manyGroups); {
	case t.depth > k.h.depth:
		k.report(k.at, off, "table at %#x of depth %d in a directory of depth %d", off, t.depth, k.h.depth)
		return false
	case groups&(groups-1) != 0 || groups > size/k.mt.groupSize || k.mt.tableSize(groups) > size:
		k.report(k.at, off, "table at %#x of %d groups in %d bytes", off, groups, size)
		return false
	case min(uint64(bits.TrailingZeros64(groups)), manyGroups) != n:
		k.report(k.at, off, "table at %#x of %d groups is referred to as one of 1<<%d", off, groups, n)
		return false
	}
	used, deleted := k.slots(t, off, groups)
	k.hashes(t, off, groups, first)
	switch {
	case k.stopped:
	case uint64(t.used) != used:
		k.report(k.at, off, "table at %#x: count %d, entries %d", off, t.used, used)
	case uint64(t.left)+used+deleted != maxLoad(groups):
		k.report(k.at, off, "table at %#x of %d slots: %d may still be taken, %d are, %d were", off, maxLoad(groups), t.left, used, deleted)
	}
	k.used += used
	return true
}

// slotOff is the offset of slot i of group g of the table at off.
func (k *mapWalk) slotOff(off, g, i uint64) uint64 {
	return off + tableHead + g*k.mt.groupSize + ctrlSize + i*k.mt.slotSize
}

// slots looks at what the slots of a table hold. It leaves in k.bad which keys
// cannot be read.
func (k *mapWalk) slots(t *mapTable, off, groups uint64) (used, deleted uint64) {
	k.bad = append(k.bad[:0], make([]bool, groups*groupSlots)...)
	// k.bad is used again by what a value holds: texts of keys first, values last.
	for g := range groups {
		ctrl := *t.group(k.mt, g)
		for i := range uint64(groupSlots) {
			slot := k.slotOff(off, g, i)
			switch b := ctrl >> (8 * i) & 0xff; {
			case b&ctrlFull != 0:
				used++
				k.bad[g*groupSlots+i] = !k.keyTexts(&k.mt.keyType, slot, k.at)
			case b == ctrlEmpty || b == ctrlDeleted:
				if b == ctrlDeleted {
					deleted++
				}
				if !k.zeros(slot, k.mt.slotSize) {
					k.report(k.at, slot, "a slot without an entry is not zero")
				}
			default:
				k.report(k.at, slot, "table at %#x: control byte %#x of slot %d of group %d", off, uint64(b), i, g)
			}
			if k.stopped {
				return
			}
		}
	}
	return used, deleted
}

// hashes looks at whether every entry is where a search for its key comes by, and
// then at keys and values.
func (k *mapWalk) hashes(t *mapTable, off, groups, first uint64) {
	// Keys that were chosen to collide make long searches, for whoever inserted
	// them as for us: there is a limit.
	steps := 64 * groups * groupSlots
	for g := range groups {
		ctrl := *t.group(k.mt, g)
		for i := range uint64(groupSlots) {
			b := uint64(ctrl >> (8 * i) & 0xff)
			if b&ctrlFull == 0 || k.bad[g*groupSlots+i] || k.stopped {
				continue
			}
			slot := k.slotOff(off, g, i)
			hash := k.mt.hashStored(k.m, k.m.at(slot))
			switch {
			case tagOf(hash) != b&0x7f:
				k.report(k.at, slot, "control byte %#x of an entry whose key hashes to %#x: the key or the byte was overwritten", b, hash)
			case t.depth > 0 && dirIndex(hash, t.depth) != dirIndex(first, t.depth):
				k.report(k.at, slot, "an entry whose key hashes to %#x is in the table for hashes from %#x on", hash, first)
			default:
				k.reach(t, off, g, i, hash, &steps)
			}
		}
	}
	for g := range groups {
		ctrl := *t.group(k.mt, g)
		for i := range uint64(groupSlots) {
			if ctrl>>(8*i)&ctrlFull == 0 || k.stopped {
				continue
			}
			slot := k.slotOff(off, g, i)
			k.key(k.w, k.t, slot, k.at)
			k.keptValue(k.t, k.mt.apart, k.mt.val.size, slot+k.mt.valAt, k.at)
		}
	}
}

// reach follows the search for the key in slot i of group g.
func (k *mapWalk) reach(t *mapTable, off, g, i, hash uint64, steps *uint64) {
	slot := k.slotOff(off, g, i)
	for s := t.search(hash); ; {
		if *steps == 0 {
			return
		}
		*steps--
		ctrl := *t.group(k.mt, s.at)
		for match := ctrl.are(ctrlLow * ctrlWord(ctrlFull|tagOf(hash))); match != 0; match = match.rest() {
			j := match.first()
			if s.at == g && j >= i || k.bad[s.at*groupSlots+j] {
				continue
			}
			if other := k.slotOff(off, s.at, j); k.sameKey(&k.mt.keyType, other, slot) {
				k.report(k.at, slot, "the key is that of the entry at %#x too", other)
				return
			}
		}
		if s.at == g {
			return
		}
		if ctrl.empty() != 0 || !s.next() {
			k.report(k.at, slot, "an entry in group %d, which a search for its key, from group %d on, does not come to", g, homeOf(hash)&uint64(t.mask))
			return
		}
	}
}
