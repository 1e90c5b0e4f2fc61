// Package vm reserves, commits and gives back memory outside the Go heap.
//
// A reservation is address space without access: it costs nothing, also where
// vm.overcommit_memory is 2, because the kernel charges a private mapping only
// once it is writable. Commit makes a part of it writable and is what can fail
// for want of memory. All sizes and offsets are bytes and whole pages.
//
// Nothing here locks: callers see to it that one Mapping is changed by one
// goroutine at a time. Reading and writing committed memory needs no lock.
package vm

import "errors"

// PageSize is the size of the pages that this module works in, in bytes.
// Systems with larger pages are refused by Reserve.
const PageSize = 4096

// ErrNotSupported: this system cannot reserve memory the way cowheap needs it.
var ErrNotSupported = errors.New("memory reservation is supported on 64-bit unix systems with 4 KiB pages only")
