//go:build linux

package uffd

import (
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

const page = 4096

// mmap gives n bytes of fresh anonymous memory on 4 KiB pages and unmaps them at the end of the test.
func mmap(t testing.TB, n int) (addr uintptr, b []byte) {
	t.Helper()
	b, err := unix.Mmap(-1, 0, n, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Munmap(b) })
	if err := unix.Madvise(b, unix.MADV_NOHUGEPAGE); err != nil && err != unix.EINVAL {
		t.Fatal(err)
	}
	return uintptr(unsafe.Pointer(&b[0])), b
}
