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
	// fixed: the value holds a container that must not be copied: all but String.
	fixed bool
	// gaps are the bytes between fields. A copy of a value from Go memory brings
	// along whatever was in its gaps, and the arena's bytes must depend on the
	// operations alone: so they are cleared.
	gaps []gap

	described bool // all of this but err is known; used with describeMu held
	checked   bool // and so is err; used with describeMu held
}

// owned is a container in a value, or an array of values that hold some.
type owned struct {
	kind ownedKind
	off  uintptr
	elem *typeInfo // of a Vec, a Queue, a Map's values or an array
	keys *mapType  // of a Map
	tree *treeType // of a BTree or a BTreeFunc
	n    int       // elements of an array
}

type ownedKind uint8

const (
	ownsText ownedKind = iota // String
	ownsVec
	ownsMap
	ownsTree
	ownsQueue
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

// described holds the typeInfos by type, one each. describeMu is held while a
// type is described with whatever it leads to.
var (
	describeMu  sync.Mutex
	described   = map[reflect.Type]*typeInfo{}
	undescribed []*typeInfo // in described, but not described yet
)

func describe(t reflect.Type) *typeInfo {
	describeMu.Lock()
	defer describeMu.Unlock()
	ti := declare(t)
	finishDescribing()
	if !ti.checked {
		ti.checked, ti.err = true, checkType(t)
	}
	return ti
}

// declare returns the typeInfo of t, which may still have to be described. That
// is enough for what a container leads to, and must be: t may lead to itself.
//
// Preconditions: describeMu is held, and finishDescribing will be called.
func declare(t reflect.Type) *typeInfo {
	ti := described[t]
	if ti == nil {
		ti = &typeInfo{typ: t, size: uint64(t.Size()), align: uint64(t.Align())}
		described[t] = ti
		undescribed = append(undescribed, ti)
	}
	return ti
}

// finishDescribing describes what was declared.
//
// Preconditions: describeMu is held.
func finishDescribing() {
	for len(undescribed) > 0 {
		last := len(undescribed) - 1
		ti := undescribed[last]
		undescribed = undescribed[:last]
		ti.describe()
	}
}

// describe works out everything but err. What a value holds directly is described
// first, which comes to an end: no Go type holds itself so.
func (ti *typeInfo) describe() {
	if ti.described {
		return
	}
	ti.described = true
	t := ti.typ
	switch shape, elem, key := shapeOf(t); shape {
	case shapeRef:
		return
	case shapeText:
		ti.owned = []owned{{kind: ownsText}}
		return
	case shapeVec:
		ti.owned = []owned{{kind: ownsVec, elem: declare(elem)}}
		ti.fixed = true
		return
	case shapeMap:
		ti.owned = []owned{{kind: ownsMap, elem: declare(elem), keys: describeMap(key, elem)}}
		ti.fixed = true
		return
	case shapeTree, shapeTreeFunc:
		ti.owned = []owned{{kind: ownsTree, tree: describeTree(key, elem)}}
		ti.fixed = true
		return
	case shapeQueue:
		ti.owned = []owned{{kind: ownsQueue, elem: declare(elem)}}
		ti.fixed = true
		return
	}
	switch t.Kind() {
	case reflect.Struct:
		ti.describeFields()
	case reflect.Array:
		if t.Len() == 0 {
			return
		}
		elem := declare(t.Elem())
		elem.describe()
		ti.fixed = elem.fixed
		if elem.owned != nil {
			ti.owned = []owned{{kind: ownsArray, elem: elem, n: t.Len()}}
		}
		if elem.gaps != nil {
			ti.gaps = []gap{{n: t.Len(), elems: elem}}
		}
	}
}

func (ti *typeInfo) describeFields() {
	end := uintptr(0) // of the fields so far
	for i := range ti.typ.NumField() {
		f := ti.typ.Field(i)
		if f.Offset > end {
			ti.gaps = append(ti.gaps, gap{off: end, n: int(f.Offset - end)})
		}
		end = f.Offset + f.Type.Size()
		field := declare(f.Type)
		field.describe()
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
