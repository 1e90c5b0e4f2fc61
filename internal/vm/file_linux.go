//go:build linux && (amd64 || arm64 || loong64 || riscv64)

package vm

import (
	"fmt"
	"math"

	"golang.org/x/sys/unix"
)

// MapFile maps the first size bytes of a file for reading. It is for the kernel
// to read from: a program that touches a page beyond the end of a file that has
// become shorter gets a SIGBUS, a system call EFAULT.
func MapFile(fd uintptr, size int64) ([]byte, error) {
	if size > math.MaxInt {
		return nil, fmt.Errorf("mapping a file of %d bytes", size)
	}
	b, err := unix.Mmap(int(fd), 0, int(size), unix.PROT_READ, unix.MAP_SHARED|unix.MAP_NORESERVE)
	if err != nil {
		return nil, fmt.Errorf("mapping a file of %d bytes: %w", size, err)
	}
	return b, nil
}

// UnmapFile gives back what MapFile gave.
func UnmapFile(b []byte) error { return unix.Munmap(b) }

// Prefault has the kernel map the pages of b, a part of what MapFile gave, in one call.
// What cannot be read shows when it is used.
func Prefault(b []byte) { _ = unix.Madvise(b, unix.MADV_POPULATE_READ) }
