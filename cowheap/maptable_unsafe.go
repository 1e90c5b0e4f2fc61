package cowheap

import (
	"math/bits"
	"unsafe"
)

// A map is an extendible hash table (Fagin and others, 1979) of Swiss tables, as
// Go's own maps are: a directory, chosen from by the highest bits of the hash,
// leads to tables of at most 1024 slots. A full table is split in two, and if
// need be the directory doubled. So no insertion moves more than one table, in
// place of half of the heap, and an Update that inserts does not become a long
// pause for the snapshot that waits for it.
//
// mapHeader is a Map without its types.
type mapHeader struct {
	dir   uint64 // offset of the directory, or at depth 0 the tableRef of the only table; 0: no table
	count uint64 // entries
	// moves counts when entries were moved to other slots, epoch when all were
	// dropped. They tell iterators.
	moves uint32
	epoch uint32
	flag  writerFlag
	depth uint32 // the directory has 1<<depth tableRefs
}

// mapTable is what a table begins with. Its groups follow.
type mapTable struct {
	used  uint32 // entries
	left  uint32 // empty slots that may still be taken: one in eight stays, in all groups but an only one
	mask  uint32 // number of groups - 1; the number is a power of two
	depth uint32 // highest bits of the hash that all entries share; several places in the directory lead here if it is less than the directory's
}

const (
	tableHead = 16

	mapName = "Map"
)

// asMap is the Map at p.
//
// Preconditions: there is one.
func asMap(p unsafe.Pointer) *mapHeader { return (*mapHeader)(p) }

// tableRef is the offset of a table, a multiple of 16, plus the logarithm of its
// number of groups, or 15 if that is 15 or more. So a search goes from the
// directory to the group and need not bring in the table's head on the way.
type tableRef uint64

const manyGroups = 15

func (r tableRef) off() uint64 { return uint64(r &^ manyGroups) }

// mask is the number of groups - 1.
func (r tableRef) mask(m *Mem) uint64 {
	if r&manyGroups == manyGroups {
		return uint64((*mapTable)(m.at(r.off())).mask)
	}
	return 1<<(r&manyGroups) - 1
}

// ref is the tableRef for a hash.
//
// Preconditions: there is a table.
func (h *mapHeader) ref(m *Mem, hash uint64) tableRef {
	if h.depth == 0 {
		return tableRef(h.dir)
	}
	return *(*tableRef)(m.at(h.dir + 8*dirIndex(hash, h.depth)))
}

// table is the table for a hash.
//
// Preconditions: there is a table.
func (h *mapHeader) table(m *Mem, hash uint64) *mapTable {
	return (*mapTable)(m.at(h.ref(m, hash).off()))
}

// dirIndex is the place in a directory for a hash.
//
// Preconditions: depth > 0.
func dirIndex(hash uint64, depth uint32) uint64 {
	return hash >> ((64 - depth) & 63)
}

// group is the control word of group i, in front of its slots.
func (t *mapTable) group(mt *mapType, i uint64) *ctrlWord {
	return (*ctrlWord)(unsafe.Add(unsafe.Pointer(t), tableHead+i*mt.groupSize))
}

// slot is slot i of a group.
func (mt *mapType) slot(group *ctrlWord, i uint64) unsafe.Pointer {
	return unsafe.Add(unsafe.Pointer(group), ctrlSize+i*mt.slotSize)
}

// value is the value of a slot's entry.
func (mt *mapType) value(m *Mem, slot unsafe.Pointer) unsafe.Pointer {
	p := unsafe.Add(slot, mt.valAt)
	if mt.apart {
		return m.at(*(*uint64)(p))
	}
	return p
}

// tableSize is the size in bytes of a table.
func (mt *mapType) tableSize(groups uint64) uint64 { return tableHead + groups*mt.groupSize }

// maxLoad is how many slots of a table may be taken. An only group may be full:
// a search ends there anyway.
func maxLoad(groups uint64) uint64 {
	if groups == 1 {
		return groupSlots
	}
	return groups * (groupSlots - 1)
}

// newTable allocates a table without entries.
//
// Preconditions: groups is a power of two.
func (m *Mem) newTable(mt *mapType, groups uint64, depth uint32) (tableRef, error) {
	off, err := m.alloc(mt.tableSize(groups), 16)
	if err != nil {
		return 0, err
	}
	*(*mapTable)(m.at(off)) = mapTable{
		left:  uint32(maxLoad(groups)),
		mask:  uint32(groups - 1),
		depth: depth,
	}
	return tableRef(off | min(uint64(bits.TrailingZeros64(groups)), manyGroups)), nil
}

// search goes through the groups of a table in the order in which a hash looks
// at them: every group once, by triangular steps.
type search struct {
	at, step, mask uint64
}

func (t *mapTable) search(hash uint64) search {
	mask := uint64(t.mask)
	return search{at: homeOf(hash) & mask, mask: mask}
}

// next moves on to the next group. It returns false after the last.
func (s *search) next() bool {
	s.step++
	s.at = (s.at + s.step) & s.mask
	return s.step <= s.mask
}

// The find functions return the slot of a key and its group; or nil and, if there is
// one, the first group on the way that has a slot without an entry, where the key would
// be put. And the key's hash.
//
// An operation's time is that of the cache misses in here, and a processor has as many of
// them under way at a time as there are operations among the few hundred
// instructions that it looks ahead. So the steps of a search are written out in each of
// these functions, and each hashes for itself. (One generic function for numbers and short
// text, with the hash handed in, took 3 to 8 % longer where there are no cache misses:
// go test -run xx -bench 'BenchmarkMap/.*/1024$/(get|set)/heap' ./cowheap.)

// find finds the key at k.
func (h *mapHeader) find(m *Mem, mt *mapType, k unsafe.Pointer) (slot unsafe.Pointer, group *ctrlWord, hash uint64) {
	switch mt.class {
	case keyWord8:
		return findWord(h, m, mt, *(*uint64)(k))
	case keyWord4:
		return findWord(h, m, mt, *(*uint32)(k))
	case keyWord2:
		return findWord(h, m, mt, *(*uint16)(k))
	case keyWord1:
		return findWord(h, m, mt, *(*uint8)(k))
	case keyText:
		if s := goText(k); len(s) > maxShortText {
			return h.findLongText(m, mt, s)
		}
		return h.findShortText(m, mt, goText(k))
	}
	return h.findBytes(m, mt, k)
}

// findWord is find for keys that are a number.
func findWord[W uint8 | uint16 | uint32 | uint64](h *mapHeader, m *Mem, mt *mapType, key W) (slot unsafe.Pointer, group *ctrlWord, hash uint64) {
	hash = m.word(uint64(key))
	if h.dir == 0 {
		return nil, nil, hash
	}
	ref := h.ref(m, hash)
	at, mask, groups := homeOf(hash), ref.mask(m), m.at(ref.off()+tableHead)
	want := ctrlWord(ctrlLow * (ctrlFull | tagOf(hash)))
	for step := uint64(0); ; {
		at &= mask
		in := (*ctrlWord)(unsafe.Add(groups, at*mt.groupSize))
		c := *in
		for match := c.are(want); match != 0; match = match.rest() {
			if slot = mt.slot(in, match.first()); *(*W)(slot) == key {
				return slot, in, hash
			}
		}
		if group == nil && c.free() != 0 {
			group = in
		}
		if step++; c.empty() != 0 || step > mask {
			return nil, group, hash
		}
		at += step
	}
}

// findShortText is find for text that slots hold themselves.
func (h *mapHeader) findShortText(m *Mem, mt *mapType, s string) (slot unsafe.Pointer, group *ctrlWord, hash uint64) {
	hash = m.secrets.bytes(m.s0, s)
	key := shortText(s)
	if h.dir == 0 {
		return nil, nil, hash
	}
	ref := h.ref(m, hash)
	at, mask, groups := homeOf(hash), ref.mask(m), m.at(ref.off()+tableHead)
	want := ctrlWord(ctrlLow * (ctrlFull | tagOf(hash)))
	for step := uint64(0); ; {
		at &= mask
		in := (*ctrlWord)(unsafe.Add(groups, at*mt.groupSize))
		c := *in
		for match := c.are(want); match != 0; match = match.rest() {
			if slot = mt.slot(in, match.first()); *(*textKey)(slot) == key {
				return slot, in, hash
			}
		}
		if group == nil && c.free() != 0 {
			group = in
		}
		if step++; c.empty() != 0 || step > mask {
			return nil, group, hash
		}
		at += step
	}
}

// findLongText is find for text that slots hold the offset of.
func (h *mapHeader) findLongText(m *Mem, mt *mapType, key string) (slot unsafe.Pointer, group *ctrlWord, hash uint64) {
	hash = m.secrets.bytes(m.s0, key)
	if h.dir == 0 {
		return nil, nil, hash
	}
	ref := h.ref(m, hash)
	at, mask, groups := homeOf(hash), ref.mask(m), m.at(ref.off()+tableHead)
	want := ctrlWord(ctrlLow * (ctrlFull | tagOf(hash)))
	long := longTextMark | uint64(len(key))
	for step := uint64(0); ; {
		at &= mask
		in := (*ctrlWord)(unsafe.Add(groups, at*mt.groupSize))
		c := *in
		for match := c.are(want); match != 0; match = match.rest() {
			slot = mt.slot(in, match.first())
			if text := (*textKey)(slot); text.hi == long && m.text(text.lo, uint64(len(key))) == key {
				return slot, in, hash
			}
		}
		if group == nil && c.free() != 0 {
			group = in
		}
		if step++; c.empty() != 0 || step > mask {
			return nil, group, hash
		}
		at += step
	}
}

// findBytes is find for all other keys.
func (h *mapHeader) findBytes(m *Mem, mt *mapType, k unsafe.Pointer) (slot unsafe.Pointer, group *ctrlWord, hash uint64) {
	hash = mt.hashKey(m, k)
	if h.dir == 0 {
		return nil, nil, hash
	}
	ref := h.ref(m, hash)
	at, mask, groups := homeOf(hash), ref.mask(m), m.at(ref.off()+tableHead)
	want := ctrlWord(ctrlLow * (ctrlFull | tagOf(hash)))
	for step := uint64(0); ; {
		at &= mask
		in := (*ctrlWord)(unsafe.Add(groups, at*mt.groupSize))
		c := *in
		for match := c.are(want); match != 0; match = match.rest() {
			if slot = mt.slot(in, match.first()); mt.isKey(m, slot, k) {
				return slot, in, hash
			}
		}
		if group == nil && c.free() != 0 {
			group = in
		}
		if step++; c.empty() != 0 || step > mask {
			return nil, group, hash
		}
		at += step
	}
}

// isKey reports whether the key in a slot is the one at k, which is no text.
func (mt *mapType) isKey(m *Mem, slot, k unsafe.Pointer) bool {
	if mt.class == keyMixed {
		return mt.isMixed(m, slot, k)
	}
	return rawText(slot, mt.keySize) == rawText(k, mt.keySize)
}

// freeSlot returns the first slot on a hash's way that has no entry. It returns
// nil if all have one, which only happens in an only group.
func (t *mapTable) freeSlot(mt *mapType, hash uint64) (group *ctrlWord, slot uint64) {
	for s := t.search(hash); ; {
		group := t.group(mt, s.at)
		if free := group.free(); free != 0 {
			return group, free.first()
		}
		if !s.next() {
			return nil, 0
		}
	}
}
