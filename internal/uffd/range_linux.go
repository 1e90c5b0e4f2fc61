package uffd

import (
	"golang.org/x/sys/unix"
)

// Register gives the faults of [addr, addr+n) to f. Registering again with more modes adds them; with fewer the kernel
// answers success and changes nothing.
//
// Errors: EBUSY (another descriptor has the range), EINVAL (unaligned, not mapped, or memory of a kind that cannot be
// registered), EPERM, ENOMEM; a *NotSupportedError if the memory can be registered, but not protected as mode asks.
func (f *FD) Register(addr, n uintptr, mode RegisterMode) error {
	arg := RegisterArg{Range: RangeArg{uint64(addr), uint64(n)}, Mode: uint64(mode)}
	if errno := ioctlRegister(f, &arg); errno != 0 {
		return &OpError{"registering", addr, n, errno}
	}
	need := uint64(rangeCopy)
	if mode&ModeWP != 0 {
		need = rangeWriteProtect
	}
	if arg.Ioctls&need == 0 {
		_ = f.Unregister(addr, n) // nothing is armed yet, and closing f ends the registration too
		return &NotSupportedError{
			Feature: "UFFDIO_WRITEPROTECT",
			Reason:  "this memory can be registered, but not write-protected",
			Remedy:  "use anonymous private memory",
		}
	}
	return nil
}

// Unregister takes the faults of [addr, addr+n) from f again, all modes at once. Every protection in the range is
// dropped.
//
// Errors: EINVAL (unaligned, not mapped, or another descriptor has it).
func (f *FD) Unregister(addr, n uintptr) error {
	arg := RangeArg{uint64(addr), uint64(n)}
	if errno := ioctlUnregister(f, &arg); errno != 0 {
		return &OpError{"unregistering", addr, n, errno}
	}
	return nil
}

// Protect write-protects [addr, addr+n) in one request. Pages never touched are protected with FeatureWPUnpopulated
// only; without it they are silently left out. The kernel holds the process's memory lock throughout (about 32 ns for
// a page of 4 KiB), and other threads' mmap and munmap wait for it, so give it at most 16 MiB where they matter.
//
// Errors: ENOENT (part of it is not registered with ModeWP), EINVAL (unaligned or empty), ENOMEM (no memory for page
// tables; part of the range may be protected).
func (f *FD) Protect(addr, n uintptr) error {
	return f.writeProtect("protecting", addr, n, WriteProtectWP)
}

// Unprotect lifts the protection of [addr, addr+n) in one request and wakes whoever waits for it. Lifting what is not
// protected is harmless. Lifting a poisoned page answers success and changes nothing.
//
// Errors: those of Protect.
func (f *FD) Unprotect(addr, n uintptr) error {
	return f.writeProtect("lifting the protection of", addr, n, 0)
}

func (f *FD) writeProtect(op string, addr, n uintptr, mode uint64) error {
	for {
		arg := WriteProtectArg{RangeArg{uint64(addr), uint64(n)}, mode}
		switch errno := ioctlWriteProtect(f, &arg); errno {
		case 0:
			return nil
		case unix.EAGAIN: // the mappings are changing
		default:
			return &OpError{op, addr, n, errno}
		}
	}
}

// Copy fills the missing pages of [dst, dst+n) with the n bytes at src, and wakes whoever waits for them. A page appears
// whole or not at all. With CopyWP it appears write-protected; without, a protection marker on it is replaced and lost.
//
// src must be memory that does not move and stays mapped, so none on a goroutine's stack: mmapped memory at best. It
// needs no alignment. It must not be missing or unreadable itself.
//
// copied is how many bytes are in place, also if err is not nil; the kernel stops half-way where it must, and
// Copy goes on from there until the kernel names a reason, which then is about the page at dst+copied: EEXIST (there
// is one already: another thread was first, say), ENOENT (not registered), EFAULT (src), EINVAL (unaligned, or
// CopyWP on a range without ModeWP), ENOMEM, ENOSPC, ESRCH.
func (f *FD) Copy(dst, src, n uintptr, mode CopyMode) (copied int, err error) {
	done := uintptr(0)
	for {
		arg := CopyArg{Dst: uint64(dst + done), Src: uint64(src + done), Len: uint64(n - done), Mode: uint64(mode)}
		errno := ioctlCopy(f, &arg)
		if arg.Copy > 0 {
			done += uintptr(arg.Copy)
		}
		switch errno {
		case 0:
			return int(done), nil
		case unix.EAGAIN: // stopped half-way, or the mappings are changing
		default:
			return int(done), &OpError{"copying to", dst + done, n - done, errno}
		}
	}
}

// Wake wakes the threads that wait for a fault in [addr, addr+n), to run it again. It is for CopyDontWake and for
// descriptors without FeatureSIGBUS.
func (f *FD) Wake(addr, n uintptr) error {
	arg := RangeArg{uint64(addr), uint64(n)}
	if errno := ioctlWake(f, &arg); errno != 0 {
		return &OpError{"waking", addr, n, errno}
	}
	return nil
}

// Poison makes the missing pages of [addr, addr+n) fail as if their memory were broken: a touch is a SIGBUS that no
// lift helps. Only discarding the page (MADV_DONTNEED) heals it. For tests of what must not be resolved.
//
// Needs FeaturePoison. Errors: as Copy.
func (f *FD) Poison(addr, n uintptr) error {
	for {
		arg := PoisonArg{Range: RangeArg{uint64(addr), uint64(n)}}
		errno := ioctlPoison(f, &arg)
		if arg.Updated > 0 {
			addr, n = addr+uintptr(arg.Updated), n-uintptr(arg.Updated)
		}
		switch errno {
		case 0:
			return nil
		case unix.EAGAIN: // stopped half-way, or the mappings are changing
		default:
			return &OpError{"poisoning", addr, n, errno}
		}
	}
}
