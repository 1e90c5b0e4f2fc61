package cowheap

import "unsafe"

// makeRoom sees to it that the table for a hash can take another entry. If
// memory runs out nothing has been changed.
func (h *mapHeader) makeRoom(m *Mem, mt *mapType, hash uint64) error {
	t := h.table(m, hash)
	groups := uint64(t.mask) + 1
	switch {
	case 4*uint64(t.used) <= 3*maxLoad(groups):
		return h.rebuild(m, mt, hash, groups) // deleted entries took the rest
	case groups < mt.maxGroups || !h.maySplit(t):
		return h.rebuild(m, mt, hash, 2*groups)
	}
	return h.split(m, mt, hash)
}

// maySplit reports whether t may be split. A directory that would have more than
// one place for eight entries may not be doubled for it: hashes do not spread
// as they should then, which happens with keys that were chosen to collide by
// somebody who knows the seed. The table grows beyond its usual size instead.
func (h *mapHeader) maySplit(t *mapTable) bool {
	return t.depth < h.depth || 2<<h.depth <= 64+h.count/8
}

// rebuild moves the entries of the table for a hash into a new table.
func (h *mapHeader) rebuild(m *Mem, mt *mapType, hash, groups uint64) error {
	oldOff := h.ref(m, hash).off()
	old := (*mapTable)(m.at(oldOff))
	ref, err := m.newTable(mt, groups, old.depth)
	if err != nil {
		return err
	}
	t := (*mapTable)(m.at(ref.off()))
	for i := range uint64(old.mask) + 1 {
		group := old.group(mt, i)
		for full := group.full(); full != 0; full = full.rest() {
			slot := mt.slot(group, full.first())
			t.move(mt, slot, mt.hashStored(m, slot))
		}
	}
	h.place(m, hash, old.depth, ref)
	m.release(oldOff)
	h.moves++
	return nil
}

// split moves the entries of the table for a hash into two new tables, by the
// next bit of their hashes. It doubles the directory if that has no places for
// the two.
func (h *mapHeader) split(m *Mem, mt *mapType, hash uint64) error {
	oldOff := h.ref(m, hash).off()
	old := (*mapTable)(m.at(oldOff))
	bit := 63 - old.depth
	var counts [2]uint64
	for i := range uint64(old.mask) + 1 {
		group := old.group(mt, i)
		for full := group.full(); full != 0; full = full.rest() {
			slot := mt.slot(group, full.first())
			counts[mt.hashStored(m, slot)>>bit&1]++
		}
	}

	var refs [2]tableRef
	for i, n := range counts {
		groups := uint64(1)
		for maxLoad(groups) <= n+n/4 {
			groups *= 2
		}
		ref, err := m.newTable(mt, groups, old.depth+1)
		if err == nil && i == 1 && old.depth == h.depth {
			if err = h.doubleDirectory(m); err != nil {
				m.release(ref.off())
			}
		}
		if err != nil {
			if i == 1 {
				m.release(refs[0].off())
			}
			return err
		}
		refs[i] = ref
	}

	for i := range uint64(old.mask) + 1 {
		group := old.group(mt, i)
		for full := group.full(); full != 0; full = full.rest() {
			slot := mt.slot(group, full.first())
			hash := mt.hashStored(m, slot)
			t := (*mapTable)(m.at(refs[hash>>bit&1].off()))
			t.move(mt, slot, hash)
		}
	}
	h.place(m, hash&^(1<<bit), old.depth+1, refs[0])
	h.place(m, hash|1<<bit, old.depth+1, refs[1])
	m.release(oldOff)
	h.moves++
	return nil
}

// doubleDirectory gives the directory twice as many places.
func (h *mapHeader) doubleDirectory(m *Mem) error {
	dir, err := m.alloc(16<<h.depth, 8)
	if err != nil {
		return err
	}
	if h.depth == 0 {
		places := unsafe.Slice((*uint64)(m.at(dir)), 2)
		places[0], places[1] = h.dir, h.dir
	} else {
		from := unsafe.Slice((*uint64)(m.at(h.dir)), 1<<h.depth)
		to := unsafe.Slice((*uint64)(m.at(dir)), 2<<h.depth)
		for i, ref := range from {
			to[2*i], to[2*i+1] = ref, ref
		}
		m.release(h.dir)
	}
	h.dir = dir
	h.depth++
	return nil
}

// place makes the directory lead to a table from all places for hashes that
// share their highest depth bits with hash.
func (h *mapHeader) place(m *Mem, hash uint64, depth uint32, ref tableRef) {
	if h.depth == 0 {
		h.dir = uint64(ref)
		return
	}
	n := uint64(1) << (h.depth - depth)
	first := dirIndex(hash, h.depth) &^ (n - 1)
	places := unsafe.Slice((*tableRef)(m.at(h.dir+8*first)), n)
	for i := range places {
		places[i] = ref
	}
}

// move copies an entry from another table.
//
// Preconditions: t has room and no deleted entries.
func (t *mapTable) move(mt *mapType, from unsafe.Pointer, hash uint64) {
	group, i := t.freeSlot(mt, hash)
	*group = group.with(i, ctrlWord(ctrlFull|tagOf(hash)))
	t.used++
	t.left--
	copy(unsafe.Slice((*byte)(mt.slot(group, i)), mt.slotSize), unsafe.Slice((*byte)(from), mt.slotSize))
}
