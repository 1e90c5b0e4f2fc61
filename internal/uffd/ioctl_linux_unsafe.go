//go:build linux

package uffd

import (
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Requests go through unix.Syscall, which tells the scheduler: protecting a GiB takes milliseconds, and a goroutine
// in a raw system call would hold up a stop-the-world for as long. Those that take microseconds do not: coming back
// from a system call a goroutine may have lost its processor, and wait for one as long as writers at full speed like.
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

// shortRange is protected in some 70 us: as long as the scheduler may be kept waiting.
const shortRange = 8 << 20

func ioctlWriteProtect(f *FD, arg *WriteProtectArg) unix.Errno {
	request := unix.Syscall
	if arg.Range.Len <= shortRange {
		request = unix.RawSyscall
	}
	_, _, errno := request(unix.SYS_IOCTL, uintptr(f.fd.Load()), IoctlWriteProtect, uintptr(unsafe.Pointer(arg)))
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
