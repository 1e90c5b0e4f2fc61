package cowheap

import (
	"iter"
	"unsafe"
)

// Map is a hash map that lives in a heap. The zero Map is empty. It must not be
// copied, and its methods panic unless it is in the heap of the Mem that they are
// given.
//
// Keys are strings, whose bytes the Map keeps itself, integers, bools, Refs, and
// arrays and structs of these. The structs may have no padding.
//
// Many goroutines may read a Map at once; a goroutine that changes it must be
// alone with it. Two that are there at once panic, if they are found.
//
// An insertion moves at most one table of the Map, never all of it: it takes tens
// of microseconds at worst, whatever Len is. Memory is not given back before
// Clear.
type Map[K comparable, V any] struct {
	_ noCopy
	_ [0]*K // Map[A,V] does not convert to Map[B,V]
	_ [0]*V
	mapHeader
}

// Get returns a copy of the value of k, and whether there is one.
//
// It panics if V holds a container of which there must not be a copy (all but
// String): use Ptr.
func (t *Map[K, V]) Get(m *Mem, k K) (v V, ok bool) {
	m.mustHold(unsafe.Pointer(t), "Map.Get")
	mt := mapTypes.quick(typeWord[Map[K, V]]())
	if mt == nil {
		mt = mapTypeOf[K, V]()
	}
	if mt.val.fixed {
		panic("cowheap: Map.Get of a value with a container in it: containers must not be copied; use Map.Ptr")
	}
	t.flag.check(mapName)
	var slot unsafe.Pointer
	if unsafe.Sizeof(k) == 8 { // known when this is compiled: such a key is a number
		slot, _, _ = findWord(&t.mapHeader, m, mt, *(*uint64)(unsafe.Pointer(&k)))
	} else {
		slot, _, _ = t.find(m, mt, unsafe.Pointer(&k))
	}
	if slot == nil {
		return v, false
	}
	return *(*V)(mt.value(m, slot)), true
}

// Ptr returns a pointer to the value of k in the heap, and nil if there is none.
// Writing to it, inside Update, changes the value. It is valid until the Update or
// View that m belongs to returns, or the Map is changed by a method.
func (t *Map[K, V]) Ptr(m *Mem, k K) *V {
	m.mustHold(unsafe.Pointer(t), "Map.Ptr")
	mt := mapTypes.quick(typeWord[Map[K, V]]())
	if mt == nil {
		mt = mapTypeOf[K, V]()
	}
	t.flag.check(mapName)
	var slot unsafe.Pointer
	if unsafe.Sizeof(k) == 8 {
		slot, _, _ = findWord(&t.mapHeader, m, mt, *(*uint64)(unsafe.Pointer(&k)))
	} else {
		slot, _, _ = t.find(m, mt, unsafe.Pointer(&k))
	}
	if slot == nil {
		return nil
	}
	return (*V)(mt.value(m, slot))
}

// Slot is Ptr, but if k has no value it gives it the zero V first. It fails with
// ErrFull, and with ErrReadOnly inside View; then nothing has been changed.
func (t *Map[K, V]) Slot(m *Mem, k K) (p *V, existed bool, err error) {
	m.mustHold(unsafe.Pointer(t), "Map.Slot")
	if m.view {
		return nil, false, ErrReadOnly
	}
	mt := mapTypeOf[K, V]()
	t.flag.begin(mapName)
	slot, existed, err := t.findOrInsert(m, mt, k)
	t.flag.end(mapName)
	if err != nil {
		return nil, false, err
	}
	p = (*V)(mt.value(m, slot))
	if existed {
		m.touch(unsafe.Pointer(p), mt.val.size)
	}
	return p, existed, nil
}

// Set makes v the value of k. Strings in v belong to the Map from then on; those
// of the value before are freed, unless they are in v as well. It fails with
// ErrFull, and with ErrReadOnly inside View; then nothing has been changed.
//
// It panics if v holds a container other than String that is not empty, which would be a copy:
// use Slot and fill it in the heap.
func (t *Map[K, V]) Set(m *Mem, k K, v V) error {
	m.mustHold(unsafe.Pointer(t), "Map.Set")
	if m.view {
		return ErrReadOnly
	}
	mt := mapTypes.quick(typeWord[Map[K, V]]())
	if mt == nil {
		mt = mapTypeOf[K, V]()
	}
	if mt.val.fixed {
		mt.val.mustBeEmpty(unsafe.Pointer(&v), "Map.Set")
	}
	t.flag.begin(mapName)
	slot, existed, err := t.findOrInsert(m, mt, k)
	if err == nil {
		p := mt.value(m, slot)
		if existed {
			m.touch(p, mt.val.size)
			if mt.val.owned != nil {
				m.freeReplaced(mt.val, p, unsafe.Pointer(&v))
			}
		}
		*(*V)(p) = v
		if mt.val.gaps != nil {
			mt.val.clearGaps(p)
		}
	}
	t.flag.end(mapName)
	return err
}

// Delete takes k out and returns the value that it had, and whether it had one.
// What containers in the value hold is freed: in the V that is returned they are
// empty. It panics inside View.
func (t *Map[K, V]) Delete(m *Mem, k K) (v V, ok bool) {
	m.mustChange(unsafe.Pointer(t), "Map.Delete")
	mt := mapTypeOf[K, V]()
	t.flag.begin(mapName)
	slot, group, hash := t.find(m, mt, unsafe.Pointer(&k))
	if slot != nil {
		p := mt.value(m, slot)
		v = *(*V)(p)
		if mt.val.owned != nil {
			mt.val.forgetOwned(unsafe.Pointer(&v))
			m.freeOwned(mt.val, p)
		}
		t.remove(m, mt, slot, group, hash)
	}
	t.flag.end(mapName)
	return v, slot != nil
}

// Len returns the number of entries.
func (t *Map[K, V]) Len() int { return int(t.count) }

// Clear takes everything out and frees the memory, with what containers in the
// values hold. It panics inside View.
func (t *Map[K, V]) Clear(m *Mem) {
	m.mustChange(unsafe.Pointer(t), "Map.Clear")
	mt := mapTypeOf[K, V]()
	t.flag.begin(mapName)
	t.free(m, mt)
	t.dir, t.count, t.depth = 0, 0, 0
	t.epoch++
	t.flag.end(mapName)
}

// All goes through the entries, in an order that depends on the keys, the heap's
// seed and what was done with the Map before. The Map may be changed meanwhile,
// by the same rules as a Go map: an entry that is taken out before it was reached
// is not produced, one that is put in may be or not, and none is produced twice.
//
// A key that is a string lies in the heap and is valid as long as the pointer:
// until the Map is changed by a method.
func (t *Map[K, V]) All(m *Mem) iter.Seq2[K, *V] {
	return func(yield func(K, *V) bool) {
		m.mustHold(unsafe.Pointer(t), "Map.All")
		mt := mapTypeOf[K, V]()
		var it mapIter
		it.begin(&t.mapHeader, m, mt)
		for slot := it.next(); slot != nil; slot = it.next() {
			var k K
			mt.loadKey(m, slot, unsafe.Pointer(&k))
			if !yield(k, (*V)(mt.value(m, slot))) {
				return
			}
		}
	}
}

// Keys goes through the keys as All does.
func (t *Map[K, V]) Keys(m *Mem) iter.Seq[K] {
	return func(yield func(K) bool) {
		for k := range t.All(m) {
			if !yield(k) {
				return
			}
		}
	}
}

// Values goes through the values as All does.
func (t *Map[K, V]) Values(m *Mem) iter.Seq[*V] {
	return func(yield func(*V) bool) {
		for _, v := range t.All(m) {
			if !yield(v) {
				return
			}
		}
	}
}

// findOrInsert returns the slot of k, which it inserts if need be.
func (t *Map[K, V]) findOrInsert(m *Mem, mt *mapType, k K) (slot unsafe.Pointer, existed bool, err error) {
	var group *ctrlWord
	var hash uint64
	if unsafe.Sizeof(k) == 8 {
		slot, group, hash = findWord(&t.mapHeader, m, mt, *(*uint64)(unsafe.Pointer(&k)))
	} else {
		slot, group, hash = t.find(m, mt, unsafe.Pointer(&k))
	}
	if slot != nil {
		return slot, true, nil
	}
	slot, err = t.insert(m, mt, unsafe.Pointer(&k), group, hash)
	return slot, false, err
}
