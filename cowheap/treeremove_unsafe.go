package cowheap

import "unsafe"

// remove takes the entry at a place out of the tree. What its key holds is freed,
// and its value where it is apart; not what the value owns. It needs no memory.
func (h *treeHeader) remove(m *Mem, tt *treeType, path *treePath, level uint32) {
	node, i := h.entryAt(m, path, level)
	if tt.allocates() {
		m.holdWalks(h)
	}
	tt.freeKey(m, tt.key(node, i))
	if tt.apart {
		m.release(*(*uint64)(tt.kept(node, i)))
	}
	m.touch(unsafe.Pointer(node), tt.shapeAt(level).size)
	if level > 0 { // the entry before it, which is in a leaf, takes its place
		h.downLast(m, tt, path, level, *tt.child(node, i))
		leaf, j := h.entryAt(m, path, 0)
		m.touch(unsafe.Pointer(leaf), tt.leaf.size)
		tt.moveEntries(node, i, leaf, j, 1)
		node, i = leaf, j
	}
	tt.moveEntries(node, i, node, i+1, node.n-i-1)
	tt.cut(node, node.n-1, node.n)
	h.count--
	h.mods++
	h.rebalance(m, tt, path)
}

// rebalance goes up a path from a leaf that has lost an entry, as long as nodes
// have too few: such a node is merged with its neighbour, or takes an entry from
// it if both do not fit in one.
func (h *treeHeader) rebalance(m *Mem, tt *treeType, path *treePath) {
	level := uint32(0)
	for ; level+1 < h.height; level++ {
		node := m.node(path.off[level])
		if node.n >= tt.shapeAt(level).least {
			return
		}
		parent, at := m.node(path.off[level+1]), path.at[level+1]
		sep := max(at, 1) - 1 // the entry between the two
		left, right := m.node(*tt.child(parent, sep)), m.node(*tt.child(parent, sep+1))
		m.touch(unsafe.Pointer(left), tt.shapeAt(level).size)
		m.touch(unsafe.Pointer(right), tt.shapeAt(level).size)
		m.touch(unsafe.Pointer(parent), tt.inner.size)
		if left.n+right.n+1 > tt.shapeAt(level).room {
			if node == left {
				tt.shiftLeft(left, right, parent, sep)
			} else {
				tt.shiftRight(left, right, parent, sep)
			}
			return
		}
		gone := *tt.child(parent, sep+1)
		tt.merge(left, right, parent, sep)
		m.release(gone)
	}
	if root := m.node(path.off[level]); root.n == 0 {
		gone := h.root
		h.height--
		h.root = 0
		if h.height > 0 {
			h.root = *tt.child(root, 0)
		}
		m.release(gone)
	}
}

// merge moves the entry of parent at index sep, and all of right, to the end of
// left.
func (tt *treeType) merge(left, right, parent *treeNode, sep uint32) {
	tt.moveEntries(left, left.n, parent, sep, 1)
	tt.moveEntries(left, left.n+1, right, 0, right.n)
	if left.level > 0 {
		tt.moveChildren(left, left.n+1, right, 0, right.n+1)
	}
	left.n += right.n + 1
	after := parent.n - sep - 1
	tt.moveEntries(parent, sep, parent, sep+1, after)
	tt.moveChildren(parent, sep+1, parent, sep+2, after)
	tt.cut(parent, parent.n-1, parent.n)
}

// shiftLeft moves an entry from right to left, through parent.
func (tt *treeType) shiftLeft(left, right, parent *treeNode, sep uint32) {
	tt.moveEntries(left, left.n, parent, sep, 1)
	tt.moveEntries(parent, sep, right, 0, 1)
	if left.level > 0 {
		tt.moveChildren(left, left.n+1, right, 0, 1)
		tt.moveChildren(right, 0, right, 1, right.n)
	}
	left.n++
	tt.moveEntries(right, 0, right, 1, right.n-1)
	tt.cut(right, right.n-1, right.n)
}

// shiftRight moves an entry from left to right, through parent.
func (tt *treeType) shiftRight(left, right, parent *treeNode, sep uint32) {
	tt.moveEntries(right, 1, right, 0, right.n)
	tt.moveEntries(right, 0, parent, sep, 1)
	tt.moveEntries(parent, sep, left, left.n-1, 1)
	if left.level > 0 {
		tt.moveChildren(right, 1, right, 0, right.n+1)
		tt.moveChildren(right, 0, left, left.n, 1)
	}
	right.n++
	tt.cut(left, left.n-1, left.n)
}

// free frees everything that the tree has and leaves the header as it is.
func (h *treeHeader) free(m *Mem, tt *treeType) {
	if h.height > 0 {
		if tt.allocates() {
			m.holdWalks(h)
		}
		h.freeNode(m, tt, h.root)
	}
}

// freeNode frees a node and what is below it, by recursion as deep as the tree.
func (h *treeHeader) freeNode(m *Mem, tt *treeType, off uint64) {
	node := m.node(off)
	if tt.allocates() || tt.apart || tt.val.owned != nil {
		for i := range node.n {
			tt.freeKey(m, tt.key(node, i))
			m.freeOwned(tt.val, tt.value(m, node, i))
			if tt.apart {
				m.release(*(*uint64)(tt.kept(node, i)))
			}
		}
	}
	if node.level > 0 {
		for i := range node.n + 1 {
			h.freeNode(m, tt, *tt.child(node, i))
		}
	}
	m.release(off)
}

// clear makes the tree empty.
func (h *treeHeader) clear(m *Mem, tt *treeType) {
	h.free(m, tt)
	h.root, h.count, h.height = 0, 0, 0
	h.mods++
}
