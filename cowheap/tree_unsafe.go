package cowheap

import "unsafe"

// A tree is a B-tree (Bayer and McCreight, 1972): nodes of about 1 KiB hold sorted
// entries, and inner nodes also the offsets of the nodes between them. Entries
// are in inner nodes too, rather than in leaves alone, so that the text of a key
// is kept in one place. The levels are counted from the leaves, which are level 0.
//
// Nodes know nothing of their parents: an operation remembers its way from the
// root in a treePath. One that may need memory allocates all of it first and
// changes nothing if that fails.
//
// treeHeader is a BTree or a BTreeFunc without its types.
type treeHeader struct {
	root   uint64 // offset of the root; 0: no node
	count  uint64 // entries
	mods   uint32 // counts insertions and removals: tells iterators
	flag   writerFlag
	height uint32 // levels
	_      uint32
}

// treeNode is what a node begins with.
type treeNode struct {
	n     uint32 // entries
	level uint32
}

// treePath is a way from the root down: the node at each level, and the entry
// or, where the way goes on, the child. A place in a tree is a path and the level
// of the node that has the entry; a place after the last entry has level height.
type treePath struct {
	off [maxTreeHeight]uint64
	at  [maxTreeHeight]uint32
}

const (
	btreeName     = "BTree"
	btreeFuncName = "BTreeFunc"
)

// asTree is the BTree or BTreeFunc at p.
//
// Preconditions: there is one.
func asTree(p unsafe.Pointer) *treeHeader { return (*treeHeader)(p) }

// node is the node at offset off.
func (m *Mem) node(off uint64) *treeNode { return (*treeNode)(m.at(off)) }

// key is the key of entry i.
func (tt *treeType) key(n *treeNode, i uint32) unsafe.Pointer {
	return unsafe.Add(unsafe.Pointer(n), nodeHeadSize+uint64(i)*tt.keySize)
}

// kept is what a node holds for the value of entry i: the value or its offset.
func (tt *treeType) kept(n *treeNode, i uint32) unsafe.Pointer {
	return unsafe.Add(unsafe.Pointer(n), tt.shapeAt(n.level).valAt+uint64(i)*tt.valSize)
}

// value is the value of entry i.
func (tt *treeType) value(m *Mem, n *treeNode, i uint32) unsafe.Pointer {
	p := tt.kept(n, i)
	if tt.apart {
		return m.at(*(*uint64)(p))
	}
	return p
}

// child is where an inner node has the offset of child i, in front of entry i.
func (tt *treeType) child(n *treeNode, i uint32) *uint64 {
	return (*uint64)(unsafe.Add(unsafe.Pointer(n), tt.inner.childAt+8*uint64(i)))
}

// newNode allocates a node without entries.
func (m *Mem) newNode(tt *treeType, level uint32) (off uint64, err error) {
	off, err = m.alloc(tt.shapeAt(level).size, 8)
	if err == nil {
		m.node(off).level = level
	}
	return off, err
}

// moveEntries moves n entries from index i of one node to index j of another or
// the same one. Children stay.
func (tt *treeType) moveEntries(to *treeNode, j uint32, from *treeNode, i, n uint32) {
	moveBytes(tt.key(to, j), tt.key(from, i), uint64(n)*tt.keySize)
	moveBytes(tt.kept(to, j), tt.kept(from, i), uint64(n)*tt.valSize)
}

// moveChildren moves n children from index i of one node to index j of another
// or the same one.
func (tt *treeType) moveChildren(to *treeNode, j uint32, from *treeNode, i, n uint32) {
	moveBytes(unsafe.Pointer(tt.child(to, j)), unsafe.Pointer(tt.child(from, i)), 8*uint64(n))
}

// cut zeroes the entries from index i on, of n that a node has, and the children
// behind them.
func (tt *treeType) cut(node *treeNode, i, n uint32) {
	clear(unsafe.Slice((*byte)(tt.key(node, i)), uint64(n-i)*tt.keySize))
	clear(unsafe.Slice((*byte)(tt.kept(node, i)), uint64(n-i)*tt.valSize))
	if node.level > 0 {
		clear(unsafe.Slice(tt.child(node, i+1), n-i))
	}
	node.n = i
}

func moveBytes(to, from unsafe.Pointer, n uint64) {
	copy(unsafe.Slice((*byte)(to), n), unsafe.Slice((*byte)(from), n))
}

// entryAt is the entry at a place.
func (h *treeHeader) entryAt(m *Mem, path *treePath, level uint32) (*treeNode, uint32) {
	return m.node(path.off[level]), path.at[level]
}

// first makes path the place of the first entry and returns its level.
func (h *treeHeader) first(m *Mem, tt *treeType, path *treePath) (level uint32) {
	if h.height == 0 {
		return 0
	}
	return h.down(m, tt, path, h.height, h.root)
}

// down goes to the first entry below off, which is the child at the place that
// path has for level.
func (h *treeHeader) down(m *Mem, tt *treeType, path *treePath, level uint32, off uint64) uint32 {
	for {
		level--
		path.off[level], path.at[level] = off, 0
		if level == 0 {
			return 0
		}
		off = *tt.child(m.node(off), 0)
	}
}

// last makes path the place of the last entry and returns its level.
func (h *treeHeader) last(m *Mem, tt *treeType, path *treePath) (level uint32) {
	if h.height == 0 {
		return 0
	}
	return h.downLast(m, tt, path, h.height, h.root)
}

// downLast goes to the last entry below off.
func (h *treeHeader) downLast(m *Mem, tt *treeType, path *treePath, level uint32, off uint64) uint32 {
	for {
		level--
		n := m.node(off)
		path.off[level], path.at[level] = off, n.n
		if level == 0 {
			path.at[0]--
			return 0
		}
		off = *tt.child(n, n.n)
	}
}

// next goes from an entry to the next one and returns its level.
func (h *treeHeader) next(m *Mem, tt *treeType, path *treePath, level uint32) uint32 {
	path.at[level]++
	if level > 0 {
		return h.down(m, tt, path, level, *tt.child(m.node(path.off[level]), path.at[level]))
	}
	return h.settle(m, path)
}

// settle goes from a place in a leaf, which may be behind its last entry, to the
// entry there.
func (h *treeHeader) settle(m *Mem, path *treePath) (level uint32) {
	for level < h.height && path.at[level] == m.node(path.off[level]).n {
		level++
	}
	return level
}

// prev goes from an entry, or a place in a leaf behind its last entry, to the
// entry before and returns its level; height if there is none.
func (h *treeHeader) prev(m *Mem, tt *treeType, path *treePath, level uint32) uint32 {
	if level > 0 {
		return h.downLast(m, tt, path, level, *tt.child(m.node(path.off[level]), path.at[level]))
	}
	for level < h.height && path.at[level] == 0 {
		level++
	}
	if level < h.height {
		path.at[level]--
	}
	return level
}
