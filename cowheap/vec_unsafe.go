package cowheap

import "unsafe"

// Vec is a slice of T that lives in a heap. The zero Vec is empty. It must not
// be copied, and its methods panic unless it is in the heap of the Mem that they
// are given.
//
// Many goroutines may read a Vec at once; a goroutine that changes it must be
// alone with it. Two that are there at once panic, if they are found.
type Vec[T any] struct {
	_ noCopy
	_ [0]*T // Vec[A] does not convert to Vec[B]
	vecHeader
}

// vecHeader is a Vec without its type.
type vecHeader struct {
	off  uint64 // of the elements; 0 where there is no room for any
	n    uint64 // elements
	room uint64 // elements that fit
	flag writerFlag
	_    uint32
}

const vecName = "Vec"

// Slice returns the elements, in the heap itself: writing to them, inside
// Update, changes the Vec. It is valid until the Update or View that m belongs to
// returns, or the Vec is changed by a method.
func (v *Vec[T]) Slice(m *Mem) []T {
	m.mustHold(unsafe.Pointer(v), "Vec.Slice")
	v.flag.check(vecName)
	if v.n == 0 {
		return nil
	}
	return unsafe.Slice((*T)(m.at(v.off)), v.n) // T of size 0: any address does
}

// Len returns the number of elements.
func (v *Vec[T]) Len() int { return int(v.n) }

// Append adds elements at the end; they may come from the Vec itself. Strings in
// them belong to the Vec from then on. It fails with ErrFull, and with
// ErrReadOnly inside View; then nothing has been changed.
//
// It takes amortized constant time an element. It panics if an element holds a
// container other than String that is not empty, which would be a copy: append a zero T and fill
// it through Slice.
func (v *Vec[T]) Append(m *Mem, elems ...T) error {
	m.mustHold(unsafe.Pointer(v), "Vec.Append")
	if m.view {
		return ErrReadOnly
	}
	if len(elems) == 0 {
		return nil
	}
	ti := typeInfoOf[T]()
	first := unsafe.Pointer(unsafe.SliceData(elems))
	if ti.fixed {
		for i := range len(elems) {
			ti.mustBeEmpty(unsafe.Add(first, uintptr(i)*uintptr(ti.size)), "Vec.Append")
		}
	}
	v.flag.begin(vecName)
	err := v.append(m, ti, first, uint64(len(elems)))
	v.flag.end(vecName)
	return err
}

// Truncate drops all but the first n elements and frees what containers in the
// others hold. The room stays. It panics inside View, and if n is negative or
// more than Len.
func (v *Vec[T]) Truncate(m *Mem, n int) {
	m.mustChange(unsafe.Pointer(v), "Vec.Truncate")
	if uint(n) > uint(v.n) {
		panic("cowheap: Vec.Truncate to more than Len, or to less than nothing")
	}
	v.flag.begin(vecName)
	v.drop(m, typeInfoOf[T](), uint64(n))
	v.flag.end(vecName)
}

// Clear makes the Vec empty and frees its memory, with what containers in the
// elements hold. It panics inside View.
func (v *Vec[T]) Clear(m *Mem) {
	m.mustChange(unsafe.Pointer(v), "Vec.Clear")
	v.flag.begin(vecName)
	v.free(m, typeInfoOf[T]())
	v.off, v.n, v.room = 0, 0, 0
	v.flag.end(vecName)
}

// append adds n elements from Go memory or from the Vec.
func (v *vecHeader) append(m *Mem, ti *typeInfo, elems unsafe.Pointer, n uint64) error {
	if ti.size == 0 {
		v.n += n
		return nil
	}
	old := v.off
	moved := false
	if v.room-v.n < n {
		room := max(v.n+n, grownRoom(v.n))
		if !m.extend(old, room*ti.size) {
			off, err := m.alloc(room*ti.size, ti.align)
			if err != nil {
				return err
			}
			copy(m.bytes(off, v.n*ti.size), m.bytes(old, v.n*ti.size))
			v.off, moved = off, true
		}
		if size, err := m.space.arena.SizeOf(v.off); err == nil {
			room = size / ti.size // what the size class gives on top
		}
		v.room = room
	}
	at := m.at(v.off + v.n*ti.size)
	m.touch(at, n*ti.size)
	copy(unsafe.Slice((*byte)(at), n*ti.size), unsafe.Slice((*byte)(elems), n*ti.size))
	if ti.gaps != nil {
		for i := range n {
			ti.clearGaps(unsafe.Add(at, i*ti.size))
		}
	}
	v.n += n
	if moved && old != 0 {
		m.release(old) // only now: elems may have been in it
	}
	return nil
}

// grownRoom is the room, in elements, that a full Vec of n grows to, as Go's
// slices do it: twice as much, and from 256 on gradually less, down to 5/4.
func grownRoom(n uint64) uint64 {
	if n < 256 {
		return 2 * n
	}
	return n + (n+3*256)/4
}

// drop removes all elements but the first n and clears where they were: room
// that is not in use is zero, as in a Vec that never held more.
func (v *vecHeader) drop(m *Mem, ti *typeInfo, n uint64) {
	if ti.size > 0 && n < v.n {
		v.freeElems(m, ti, n)
		m.touch(m.at(v.off+n*ti.size), (v.n-n)*ti.size)
		clear(m.bytes(v.off+n*ti.size, (v.n-n)*ti.size))
	}
	v.n = n
}

// free frees everything and leaves the header as it is.
func (v *vecHeader) free(m *Mem, ti *typeInfo) {
	v.freeElems(m, ti, 0)
	if v.off != 0 {
		m.release(v.off)
	}
}

// freeElems frees what containers in the elements from the one at first on hold.
func (v *vecHeader) freeElems(m *Mem, ti *typeInfo, first uint64) {
	if ti.owned == nil {
		return
	}
	for i := first; i < v.n; i++ {
		m.freeOwned(ti, m.at(v.off+i*ti.size))
	}
}

// asVec is the Vec at p.
//
// Preconditions: there is one.
func asVec(p unsafe.Pointer) *vecHeader { return (*vecHeader)(p) }
