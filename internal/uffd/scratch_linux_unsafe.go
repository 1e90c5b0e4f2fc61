//go:build linux

package uffd

import (
	"fmt"
	"unsafe"

	"golang.org/x/sys/unix"
)

// scratch is a little memory for a probe, outside the Go heap, on small pages unless asked otherwise.
type scratch struct {
	addr  uintptr
	bytes []byte
}

// newScratch maps so many pages; release them.
func newScratch(pages int) (*scratch, error) {
	b, err := unix.Mmap(-1, 0, pages*unix.Getpagesize(), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON)
	if err != nil {
		return nil, fmt.Errorf("mapping memory for a probe: %w", err)
	}
	return &scratch{uintptr(unsafe.Pointer(&b[0])), b}, nil
}

func (m *scratch) release()      { _ = unix.Munmap(m.bytes) }
func (m *scratch) size() uintptr { return uintptr(len(m.bytes)) }
func (m *scratch) page() uintptr { return uintptr(unix.Getpagesize()) }
func (m *scratch) pages() int    { return len(m.bytes) / unix.Getpagesize() }

// aligned is the first stretch of m of that size at a multiple of it. It is part of m: release m.
//
// Preconditions: m has at least twice that size; size is a power of two.
func (m *scratch) aligned(size uintptr) *scratch {
	skip := -m.addr & (size - 1)
	return &scratch{m.addr + skip, m.bytes[skip:][:size:size]}
}

// held lets the kernel write to the first bytes of m and reports whether the write was refused, as it is on a page that is
// protected or missing. No signal is taken. clock_gettime by number is a system call, not the vDSO.
func (m *scratch) held() (bool, error) {
	_, _, errno := unix.Syscall(unix.SYS_CLOCK_GETTIME, unix.CLOCK_MONOTONIC, m.addr, 0)
	switch errno {
	case 0:
		return false, nil
	case unix.EFAULT:
		return true, nil
	}
	return false, fmt.Errorf("letting the kernel write to a page: %w", errno)
}
