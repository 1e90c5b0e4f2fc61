package cowheap

import (
	"fmt"
	"unsafe"
)

// PrepareRead makes b, which lies in the heap, safe for a system call to read
// from (conn.Write(b), say): a page that a lazy restore has not brought in yet
// is EFAULT to the kernel. A damaged page is an error here, and no crash.
func (m *Mem) PrepareRead(b []byte) error { return m.prepare(b, backing.PrepareRead) }

// PrepareWrite makes b, which lies in the heap, safe for a system call to write
// into (file.Read(b), say): a page that a snapshot protects is EFAULT to the
// kernel, and what was to be read is lost (a datagram is gone). It holds until
// fn returns. Writes by the program need no preparation, but are cheaper with it:
// a page costs less than half of a fault.
func (m *Mem) PrepareWrite(b []byte) error {
	if m.view {
		return ErrReadOnly
	}
	return m.prepare(b, func(a backing, off, n uint64) error {
		unpin, err := a.Pin(off, n)
		if err != nil {
			return err
		}
		m.space.pinMu.Lock()
		defer m.space.pinMu.Unlock()
		m.pinned = append(m.pinned, unpin)
		return nil
	})
}

// unpin undoes what PrepareWrite did.
func (m *Mem) unpin() {
	for _, unpin := range m.pinned {
		unpin()
	}
	m.pinned = nil
}

func (m *Mem) prepare(b []byte, do func(a backing, off, n uint64) error) error {
	if len(b) == 0 {
		return nil
	}
	p := unsafe.Pointer(unsafe.SliceData(b))
	if !m.holds(p) {
		return fmt.Errorf("preparing %d bytes that are not in this heap", len(b))
	}
	return do(m.space.arena, uint64(uintptr(p))-uint64(uintptr(m.base)), uint64(len(b)))
}
