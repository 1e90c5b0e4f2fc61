package cowheap

import (
	"cmp"
	"unsafe"
)

// BTree is a map whose keys are in order and that lives in a heap. The zero BTree
// is empty. It must not be copied, and its methods panic unless it is in the heap
// of the Mem that they are given.
//
// Keys are integers, floating-point numbers and strings, whose bytes the BTree
// keeps itself. They are ordered as cmp.Compare has it: strings by their bytes, and
// NaN, which equals itself here, before all other numbers. For other keys, and
// other orders, there is BTreeFunc.
//
// Many goroutines may read a BTree at once; a goroutine that changes it must be
// alone with it. Two that are there at once panic, if they are found.
//
// Get, Ptr, Slot, Set, Delete, Min and Max take logarithmic time: 1e6 numbers
// are in 4 levels of nodes of 1 KiB. A change writes to the nodes on one
// way from the root at most, mostly to one. Nodes are at least a third full, two
// thirds on average with random keys, and full where keys came in ascending order
// or by Load. Delete merges nodes and frees those that it empties. Values of more
// than 128 bytes are allocations of their own.
type BTree[K cmp.Ordered, V any] struct {
	_ noCopy
	_ [0]*K // BTree[A,V] does not convert to BTree[B,V]
	_ [0]*V
	treeHeader
}

func (t *BTree[K, V]) typ() *treeType { return treeTypeOf[BTree[K, V], K, V]() }

// seek goes to the place of k, or where it would be in a leaf.
func (t *BTree[K, V]) seek(m *Mem, tt *treeType, k K, path *treePath) (level uint32, found bool) {
	if tt.class == keyText {
		return t.seekText(m, tt, goText(unsafe.Pointer(&k)), path)
	}
	return seekNumber(&t.treeHeader, m, tt, k, path)
}

// find returns the value of k, or nil.
func (t *BTree[K, V]) find(m *Mem, tt *treeType, k K) unsafe.Pointer {
	var node *treeNode
	var i uint32
	var found bool
	if tt.class == keyText {
		node, i, found = t.findText(m, tt, goText(unsafe.Pointer(&k)))
	} else {
		node, i, found = findNumber(&t.treeHeader, m, tt, k)
	}
	if !found {
		return nil
	}
	return tt.value(m, node, i)
}

// Get returns a copy of the value of k, and whether there is one.
//
// It panics if V holds a container of which there must not be a copy (all but
// String): use Ptr.
func (t *BTree[K, V]) Get(m *Mem, k K) (v V, ok bool) {
	m.mustHold(unsafe.Pointer(t), "BTree.Get")
	tt := t.typ()
	tt.mustCopy("BTree.Get")
	t.flag.check(btreeName)
	p := t.find(m, tt, k)
	if p == nil {
		return v, false
	}
	return *(*V)(p), true
}

// Ptr returns a pointer to the value of k in the heap, and nil if there is none.
// Writing to it, inside Update, changes the value. It is valid until the Update or
// View that m belongs to returns, or the BTree is changed by a method.
func (t *BTree[K, V]) Ptr(m *Mem, k K) *V {
	m.mustHold(unsafe.Pointer(t), "BTree.Ptr")
	t.flag.check(btreeName)
	return (*V)(t.find(m, t.typ(), k))
}

// Slot is Ptr, but if k has no value it gives it the zero V first. It fails with
// ErrFull, and with ErrReadOnly inside View; then nothing has been changed.
func (t *BTree[K, V]) Slot(m *Mem, k K) (p *V, existed bool, err error) {
	m.mustHold(unsafe.Pointer(t), "BTree.Slot")
	if m.view {
		return nil, false, ErrReadOnly
	}
	t.flag.begin(btreeName)
	tt := t.typ()
	val, existed, err := t.findOrInsert(m, tt, k)
	t.flag.end(btreeName)
	if existed {
		m.touch(val, tt.val.size)
	}
	return (*V)(val), existed, err
}

// Set makes v the value of k. Strings in v belong to the BTree from then on;
// those of the value before are freed, unless they are in v as well. It fails with
// ErrFull, and with ErrReadOnly inside View; then nothing has been changed.
//
// It panics if v holds a container other than String that is not empty, which
// would be a copy: use Slot and fill it in the heap.
func (t *BTree[K, V]) Set(m *Mem, k K, v V) error {
	m.mustHold(unsafe.Pointer(t), "BTree.Set")
	if m.view {
		return ErrReadOnly
	}
	tt := t.typ()
	if tt.val.fixed {
		tt.val.mustBeEmpty(unsafe.Pointer(&v), "BTree.Set")
	}
	t.flag.begin(btreeName)
	p, existed, err := t.findOrInsert(m, tt, k)
	if err == nil {
		if existed {
			m.touch(p, tt.val.size)
			if tt.val.owned != nil {
				m.freeReplaced(tt.val, p, unsafe.Pointer(&v))
			}
		}
		*(*V)(p) = v
		tt.val.clearGaps(p)
	}
	t.flag.end(btreeName)
	return err
}

// Delete takes k out and returns the value that it had, and whether it had one.
// What containers in the value hold is freed: in the V that is returned they are
// empty. It panics inside View.
func (t *BTree[K, V]) Delete(m *Mem, k K) (v V, ok bool) {
	m.mustChange(unsafe.Pointer(t), "BTree.Delete")
	tt := t.typ()
	t.flag.begin(btreeName)
	var path treePath
	level, found := t.seek(m, tt, k, &path)
	if found {
		node, i := t.entryAt(m, &path, level)
		p := tt.value(m, node, i)
		v = *(*V)(p)
		tt.val.forgetOwned(unsafe.Pointer(&v))
		m.freeOwned(tt.val, p)
		t.remove(m, tt, &path, level)
	}
	t.flag.end(btreeName)
	return v, found
}

// Len returns the number of entries.
func (t *BTree[K, V]) Len() int { return int(t.count) }

// Clear takes everything out and frees the memory, with what containers in the
// values hold. It panics inside View.
func (t *BTree[K, V]) Clear(m *Mem) {
	m.mustChange(unsafe.Pointer(t), "BTree.Clear")
	t.flag.begin(btreeName)
	t.clear(m, t.typ())
	t.flag.end(btreeName)
}

// findOrInsert returns the value of k, which it inserts if need be.
func (t *BTree[K, V]) findOrInsert(m *Mem, tt *treeType, k K) (val unsafe.Pointer, existed bool, err error) {
	var path treePath
	level, found := t.seek(m, tt, k, &path)
	if found {
		node, i := t.entryAt(m, &path, level)
		return tt.value(m, node, i), true, nil
	}
	val, err = t.insert(m, tt, unsafe.Pointer(&k), &path)
	return val, false, err
}
