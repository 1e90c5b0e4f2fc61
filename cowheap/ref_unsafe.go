package cowheap

import (
	"fmt"
	"unsafe"
)

// Ref refers to a T in a heap. It is 8 bytes and holds no Go pointer, so it may
// be stored in the heap, and it means the same in the live heap, in a fork and
// in a heap that was restored. The zero Ref is nil. A Ref owns nothing: freeing
// what holds it leaves the T alone.
//
// A Ref does not know its heap, nor whether the T has been freed: used with
// another heap, or after Free, it reads and writes whatever is there now, as
// unsafe.Pointer would. Built with -tags invariants, Ptr panics in most such cases and
// names where the memory was allocated and freed; so do containers.
type Ref[T any] struct {
	_   [0]*T // Ref[A] does not convert to Ref[B]
	off uint64
}

// Ptr returns a pointer to the T, and nil for the nil Ref. It is valid until the
// Update or View that m belongs to returns, or the T is freed. Inside View it
// must not be written through.
//
// It costs an addition, and may be called by many goroutines at once.
func (r Ref[T]) Ptr(m *Mem) *T {
	if r.off == 0 {
		return nil
	}
	if invariants {
		m.mustRefer(r.off, typeInfoOf[T])
	}
	return (*T)(unsafe.Add(m.base, r.off))
}

// IsNil reports whether r refers to nothing.
func (r Ref[T]) IsNil() bool { return r.off == 0 }

// Alloc allocates a zeroed T.
//
// It fails with ErrFull, with ErrReadOnly inside View, and with a *TypeError if
// T may not be stored in a heap. Updates of many goroutines may call it at once;
// within one Update one goroutine at a time may.
func Alloc[T any](m *Mem) (Ref[T], error) {
	ti := typeInfoOf[T]()
	if ti.err != nil {
		return Ref[T]{}, ti.err
	}
	off, err := m.alloc(ti.size, ti.align)
	if invariants && err == nil {
		m.space.sites.typed(off, ti)
	}
	return Ref[T]{off: off}, err
}

// Free frees the T that r refers to, and with it what containers in the T hold.
// What other Refs in the T refer to stays. Freeing the nil Ref does nothing.
//
// It fails with an *arena.FreeError, changing nothing, if r refers to nothing
// that is allocated, and with ErrReadOnly inside View.
func Free[T any](m *Mem, r Ref[T]) error {
	if r.off == 0 {
		return nil
	}
	if invariants {
		m.mustBeInside()
	}
	if m.view {
		return ErrReadOnly
	}
	ti := typeInfoOf[T]()
	if ti.err != nil {
		return ti.err
	}
	if len(ti.owned) > 0 {
		// Before anything in it is believed to be a container.
		size, err := m.space.arena.SizeOf(r.off)
		if err != nil {
			return err
		}
		if size < ti.size {
			return fmt.Errorf("offset %#x holds %d bytes, a %v has %d: the Ref is stale or of another heap", r.off, size, ti.typ, ti.size)
		}
		m.freeOwned(ti, m.at(r.off))
	}
	return m.free(r.off)
}
