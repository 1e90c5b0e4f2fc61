package cowheap

import (
	"reflect"
	"sync"
)

// typeInfo is what operations need to know of a type, worked out once.
type typeInfo struct {
	typ         reflect.Type
	size, align uint64
	err         error // a *TypeError if values of the type may not be in a heap
	// owned are the containers that a value holds, by offset. What they hold
	// goes with the value.
	owned []owned
	// fixed: the value holds a Map or a Vec, which must not be copied.
	fixed bool
	// gaps are the bytes between fields. A copy of a value from Go memory brings
	// along whatever was in its gaps, and the arena's bytes must depend on the
	// operations alone: so they are cleared.
	gaps []gap
}

// owned is a container in a value, or an array of values that hold some.
type owned struct {
	kind ownedKind
	off  uintptr
	elem *typeInfo // of a Vec, a Map's values or an array
	keys *mapType  // of a Map
	n    int       // elements of an array
}

type ownedKind uint8

const (
	ownsText ownedKind = iota // String
	ownsVec
	ownsMap
	ownsArray
)

// gap is n bytes of padding, or an array whose elements have some.
type gap struct {
	off   uintptr
	n     int
	elems *typeInfo // nil: padding; else n elements
}

// plain reports whether a value is just its bytes: it may be copied, overwritten
// and forgotten.
func (ti *typeInfo) plain() bool { return ti.owned == nil && ti.gaps == nil }

var typeInfos typeTable[typeInfo]

// typeInfoOf returns the typeInfo of T.
func typeInfoOf[T any]() *typeInfo {
	word := typeWord[T]()
	if ti := typeInfos.get(word); ti != nil {
		return ti
	}
	return typeInfos.add(word, describe(reflect.TypeFor[T]()))
}

// described holds the typeInfos by type: one each, so that types which hold
// themselves through a container come to an end. describeMu is held while one
// is worked out and whatever it refers to.
var (
	describeMu sync.Mutex
	described  = map[reflect.Type]*typeInfo{}
)

func describe(t reflect.Type) *typeInfo {
	describeMu.Lock()
	defer describeMu.Unlock()
	ti := describeLocked(t)
	if ti.err == nil {
		ti.err = checkType(t)
	}
	return ti
}

// describeLocked works out everything but err.
//
// Preconditions: describeMu is held.
func describeLocked(t reflect.Type) *typeInfo {
	if ti := described[t]; ti != nil {
		return ti
	}
	ti := &typeInfo{typ: t, size: uint64(t.Size()), align: uint64(t.Align())}
	described[t] = ti // before its parts: one of them may lead back here
	switch shape, elem, key := shapeOf(t); shape {
	case shapeRef:
		return ti
	case shapeText:
		ti.owned = []owned{{kind: ownsText}}
		return ti
	case shapeVec:
		ti.owned = []owned{{kind: ownsVec, elem: describeLocked(elem)}}
		ti.fixed = true
		return ti
	case shapeMap:
		ti.owned = []owned{{kind: ownsMap, elem: describeLocked(elem), keys: describeMapLocked(key, elem)}}
		ti.fixed = true
		return ti
	}
	switch t.Kind() {
	case reflect.Struct:
		ti.describeFields()
	case reflect.Array:
		elem := describeLocked(t.Elem())
		ti.fixed = elem.fixed && t.Len() > 0
		if elem.owned != nil && t.Len() > 0 {
			ti.owned = []owned{{kind: ownsArray, elem: elem, n: t.Len()}}
		}
		if elem.gaps != nil && t.Len() > 0 {
			ti.gaps = []gap{{n: t.Len(), elems: elem}}
		}
	}
	return ti
}

func (ti *typeInfo) describeFields() {
	end := uintptr(0) // of the fields so far
	for i := range ti.typ.NumField() {
		f := ti.typ.Field(i)
		if f.Offset > end {
			ti.gaps = append(ti.gaps, gap{off: end, n: int(f.Offset - end)})
		}
		end = f.Offset + f.Type.Size()
		field := describeLocked(f.Type)
		ti.fixed = ti.fixed || field.fixed
		for _, o := range field.owned {
			o.off += f.Offset
			ti.owned = append(ti.owned, o)
		}
		for _, g := range field.gaps {
			g.off += f.Offset
			ti.gaps = append(ti.gaps, g)
		}
	}
	if size := ti.typ.Size(); end < size {
		ti.gaps = append(ti.gaps, gap{off: end, n: int(size - end)})
	}
}
