//go:build linux && (amd64 || arm64 || loong64 || riscv64)

package vm

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// mincore fills vec with a byte for each page of b; bit 0 says that it is in memory.
// Preconditions: b starts at a page; vec has a byte for each of its pages.
func mincore(b, vec []byte) error {
	if _, _, e := unix.Syscall(unix.SYS_MINCORE, uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)), uintptr(unsafe.Pointer(unsafe.SliceData(vec)))); e != 0 {
		return e
	}
	return nil
}
