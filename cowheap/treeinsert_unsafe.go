package cowheap

import "unsafe"

// rising is an entry on its way into a node: the new one, or one that moves up
// out of a node that is split.
type rising struct {
	key, kept unsafe.Pointer // kept is nil for zeros
	mid       uint32         // of the node that it moves into, if that is split
	fresh     bool           // it is the new entry
}

// insert adds an entry for the K at k, with a value of zeros, at a place in a leaf
// and returns its value. If memory runs out nothing has been changed.
//
// Preconditions: there is no such entry; path is where it would be.
func (h *treeHeader) insert(m *Mem, tt *treeType, k unsafe.Pointer, path *treePath) (val unsafe.Pointer, err error) {
	// All that may fail comes before all that changes something.
	key := k
	if tt.allocates() {
		var room [8]uint64
		key = unsafe.Pointer(&room)
		if tt.keySize > uint64(unsafe.Sizeof(room)) {
			key = unsafe.Pointer(unsafe.SliceData(make([]uint64, (tt.keySize+7)/8)))
		}
		if err := tt.keepKey(m, key, k); err != nil {
			return nil, err
		}
	}
	var kept unsafe.Pointer
	var apart uint64
	if tt.apart {
		if apart, err = m.alloc(tt.val.size, tt.val.align); err != nil {
			tt.freeKey(m, key)
			return nil, err
		}
		kept = unsafe.Pointer(&apart)
	}
	if h.height > 0 && m.node(path.off[0]).n < tt.leaf.room {
		node := m.node(path.off[0])
		m.touch(unsafe.Pointer(node), tt.leaf.size)
		tt.put(node, path.at[0], key, kept, 0)
		val = tt.value(m, node, path.at[0])
	} else if val, err = h.insertSplitting(m, tt, key, kept, path); err != nil {
		tt.freeKey(m, key)
		if tt.apart {
			m.release(apart)
		}
		return nil, err
	}
	h.count++
	h.mods++
	return val, nil
}

// put makes an entry the one at index i of a node that has room. child goes
// behind it.
func (tt *treeType) put(node *treeNode, i uint32, key, kept unsafe.Pointer, child uint64) {
	after := node.n - i
	tt.moveEntries(node, i+1, node, i, after)
	moveBytes(tt.key(node, i), key, tt.keySize)
	if kept != nil {
		moveBytes(tt.kept(node, i), kept, tt.valSize)
	} else {
		clear(unsafe.Slice((*byte)(tt.kept(node, i)), tt.valSize))
	}
	if node.level > 0 {
		tt.moveChildren(node, i+2, node, i+1, after)
		*tt.child(node, i+1) = child
	}
	node.n++
}

// insertSplitting is insert where the leaf is full, or there is none yet.
func (h *treeHeader) insertSplitting(m *Mem, tt *treeType, key, kept unsafe.Pointer, path *treePath) (val unsafe.Pointer, err error) {
	full := uint32(0) // levels whose node must be split
	for full < h.height && m.node(path.off[full]).n == tt.shapeAt(full).room {
		full++
	}
	need := full
	if full == h.height {
		need++ // a root
	}
	var fresh [maxTreeHeight]uint64
	if need > maxTreeHeight {
		return nil, ErrFull
	}
	for level := range need {
		if fresh[level], err = m.newNode(tt, level); err != nil {
			for _, off := range fresh[:level] {
				m.release(off)
			}
			return nil, err
		}
	}

	// From the leaf up, what moves into each level; then from the top down the
	// changes, so that an entry is still where it was when it is copied.
	var up [maxTreeHeight + 1]rising
	up[0] = rising{key: key, kept: kept, fresh: true}
	atEnd := h.atEnd(m, path)
	for level := range full {
		node, i := m.node(path.off[level]), path.at[level]
		m.touch(unsafe.Pointer(node), tt.shapeAt(level).size)
		mid := node.n / 2
		if atEnd {
			mid = node.n - 1 // keys that come in order leave full nodes behind
		}
		up[level].mid = mid
		switch {
		case i == mid:
			up[level+1] = up[level]
		case i < mid:
			up[level+1] = rising{key: tt.key(node, mid-1), kept: tt.kept(node, mid-1)}
		default:
			up[level+1] = rising{key: tt.key(node, mid), kept: tt.kept(node, mid)}
		}
	}

	below := func(level uint32) uint64 { // the new node of the level below
		if level == 0 {
			return 0
		}
		return fresh[level-1]
	}
	if full == h.height {
		root := m.node(fresh[full])
		if full > 0 {
			*tt.child(root, 0) = h.root
		}
		h.root = fresh[full]
		h.height++
		path.off[full], path.at[full] = h.root, 0
	}
	top := m.node(path.off[full])
	m.touch(unsafe.Pointer(top), tt.shapeAt(full).size)
	tt.put(top, path.at[full], up[full].key, up[full].kept, below(full))
	if up[full].fresh {
		val = tt.value(m, top, path.at[full])
	}
	for level := full; level > 0; {
		level--
		e := &up[level]
		node, i := tt.split(m.node(path.off[level]), m.node(fresh[level]), path.at[level], e, below(level))
		if e.fresh && node != nil {
			val = tt.value(m, node, i)
		}
	}
	return val, nil
}

// atEnd reports whether a place in a leaf is behind the last entry.
func (h *treeHeader) atEnd(m *Mem, path *treePath) bool {
	for level := range h.height {
		if path.at[level] < m.node(path.off[level]).n {
			return false
		}
	}
	return true
}

// split splits a full node in two and puts e in at index i. Counted with e, entry
// e.mid is the one that moved up: it was copied already. It returns where e
// is, or nil if it is the one.
func (tt *treeType) split(left, right *treeNode, i uint32, e *rising, child uint64) (*treeNode, uint32) {
	n, mid := left.n, e.mid
	first := mid // of the entries that go to the right
	if i > mid {
		first++
	}
	tt.moveEntries(right, 0, left, first, n-first)
	right.n = n - first
	if left.level > 0 {
		if i == mid {
			*tt.child(right, 0) = child
			tt.moveChildren(right, 1, left, mid+1, n-mid)
		} else {
			tt.moveChildren(right, 0, left, first, n-first+1)
		}
	}
	switch {
	case i == mid:
		tt.cut(left, mid, n)
		return nil, 0
	case i < mid:
		tt.cut(left, mid-1, n)
		tt.put(left, i, e.key, e.kept, child)
		return left, i
	}
	tt.cut(left, mid, n)
	tt.put(right, i-first, e.key, e.kept, child)
	return right, i - first
}
