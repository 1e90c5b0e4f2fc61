//go:build (linux || darwin) && (amd64 || arm64)

package gid

// current returns the address of the goroutine's descriptor, which the runtime
// keeps where assembly can reach it. Implemented in assembly because Go has no
// name for it.
//
//go:noescape
func current() uintptr
