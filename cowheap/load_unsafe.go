package cowheap

import (
	"fmt"
	"unsafe"
)

// Load is a copy of what r refers to, as of s. Containers in it cannot be used:
// their memory is the live heap's. Errors: ErrClosed, ErrOverrun, and an error
// for the nil Ref or one to what did not exist yet.
func (r Ref[T]) Load(s *Snapshot) (T, error) {
	var v T
	if r.off == 0 {
		return v, fmt.Errorf("loading the nil Ref")
	}
	p := unsafe.Slice((*byte)(unsafe.Pointer(&v)), unsafe.Sizeof(v))
	if size := uint64(s.Size()); r.off > size || uint64(len(p)) > size-r.off {
		return v, fmt.Errorf("loading %d bytes at %#x of a snapshot of %d: the Ref is of another heap or younger than the snapshot", len(p), r.off, size)
	}
	if _, err := s.s.ReadAt(p, int64(r.off)); err != nil {
		var none T
		return none, err
	}
	return v, nil
}
