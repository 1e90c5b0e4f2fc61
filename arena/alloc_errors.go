package arena

import "fmt"

// FreeReason says why an offset cannot be freed.
type FreeReason uint8

const (
	// FreeNil: offset 0 is the nil reference, never allocated.
	FreeNil FreeReason = iota
	// FreeNotAllocated: an object could be here, but none is; freed twice?
	FreeNotAllocated
	// FreeInterior: inside an allocation or between two, not at a beginning.
	FreeInterior
	// FreeMetadata: the allocator's own memory.
	FreeMetadata
	// FreeBeyond: beyond everything that was ever allocated; from another arena?
	FreeBeyond
)

var freeReasons = [...]string{
	FreeNil:          "is the nil reference",
	FreeNotAllocated: "is not allocated (freed twice, or stale?)",
	FreeInterior:     "is not the beginning of an allocation",
	FreeMetadata:     "belongs to the allocator itself",
	FreeBeyond:       "is beyond the used part of the arena (from another arena?)",
}

func (r FreeReason) String() string {
	if int(r) < len(freeReasons) {
		return freeReasons[r]
	}
	return fmt.Sprintf("reason %d", uint8(r))
}

// FreeError is what Free and SizeOf answer for an offset that is not that of
// an allocated object. Nothing has been changed.
type FreeError struct {
	Off    uint64 // bytes from the beginning of the arena
	Reason FreeReason
}

func (e *FreeError) Error() string {
	return fmt.Sprintf("offset %#x %s", e.Off, e.Reason)
}

// AlignError refuses an alignment that is not a power of two of at most a page.
type AlignError struct {
	Align uint64
}

func (e *AlignError) Error() string {
	return fmt.Sprintf("alignment %d is not a power of two of at most %d", e.Align, runPageSize)
}

// InvariantError is one thing that is wrong with the allocator's memory: a
// stray write over it, or damage to the file it was restored from. It is an
// ErrCorrupt.
type InvariantError struct {
	Off  uint64 // where, in bytes from the beginning of the arena
	What string
}

func (e *InvariantError) Error() string {
	return fmt.Sprintf("%v: at offset %#x: %s", ErrCorrupt, e.Off, e.What)
}

func (e *InvariantError) Unwrap() error { return ErrCorrupt }

func corruptAt(off uint64, format string, args ...any) error {
	return &InvariantError{Off: off, What: fmt.Sprintf(format, args...)}
}
