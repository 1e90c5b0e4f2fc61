//go:build linux

package uffd

import (
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// All requests go through unix.Syscall, which tells the scheduler: protecting a GiB takes milliseconds, and a goroutine
// in a raw system call would hold up a stop-the-world for as long.
//
// Preconditions of all: arg holds addresses of memory outside the Go heap, or of Go memory that the caller keeps alive and that
// is not on a stack. The kernel does not keep the address of arg.

// ioctlAPI is UFFDIO_API; after EINVAL it may be asked once more.
func ioctlAPI(fd int, want Feature) (offered Feature, errno unix.Errno) {
	arg := APIArg{API: apiVersion, Features: uint64(want)}
	_, _, errno = unix.Syscall(unix.SYS_IOCTL, uintptr(fd), IoctlAPI, uintptr(unsafe.Pointer(&arg)))
	return Feature(arg.Features), errno
}

func ioctlRegister(f *FD, arg *RegisterArg) unix.Errno {
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(f.fd.Load()), IoctlRegister, uintptr(unsafe.Pointer(arg)))
	runtime.KeepAlive(f) // its cleanup would close the descriptor
	return errno
}

func ioctlUnregister(f *FD, arg *RangeArg) unix.Errno {
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(f.fd.Load()), IoctlUnregister, uintptr(unsafe.Pointer(arg)))
	runtime.KeepAlive(f)
	return errno
}

func ioctlWake(f *FD, arg *RangeArg) unix.Errno {
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(f.fd.Load()), IoctlWake, uintptr(unsafe.Pointer(arg)))
	runtime.KeepAlive(f)
	return errno
}

func ioctlWriteProtect(f *FD, arg *WriteProtectArg) unix.Errno {
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(f.fd.Load()), IoctlWriteProtect, uintptr(unsafe.Pointer(arg)))
	runtime.KeepAlive(f)
	return errno
}

func ioctlCopy(f *FD, arg *CopyArg) unix.Errno {
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(f.fd.Load()), IoctlCopy, uintptr(unsafe.Pointer(arg)))
	runtime.KeepAlive(f)
	return errno
}

func ioctlPoison(f *FD, arg *PoisonArg) unix.Errno {
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(f.fd.Load()), IoctlPoison, uintptr(unsafe.Pointer(arg)))
	runtime.KeepAlive(f)
	return errno
}
