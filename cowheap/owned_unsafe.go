package cowheap

import (
	"slices"
	"unsafe"
)

// freeOwned frees what the containers in the value at p hold. The value itself
// is left as it is: it is about to be freed or overwritten.
//
// A value that holds values of its own type (a tree of Vecs) is freed by
// recursion, one Go call for each level.
func (m *Mem) freeOwned(ti *typeInfo, p unsafe.Pointer) {
	for i := range ti.owned {
		o := &ti.owned[i]
		at := unsafe.Add(p, o.off)
		switch o.kind {
		case ownsText:
			asText(at).free(m)
		case ownsVec:
			asVec(at).free(m, o.elem)
		case ownsMap:
			asMap(at).free(m, o.keys)
		case ownsTree:
			asTree(at).free(m, o.tree)
		case ownsQueue:
			asQueue(at).free(m, o.elem)
		case ownsArray:
			for j := range o.n {
				m.freeOwned(o.elem, o.elem.index(at, j))
			}
		}
	}
}

// index is the address of element i of an array at p.
func (ti *typeInfo) index(p unsafe.Pointer, i int) unsafe.Pointer {
	return unsafe.Add(p, uintptr(i)*uintptr(ti.size))
}

// forgetOwned makes the containers in a copy of a value empty, without freeing
// what they hold.
func (ti *typeInfo) forgetOwned(p unsafe.Pointer) {
	for i := range ti.owned {
		o := &ti.owned[i]
		at := unsafe.Add(p, o.off)
		switch o.kind {
		case ownsText:
			*asText(at) = String{}
		case ownsVec:
			*asVec(at) = vecHeader{}
		case ownsMap:
			*asMap(at) = mapHeader{}
		case ownsTree:
			*asTree(at) = treeHeader{}
		case ownsQueue:
			*asQueue(at) = queueHeader{}
		case ownsArray:
			for j := range o.n {
				o.elem.forgetOwned(o.elem.index(at, j))
			}
		}
	}
}

// mustBeEmpty panics if a container but for a String in the value at p holds
// anything: the value was copied out of a heap, and would share with it.
func (ti *typeInfo) mustBeEmpty(p unsafe.Pointer, op string) {
	for i := range ti.owned {
		o := &ti.owned[i]
		at := unsafe.Add(p, o.off)
		empty := true
		switch o.kind {
		case ownsVec:
			empty = asVec(at).off == 0
		case ownsMap:
			empty = asMap(at).dir == 0
		case ownsTree:
			empty = asTree(at).root == 0
		case ownsQueue:
			empty = asQueue(at).n == 0
		case ownsArray:
			for j := range o.n {
				o.elem.mustBeEmpty(o.elem.index(at, j), op)
			}
		}
		if !empty {
			panic("cowheap: " + op + " of a value with a container in it that is not empty: containers must not be copied; store a zero value and fill it in the heap")
		}
	}
}

// freeReplaced frees what the containers in the value at old hold, but for
// Strings that the value at fresh has too, at whatever place.
//
// Preconditions: mustBeEmpty accepts fresh.
func (m *Mem) freeReplaced(ti *typeInfo, old, fresh unsafe.Pointer) {
	m.freeAllBut(ti, old, ti.appendTexts(nil, fresh))
}

func (m *Mem) freeAllBut(ti *typeInfo, p unsafe.Pointer, kept []uint64) {
	for i := range ti.owned {
		o := &ti.owned[i]
		at := unsafe.Add(p, o.off)
		switch o.kind {
		case ownsText:
			if s := asText(at); !slices.Contains(kept, s.off) {
				s.free(m)
			}
		case ownsVec:
			asVec(at).free(m, o.elem)
		case ownsMap:
			asMap(at).free(m, o.keys)
		case ownsTree:
			asTree(at).free(m, o.tree)
		case ownsQueue:
			asQueue(at).free(m, o.elem)
		case ownsArray:
			for j := range o.n {
				m.freeAllBut(o.elem, o.elem.index(at, j), kept)
			}
		}
	}
}

// appendTexts appends the offsets of the Strings in the value at p itself, not of
// those inside of other containers.
func (ti *typeInfo) appendTexts(offs []uint64, p unsafe.Pointer) []uint64 {
	for i := range ti.owned {
		o := &ti.owned[i]
		at := unsafe.Add(p, o.off)
		switch o.kind {
		case ownsText:
			if s := asText(at); s.n != 0 {
				offs = append(offs, s.off)
			}
		case ownsArray:
			for j := range o.n {
				offs = o.elem.appendTexts(offs, o.elem.index(at, j))
			}
		}
	}
	return offs
}

// clearGaps zeroes the padding of the value at p.
func (ti *typeInfo) clearGaps(p unsafe.Pointer) {
	for i := range ti.gaps {
		g := &ti.gaps[i]
		at := unsafe.Add(p, g.off)
		if g.elems == nil {
			clear(unsafe.Slice((*byte)(at), g.n))
			continue
		}
		for j := range g.n {
			g.elems.clearGaps(g.elems.index(at, j))
		}
	}
}
