package cowheap

import (
	"cmp"
	"strings"
	"unsafe"
)

// Searches come in three kinds, for keys that are numbers, text, or have a Compare
// method. They are functions of their own, and not one that is handed a
// comparison, so that comparisons are compiled in and nothing escapes to the Go
// heap.

// comparable3 is what a BTreeFunc's keys are.
type comparable3[K any] interface{ Compare(K) int }

// numbersBelow is how many of the first n keys of a node are less than k.
func numbersBelow[K cmp.Ordered](node *treeNode, n uint32, k K) uint32 {
	p := unsafe.Add(unsafe.Pointer(node), nodeHeadSize)
	i := uint32(0)
	for i < n {
		mid := (i + n) / 2
		if cmp.Less(*(*K)(unsafe.Add(p, uint64(mid)*uint64(unsafe.Sizeof(k)))), k) {
			i = mid + 1
		} else {
			n = mid
		}
	}
	return i
}

// numberIs reports whether key i of a node is k.
//
// Preconditions: it is not less.
func numberIs[K cmp.Ordered](node *treeNode, i uint32, k K) bool {
	return i < node.n && !cmp.Less(k, *(*K)(unsafe.Add(unsafe.Pointer(node), nodeHeadSize+uint64(i)*uint64(unsafe.Sizeof(k)))))
}

// seekNumber goes to the place of k, or where it would be in a leaf.
func seekNumber[K cmp.Ordered](h *treeHeader, m *Mem, tt *treeType, k K, path *treePath) (level uint32, found bool) {
	off := h.root
	for level = h.height; level > 0; {
		level--
		node := m.node(off)
		i := numbersBelow(node, node.n, k)
		path.off[level], path.at[level] = off, i
		if numberIs(node, i, k) {
			return level, true
		}
		if level > 0 {
			off = *tt.child(node, i)
		}
	}
	return 0, false
}

// findNumber returns the entry of k.
func findNumber[K cmp.Ordered](h *treeHeader, m *Mem, tt *treeType, k K) (node *treeNode, i uint32, found bool) {
	off := h.root
	for level := h.height; level > 0; {
		level--
		node = m.node(off)
		i = numbersBelow(node, node.n, k)
		if numberIs(node, i, k) {
			return node, i, true
		}
		if level > 0 {
			off = *tt.child(node, i)
		}
	}
	return nil, 0, false
}

// textAbove returns the index of the first key of a node that is not less than
// k, and whether it is k.
func (m *Mem) textAbove(tt *treeType, node *treeNode, k string) (i uint32, found bool) {
	i, end := 0, node.n
	for i < end {
		mid := (i + end) / 2
		switch c := strings.Compare(k, m.textOf(tt.key(node, mid))); {
		case c == 0:
			return mid, true
		case c < 0:
			end = mid
		default:
			i = mid + 1
		}
	}
	return i, false
}

// seekText is seekNumber for text.
func (h *treeHeader) seekText(m *Mem, tt *treeType, k string, path *treePath) (level uint32, found bool) {
	off := h.root
	for level = h.height; level > 0; {
		level--
		node := m.node(off)
		i, found := m.textAbove(tt, node, k)
		path.off[level], path.at[level] = off, i
		if found {
			return level, true
		}
		if level > 0 {
			off = *tt.child(node, i)
		}
	}
	return 0, false
}

// findText is findNumber for text.
func (h *treeHeader) findText(m *Mem, tt *treeType, k string) (node *treeNode, i uint32, found bool) {
	off := h.root
	for level := h.height; level > 0; {
		level--
		node = m.node(off)
		if i, found = m.textAbove(tt, node, k); found {
			return node, i, true
		}
		if level > 0 {
			off = *tt.child(node, i)
		}
	}
	return nil, 0, false
}

// seekFunc is seekNumber for keys with a Compare method.
func seekFunc[K comparable3[K]](h *treeHeader, m *Mem, tt *treeType, k K, path *treePath) (level uint32, found bool) {
	off := h.root
	for level = h.height; level > 0; {
		level--
		node := m.node(off)
		i, end := uint32(0), node.n
		for i < end && !found {
			mid := (i + end) / 2
			switch c := k.Compare(loadTreeKey[K](m, tt, node, mid)); {
			case c == 0:
				i, found = mid, true
			case c < 0:
				end = mid
			default:
				i = mid + 1
			}
		}
		path.off[level], path.at[level] = off, i
		if found {
			return level, true
		}
		if level > 0 {
			off = *tt.child(node, i)
		}
	}
	return 0, false
}

// loadTreeKey is the key of entry i. Strings in it alias the heap.
func loadTreeKey[K any](m *Mem, tt *treeType, node *treeNode, i uint32) (k K) {
	if !tt.allocates() {
		return *(*K)(tt.key(node, i))
	}
	tt.loadKey(m, tt.key(node, i), unsafe.Pointer(&k))
	return k
}
