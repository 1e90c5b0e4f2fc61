package cowheap

import (
	"unsafe"
)

// BTreeFunc is a BTree whose keys have an order of their own: k.Compare(l) is
// negative if k comes before l, positive if it comes after, and 0 if they are the
// same key. It suits composite keys: an index by two fields, or one in descending order.
// The zero BTreeFunc is empty. It must not be copied, and its methods panic
// unless it is in the heap of the Mem that they are given.
//
// Keys are what those of a Map may be: strings, whose bytes the BTreeFunc keeps
// itself, integers, bools, Refs, and arrays and structs of these without padding. The
// order must be a strict weak one and depend on the keys alone; it is not in the
// recorded layout, and entries are no longer found once it is another. Compare must use no
// method of a heap. If it panics nothing has been changed.
//
// Concurrency, complexity and memory are as with BTree.
type BTreeFunc[K interface{ Compare(K) int }, V any] struct {
	_ noCopy
	_ [0]*K // BTreeFunc[A,V] does not convert to BTreeFunc[B,V]
	_ [0]*V
	treeHeader
}

func (t *BTreeFunc[K, V]) typ() *treeType { return treeTypeOf[BTreeFunc[K, V], K, V]() }

// seek goes to the place of k, or where it would be in a leaf.
func (t *BTreeFunc[K, V]) seek(m *Mem, tt *treeType, k K, path *treePath) (level uint32, found bool) {
	return seekFunc(&t.treeHeader, m, tt, k, path)
}

// find returns the value of k, or nil.
func (t *BTreeFunc[K, V]) find(m *Mem, tt *treeType, k K) unsafe.Pointer {
	var path treePath
	level, found := t.seek(m, tt, k, &path)
	if !found {
		return nil
	}
	node, i := t.entryAt(m, &path, level)
	return tt.value(m, node, i)
}

// Get returns a copy of the value of k, and whether there is one.
//
// It panics if V holds a container of which there must not be a copy (all but
// String): use Ptr.
func (t *BTreeFunc[K, V]) Get(m *Mem, k K) (v V, ok bool) {
	m.mustHold(unsafe.Pointer(t), "BTreeFunc.Get")
	tt := t.typ()
	tt.mustCopy("BTreeFunc.Get")
	t.flag.check(btreeFuncName)
	p := t.find(m, tt, k)
	if p == nil {
		return v, false
	}
	return *(*V)(p), true
}

// Ptr returns a pointer to the value of k in the heap, and nil if there is none.
// Writing to it, inside Update, changes the value. It is valid until the Update or
// View that m belongs to returns, or the BTreeFunc is changed by a method.
func (t *BTreeFunc[K, V]) Ptr(m *Mem, k K) *V {
	m.mustHold(unsafe.Pointer(t), "BTreeFunc.Ptr")
	t.flag.check(btreeFuncName)
	return (*V)(t.find(m, t.typ(), k))
}

// Slot is Ptr, but if k has no value it gives it the zero V first. It fails with
// ErrFull, and with ErrReadOnly inside View; then nothing has been changed.
func (t *BTreeFunc[K, V]) Slot(m *Mem, k K) (p *V, existed bool, err error) {
	m.mustHold(unsafe.Pointer(t), "BTreeFunc.Slot")
	if m.view {
		return nil, false, ErrReadOnly
	}
	t.flag.begin(btreeFuncName)
	defer t.flag.end(btreeFuncName) // also if Compare panics
	tt := t.typ()
	val, existed, err := t.findOrInsert(m, tt, k)
	if existed {
		m.touch(val, tt.val.size)
	}
	return (*V)(val), existed, err
}

// Set makes v the value of k. Strings in v belong to the BTreeFunc from then
// on; those of the value before are freed, unless they are in v as well. It fails with
// ErrFull, and with ErrReadOnly inside View; then nothing has been changed.
//
// It panics if v holds a container other than String that is not empty, which
// would be a copy: use Slot and fill it in the heap.
func (t *BTreeFunc[K, V]) Set(m *Mem, k K, v V) error {
	m.mustHold(unsafe.Pointer(t), "BTreeFunc.Set")
	if m.view {
		return ErrReadOnly
	}
	tt := t.typ()
	if tt.val.fixed {
		tt.val.mustBeEmpty(unsafe.Pointer(&v), "BTreeFunc.Set")
	}
	t.flag.begin(btreeFuncName)
	defer t.flag.end(btreeFuncName) // also if Compare panics
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
	return err
}

// Delete takes k out and returns the value that it had, and whether it had one.
// What containers in the value hold is freed: in the V that is returned they are
// empty. It panics inside View.
func (t *BTreeFunc[K, V]) Delete(m *Mem, k K) (v V, ok bool) {
	m.mustChange(unsafe.Pointer(t), "BTreeFunc.Delete")
	tt := t.typ()
	t.flag.begin(btreeFuncName)
	defer t.flag.end(btreeFuncName) // also if Compare panics
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
	return v, found
}

// Len returns the number of entries.
func (t *BTreeFunc[K, V]) Len() int { return int(t.count) }

// Clear takes everything out and frees the memory, with what containers in the
// values hold. It panics inside View.
func (t *BTreeFunc[K, V]) Clear(m *Mem) {
	m.mustChange(unsafe.Pointer(t), "BTreeFunc.Clear")
	t.flag.begin(btreeFuncName)
	defer t.flag.end(btreeFuncName) // also if Compare panics
	t.clear(m, t.typ())
}

// findOrInsert returns the value of k, which it inserts if need be.
func (t *BTreeFunc[K, V]) findOrInsert(m *Mem, tt *treeType, k K) (val unsafe.Pointer, existed bool, err error) {
	var path treePath
	level, found := t.seek(m, tt, k, &path)
	if found {
		node, i := t.entryAt(m, &path, level)
		return tt.value(m, node, i), true, nil
	}
	val, err = t.insert(m, tt, unsafe.Pointer(&k), &path)
	return val, false, err
}
