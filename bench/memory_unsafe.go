package main

import (
	"unsafe"

	"github.com/cowheap/cowheap/arena"
)

// addressOf is where b starts.
//
// Preconditions: b is not empty. The number is of use only for memory outside
// the Go heap, which does not move.
func addressOf(b []byte) uintptr { return uintptr(unsafe.Pointer(unsafe.SliceData(b))) }

// arenaBytes is [off, off+n) of an arena as a slice.
//
// Preconditions: off+n is at most a.High(), rounded up to 2 MiB, up to which an
// arena has memory. The slice must not be used after a.Close.
func arenaBytes(a *arena.Arena, off, n uint64) []byte {
	return unsafe.Slice((*byte)(unsafe.Add(a.Base(), off)), n)
}
