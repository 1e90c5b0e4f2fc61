//go:build linux

package uffd

import (
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// ioctlScan is one PAGEMAP_SCAN into buf; arg.walkEnd tells how far it came.
//
// Preconditions: buf is on the heap, where nothing moves, because the kernel gets its address as a number.
func ioctlScan(fd uintptr, arg *scanArg, buf *[512]PageRegion) (found int, errno unix.Errno) {
	arg.size = uint64(unsafe.Sizeof(*arg))
	arg.vec = uint64(uintptr(unsafe.Pointer(buf)))
	arg.vecLen = uint64(len(buf))
	n, _, errno := unix.Syscall(unix.SYS_IOCTL, fd, IoctlPagemapScan, uintptr(unsafe.Pointer(arg)))
	runtime.KeepAlive(buf)
	if errno != 0 {
		return 0, errno
	}
	return int(n), 0
}
