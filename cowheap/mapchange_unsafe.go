package cowheap

import "unsafe"

// insert adds an entry for the key at k, with a value of zeros, and returns its
// slot. If memory runs out nothing has been changed.
//
// Preconditions: there is no such entry, and find has returned group.
func (h *mapHeader) insert(m *Mem, mt *mapType, k unsafe.Pointer, group *ctrlWord, hash uint64) (slot unsafe.Pointer, err error) {
	// All that may fail comes before all that changes something.
	kept := k
	if mt.allocates() {
		var room [8]uint64
		kept = unsafe.Pointer(&room)
		if mt.keySize > uint64(unsafe.Sizeof(room)) {
			kept = unsafe.Pointer(unsafe.SliceData(make([]uint64, (mt.keySize+7)/8)))
		}
		if err := mt.keepKey(m, kept, k); err != nil {
			return nil, err
		}
	}
	var val uint64
	if mt.apart {
		if val, err = m.alloc(mt.val.size, mt.val.align); err != nil {
			mt.freeKey(m, kept)
			return nil, err
		}
	}
	group, i, err := h.takeSlot(m, mt, group, hash)
	if err != nil {
		mt.freeKey(m, kept)
		if mt.apart {
			m.release(val)
		}
		return nil, err
	}

	slot = mt.slot(group, i)
	switch {
	case mt.class == keyWord8:
		*(*uint64)(slot) = *(*uint64)(kept)
	case mt.class == keyText:
		*(*textKey)(slot) = *(*textKey)(kept)
	default:
		copy(unsafe.Slice((*byte)(slot), mt.keySize), rawText(kept, mt.keySize))
	}
	if mt.apart {
		*(*uint64)(unsafe.Add(slot, mt.valAt)) = val
	}
	h.count++
	return slot, nil
}

// takeSlot marks a free slot as taken and returns it: in group, if there is one and it
// may be. It makes room if need be.
func (h *mapHeader) takeSlot(m *Mem, mt *mapType, group *ctrlWord, hash uint64) (in *ctrlWord, slot uint64, err error) {
	if h.dir == 0 {
		ref, err := m.newTable(mt, 1, 0)
		if err != nil {
			return nil, 0, err
		}
		h.dir = uint64(ref)
		group, _ = h.table(m, hash).freeSlot(mt, hash)
	}
	for {
		if group != nil {
			t, slot := h.table(m, hash), group.free().first()
			empty := *group>>(8*slot)&0xff == ctrlEmpty
			if !empty || t.left > 0 {
				if m.frozen.Load() {
					m.touchSlot(mt, t, group, mt.slot(group, slot))
				}
				if empty {
					t.left--
				}
				t.used++
				*group = group.with(slot, ctrlWord(ctrlFull|tagOf(hash)))
				return group, slot, nil
			}
		}
		if err := h.makeRoom(m, mt, hash); err != nil {
			return nil, 0, err
		}
		group, _ = h.table(m, hash).freeSlot(mt, hash)
	}
}

// remove takes the entry in a slot of a group out of the map. What its key holds is
// freed, and its value where it is apart; not what the value owns.
func (h *mapHeader) remove(m *Mem, mt *mapType, slot unsafe.Pointer, group *ctrlWord, hash uint64) {
	mt.freeKey(m, slot)
	if mt.apart {
		m.release(*(*uint64)(unsafe.Add(slot, mt.valAt)))
	}
	t := h.table(m, hash)
	i := uint64(uintptr(slot)-uintptr(mt.slot(group, 0))) / mt.slotSize
	if m.frozen.Load() {
		m.touchSlot(mt, t, group, slot)
	}
	// A search passes over a group only if it has no empty slot.
	if t.mask == 0 || group.empty() != 0 {
		*group = group.with(i, ctrlEmpty)
		t.left++
	} else {
		*group = group.with(i, ctrlDeleted)
	}
	clear(unsafe.Slice((*byte)(slot), mt.slotSize))
	t.used--
	h.count--
}

// free frees everything that the map has and leaves the header as it is.
func (h *mapHeader) free(m *Mem, mt *mapType) {
	if h.dir == 0 {
		return
	}
	for at := uint64(0); ; {
		t := h.table(m, at)
		off := h.ref(m, at).off()
		if mt.allocates() || mt.apart || mt.val.owned != nil {
			h.freeEntries(m, mt, t)
		}
		at += spanOf(t.depth)
		m.release(off)
		if at == 0 {
			break
		}
	}
	if h.depth > 0 {
		m.release(h.dir)
	}
}

func (h *mapHeader) freeEntries(m *Mem, mt *mapType, t *mapTable) {
	for i := range uint64(t.mask) + 1 {
		group := t.group(mt, i)
		for full := group.full(); full != 0; full = full.rest() {
			slot := mt.slot(group, full.first())
			mt.freeKey(m, slot)
			m.freeOwned(mt.val, mt.value(m, slot))
			if mt.apart {
				m.release(*(*uint64)(unsafe.Add(slot, mt.valAt)))
			}
		}
	}
}

// spanOf is the range of hashes that a table of this depth has: from its first
// on, that many. All of them, for depth 0, is 0.
func spanOf(depth uint32) uint64 { return 1 << (64 - depth) }
