package cowheap

import (
	"cmp"
	"fmt"
	"iter"
	"unsafe"
)

// The methods that loops call are compiled into them, so that neither the loop's body
// nor what it changes has to be on the Go heap.

// All goes through the entries in ascending order. The BTree may be changed
// meanwhile: the loop goes on at the next greater key that is there then.
//
// A key that is a string lies in the heap and is valid as long as the pointer:
// until the BTree is changed by a method.
func (t *BTree[K, V]) All(m *Mem) iter.Seq2[K, *V] {
	return func(yield func(K, *V) bool) { t.all(m, yield) }
}

func (t *BTree[K, V]) all(m *Mem, yield func(K, *V) bool) {
	tt := t.begin(m, "BTree.All")
	var path treePath
	level := t.first(m, tt, &path)
	t.walk(m, tt, &path, level, false, yield)
}

// Backward goes through the entries in descending order, and otherwise as All.
func (t *BTree[K, V]) Backward(m *Mem) iter.Seq2[K, *V] {
	return func(yield func(K, *V) bool) { t.backward(m, yield) }
}

func (t *BTree[K, V]) backward(m *Mem, yield func(K, *V) bool) {
	tt := t.begin(m, "BTree.Backward")
	var path treePath
	level := t.last(m, tt, &path)
	t.walk(m, tt, &path, level, true, yield)
}

// Ascend goes as All through the entries whose keys are from or greater.
func (t *BTree[K, V]) Ascend(m *Mem, from K) iter.Seq2[K, *V] {
	return func(yield func(K, *V) bool) { t.ascend(m, from, yield) }
}

func (t *BTree[K, V]) ascend(m *Mem, from K, yield func(K, *V) bool) {
	tt := t.begin(m, "BTree.Ascend")
	var path treePath
	level, found := t.seek(m, tt, from, &path)
	if !found {
		level = t.settle(m, &path)
	}
	t.walk(m, tt, &path, level, false, yield)
}

// Descend goes as Backward through the entries whose keys are from or less.
func (t *BTree[K, V]) Descend(m *Mem, from K) iter.Seq2[K, *V] {
	return func(yield func(K, *V) bool) { t.descend(m, from, yield) }
}

func (t *BTree[K, V]) descend(m *Mem, from K, yield func(K, *V) bool) {
	tt := t.begin(m, "BTree.Descend")
	var path treePath
	level, found := t.seek(m, tt, from, &path)
	if !found {
		level = t.prev(m, tt, &path, level)
	}
	t.walk(m, tt, &path, level, true, yield)
}

// Keys goes through the keys as All does.
func (t *BTree[K, V]) Keys(m *Mem) iter.Seq[K] {
	return func(yield func(K) bool) {
		t.all(m, func(k K, _ *V) bool { return yield(k) })
	}
}

// Values goes through the values as All does.
func (t *BTree[K, V]) Values(m *Mem) iter.Seq[*V] {
	return func(yield func(*V) bool) {
		t.all(m, func(_ K, v *V) bool { return yield(v) })
	}
}

// Min returns the entry with the least key, and whether there is one. Key and
// pointer are valid as those of All are.
func (t *BTree[K, V]) Min(m *Mem) (k K, v *V, ok bool) {
	tt := t.begin(m, "BTree.Min")
	var path treePath
	return treeEntry[K, V](&t.treeHeader, m, tt, &path, t.first(m, tt, &path))
}

// Max returns the entry with the greatest key, and otherwise as Min.
func (t *BTree[K, V]) Max(m *Mem) (k K, v *V, ok bool) {
	tt := t.begin(m, "BTree.Max")
	var path treePath
	return treeEntry[K, V](&t.treeHeader, m, tt, &path, t.last(m, tt, &path))
}

// Load fills an empty BTree with entries whose keys ascend, each greater than the
// one before, and leaves nodes that are full. It
// fails with ErrOrder if they do not, with ErrFull, and with ErrReadOnly inside
// View; then the BTree is empty.
//
// Strings in the values belong to the BTree from when they are produced: if Load
// fails they are freed. Values may hold no containers that are not empty, as with
// Set. The BTree must not be changed while entries are produced.
func (t *BTree[K, V]) Load(m *Mem, entries iter.Seq2[K, V]) error {
	tt := t.begin(m, "BTree.Load")
	l, err := t.beginLoad(m, tt)
	if err != nil {
		return err
	}
	defer l.end()
	var last K
	for k, v := range entries {
		if l.built.count > 0 && cmp.Compare(last, k) >= 0 {
			err = fmt.Errorf("entry %d: %w", l.built.count, ErrOrder)
		}
		if err = l.add(unsafe.Pointer(&k), unsafe.Pointer(&v), err); err != nil {
			return err
		}
		last = k
	}
	return l.attach(&t.treeHeader, btreeName)
}

// begin is what reading begins with.
func (t *BTree[K, V]) begin(m *Mem, op string) *treeType {
	m.mustHold(unsafe.Pointer(t), op)
	t.flag.check(btreeName)
	return t.typ()
}

// walk goes from a place to one end of the tree.
func (t *BTree[K, V]) walk(m *Mem, tt *treeType, path *treePath, level uint32, back bool, yield func(K, *V) bool) {
	if tt.class != keyText || m.view {
		t.walkWith(m, tt, path, level, back, nil, yield)
		return
	}
	w := m.beginWalk(&t.treeHeader, tt)
	defer m.space.endWalk(w)
	t.walkWith(m, tt, path, level, back, w, yield)
}

// walkWith is walk. In an Update, which may free text in the key produced last, w
// keeps that key.
func (t *BTree[K, V]) walkWith(m *Mem, tt *treeType, path *treePath, level uint32, back bool, w *treeWalk, yield func(K, *V) bool) {
	var last K
	for level < t.height {
		mods, more := t.mods, false
		if level == 0 {
			level, more = walkLeaf(&t.treeHeader, m, tt, path, back, btreeName, w, &last, yield)
		} else {
			node, i := t.entryAt(m, path, level)
			last = loadTreeKey[K](m, tt, node, i)
			if w != nil {
				w.key, w.owned = *(*textKey)(tt.key(node, i)), false
			}
			more = yield(last, (*V)(tt.value(m, node, i)))
			if t.mods == mods {
				level = t.step(m, tt, path, level, back)
			}
		}
		if !more {
			return
		}
		t.flag.check(btreeName)
		if t.mods != mods {
			if w != nil {
				*(*string)(unsafe.Pointer(&last)) = w.last(m)
			}
			level = t.resume(m, tt, last, path, back)
		}
	}
}

// resume goes to the neighbour of the key that was produced last, which may be
// gone.
func (t *BTree[K, V]) resume(m *Mem, tt *treeType, last K, path *treePath, back bool) (level uint32) {
	level, found := t.seek(m, tt, last, path)
	if back || found {
		return t.step(m, tt, path, level, back)
	}
	return t.settle(m, path)
}
