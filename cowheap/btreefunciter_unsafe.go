package cowheap

import (
	"fmt"
	"iter"
	"unsafe"
)

// All goes through the entries in ascending order. The BTreeFunc may be changed
// meanwhile: the loop goes on at the next greater key that is there then.
//
// Strings in a key lie in the heap and are valid as long as the pointer:
// until the BTreeFunc is changed by a method.
func (t *BTreeFunc[K, V]) All(m *Mem) iter.Seq2[K, *V] {
	return func(yield func(K, *V) bool) {
		tt := t.begin(m, "BTreeFunc.All")
		var path treePath
		level := t.first(m, tt, &path)
		t.walk(m, tt, &path, level, false, yield)
	}
}

// Backward goes through the entries in descending order, and otherwise as All.
func (t *BTreeFunc[K, V]) Backward(m *Mem) iter.Seq2[K, *V] {
	return func(yield func(K, *V) bool) {
		tt := t.begin(m, "BTreeFunc.Backward")
		var path treePath
		level := t.last(m, tt, &path)
		t.walk(m, tt, &path, level, true, yield)
	}
}

// Ascend goes as All through the entries whose keys are from or greater.
func (t *BTreeFunc[K, V]) Ascend(m *Mem, from K) iter.Seq2[K, *V] {
	return func(yield func(K, *V) bool) {
		tt := t.begin(m, "BTreeFunc.Ascend")
		var path treePath
		level, found := t.seek(m, tt, from, &path)
		if !found {
			level = t.settle(m, &path)
		}
		t.walk(m, tt, &path, level, false, yield)
	}
}

// Descend goes as Backward through the entries whose keys are from or less.
func (t *BTreeFunc[K, V]) Descend(m *Mem, from K) iter.Seq2[K, *V] {
	return func(yield func(K, *V) bool) {
		tt := t.begin(m, "BTreeFunc.Descend")
		var path treePath
		level, found := t.seek(m, tt, from, &path)
		if !found {
			level = t.prev(m, tt, &path, level)
		}
		t.walk(m, tt, &path, level, true, yield)
	}
}

// Keys goes through the keys as All does.
func (t *BTreeFunc[K, V]) Keys(m *Mem) iter.Seq[K] {
	return func(yield func(K) bool) {
		t.All(m)(func(k K, _ *V) bool { return yield(k) })
	}
}

// Values goes through the values as All does.
func (t *BTreeFunc[K, V]) Values(m *Mem) iter.Seq[*V] {
	return func(yield func(*V) bool) {
		t.All(m)(func(_ K, v *V) bool { return yield(v) })
	}
}

// Min returns the entry with the least key, and whether there is one. Key and
// pointer are valid as those of All are.
func (t *BTreeFunc[K, V]) Min(m *Mem) (k K, v *V, ok bool) {
	tt := t.begin(m, "BTreeFunc.Min")
	var path treePath
	return treeEntry[K, V](&t.treeHeader, m, tt, &path, t.first(m, tt, &path))
}

// Max returns the entry with the greatest key, and otherwise as Min.
func (t *BTreeFunc[K, V]) Max(m *Mem) (k K, v *V, ok bool) {
	tt := t.begin(m, "BTreeFunc.Max")
	var path treePath
	return treeEntry[K, V](&t.treeHeader, m, tt, &path, t.last(m, tt, &path))
}

// Load fills an empty BTreeFunc with entries whose keys ascend, each greater than the
// one before, and leaves nodes that are full. It
// fails with ErrOrder if they do not, with ErrFull, and with ErrReadOnly inside
// View; then the BTreeFunc is empty.
//
// Strings in the values belong to the BTreeFunc from when they are produced: if Load
// fails they are freed. Values may hold no containers that are not empty, as with
// Set. The BTreeFunc must not be changed while entries are produced.
func (t *BTreeFunc[K, V]) Load(m *Mem, entries iter.Seq2[K, V]) error {
	tt := t.begin(m, "BTreeFunc.Load")
	l, err := t.beginLoad(m, tt)
	if err != nil {
		return err
	}
	defer l.end()
	var last K
	for k, v := range entries {
		if l.built.count > 0 && last.Compare(k) >= 0 {
			err = fmt.Errorf("entry %d: %w", l.built.count, ErrOrder)
		}
		if err = l.add(unsafe.Pointer(&k), unsafe.Pointer(&v), err); err != nil {
			return err
		}
		last = k
	}
	return l.attach(&t.treeHeader, btreeFuncName)
}

// begin is what reading begins with.
func (t *BTreeFunc[K, V]) begin(m *Mem, op string) *treeType {
	m.mustHold(unsafe.Pointer(t), op)
	t.flag.check(btreeFuncName)
	return t.typ()
}

// walk goes from a place to one end of the tree.
func (t *BTreeFunc[K, V]) walk(m *Mem, tt *treeType, path *treePath, level uint32, back bool, yield func(K, *V) bool) {
	if tt.allocates() && !m.view {
		t.walkTexts(m, tt, path, level, back, yield)
		return
	}
	var last K
	for level < t.height {
		mods, more := t.mods, false
		if level == 0 {
			level, more = walkLeaf(&t.treeHeader, m, tt, path, back, btreeFuncName, nil, &last, yield)
		} else {
			node, i := t.entryAt(m, path, level)
			last = loadTreeKey[K](m, tt, node, i)
			more = yield(last, (*V)(tt.value(m, node, i)))
			if t.mods == mods {
				level = t.step(m, tt, path, level, back)
			}
		}
		if !more {
			return
		}
		t.flag.check(btreeFuncName)
		if t.mods != mods {
			level = t.resume(m, tt, last, path, back)
		}
	}
}

// walkTexts is walk in an Update, which may free text in the key produced last.
func (t *BTreeFunc[K, V]) walkTexts(m *Mem, tt *treeType, path *treePath, level uint32, back bool, yield func(K, *V) bool) {
	var held heldKey[K]
	held.begin(&t.treeHeader, m, tt)
	defer held.end(m)
	for level < t.height {
		mods := t.mods
		node, i := t.entryAt(m, path, level)
		k := loadTreeKey[K](m, tt, node, i)
		held.hold(k)
		if !yield(k, (*V)(tt.value(m, node, i))) {
			return
		}
		t.flag.check(btreeFuncName)
		if t.mods == mods {
			level = t.step(m, tt, path, level, back)
		} else {
			level = t.resume(m, tt, held.k, path, back)
		}
	}
}

// resume goes to the neighbour of the key that was produced last, which may be
// gone.
func (t *BTreeFunc[K, V]) resume(m *Mem, tt *treeType, last K, path *treePath, back bool) (level uint32) {
	level, found := t.seek(m, tt, last, path)
	if back || found {
		return t.step(m, tt, path, level, back)
	}
	return t.settle(m, path)
}
