package cowheap

import "unsafe"

// mapIter goes through a map in the order of the hashes of tables, and within a
// table slot by slot, while the loop's body may change the map.
//
// The hashes are gone through in ranges, each of which is one table when the
// iterator gets to it. As long as no entry is moved, going from slot to slot
// meets each entry at most once, none that was deleted before, and all that stay.
// An insertion may move entries, but it only ever rebuilds a table or splits it:
// the entries of a range stay in the range. So when entries were moved the table
// is begun again, then come the others that the range has now, and entries that
// were produced already are passed over. What identifies them is kept for one range at a time:
// the key's bytes, or the offset where its text is kept, which no other entry
// has at the same time. (Go's iterator keeps the old table instead. Here that
// would have to be counted in the arena, and a snapshot would freeze the count.)
type mapIter struct {
	h  *mapHeader
	m  *Mem
	mt *mapType

	moves, epoch uint32 // of the map when the iterator last looked

	end       uint64 // of the range, the first hash after it; 0 after the last
	at        uint64 // first hash of the table
	group, in uint64 // next slot: in of group

	produced []byte              // identities of the range's entries that were produced
	again    map[string]struct{} // the same as a set, once entries of the range were moved
	done     bool
}

// begin makes the iterator one over h.
func (it *mapIter) begin(h *mapHeader, m *Mem, mt *mapType) {
	*it = mapIter{h: h, m: m, mt: mt, moves: h.moves, epoch: h.epoch, done: h.dir == 0}
	if !it.done {
		it.enter()
	}
}

// enter begins the range at it.at with the table that is there now.
func (it *mapIter) enter() {
	t := it.h.table(it.m, it.at)
	it.end = it.at + spanOf(t.depth)
	it.group, it.in = 0, 0
	it.again = nil
	it.produced = it.produced[:0]
	if need := int(uint64(t.used) * it.mt.keySize); cap(it.produced) < need && !it.m.view {
		it.produced = make([]byte, 0, need)
	}
}

// next returns the slot of the next entry, or nil after the last.
func (it *mapIter) next() unsafe.Pointer {
	if it.done {
		return nil
	}
	it.h.flag.check(mapName)
	if it.h.epoch != it.epoch {
		it.done = true // everything that was there has been dropped
		return nil
	}
	if it.h.moves != it.moves {
		it.beginAgain()
	}
	t := it.h.table(it.m, it.at)
	for {
		if slot := it.nextIn(t); slot != nil {
			return slot
		}
		it.at += spanOf(t.depth)
		it.group, it.in = 0, 0
		if it.at == it.end {
			if it.end == 0 {
				it.done = true
				return nil
			}
			it.enter()
		}
		t = it.h.table(it.m, it.at)
	}
}

// nextIn returns the next slot to produce in t, or nil.
func (it *mapIter) nextIn(t *mapTable) unsafe.Pointer {
	for ; it.group <= uint64(t.mask); it.group, it.in = it.group+1, 0 {
		group := t.group(it.mt, it.group)
		full := group.full() &^ (1<<(8*it.in) - 1) // those before were produced or empty
		for ; full != 0; full = full.rest() {
			i := full.first()
			slot := it.mt.slot(group, i)
			if !it.isNew(slot) {
				continue
			}
			if it.in = i + 1; it.in == groupSlots {
				it.group, it.in = it.group+1, 0
			}
			return slot
		}
	}
	return nil
}

// isNew reports whether an entry was not produced yet, and notes that it is now.
func (it *mapIter) isNew(slot unsafe.Pointer) bool {
	if it.m.view {
		return true // nobody may change the map
	}
	before := len(it.produced)
	it.produced = it.mt.appendIdentity(it.produced, slot)
	if it.again == nil {
		return true
	}
	id := it.produced[before:]
	if _, was := it.again[string(id)]; was {
		it.produced = it.produced[:before]
		return false
	}
	it.again[string(id)] = struct{}{}
	return true
}

// beginAgain begins the table again after entries were moved.
func (it *mapIter) beginAgain() {
	it.moves = it.h.moves
	it.group, it.in = 0, 0
	if it.again != nil {
		return // the set is up to date
	}
	it.again = make(map[string]struct{})
	n := int(it.mt.keySize)
	for i := 0; i+n <= len(it.produced) && n > 0; i += n {
		it.again[string(it.produced[i:i+n])] = struct{}{}
	}
}
