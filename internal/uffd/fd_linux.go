package uffd

import (
	"fmt"
	"os"
	"runtime"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// devicePath gives descriptors to whoever may open it, without asking for the system call.
const devicePath = "/dev/userfaultfd"

// FD is a userfaultfd. Every method but Close may be called from many goroutines at once; the kernel serialises what must
// be. Close waits for nobody: end all other calls first.
//
// Ranges are given as address and length in bytes, both multiples of the page size. A mapping belongs to one descriptor
// at a time, and closing the descriptor drops its registrations and every protection with them.
type FD struct {
	fd           atomic.Int64 // -1 when closed
	features     Feature
	userModeOnly bool
	cleanup      runtime.Cleanup
}

// Open makes a userfaultfd and asks for exactly the features in want (FeatureWPAsync brings FeatureWPUnpopulated along,
// as in the kernel). It comes from /dev/userfaultfd if that may be opened, and then serves faults taken in system calls
// too; else from userfaultfd(2) with UFFD_USER_MODE_ONLY, which needs no privilege: a system call that touches a
// protected or missing page fails with EFAULT. With FeatureSIGBUS it does so in either case.
//
// The descriptor is close-on-exec and non-blocking. One that is dropped is closed by a cleanup.
//
// A *NotSupportedError says that there is no userfaultfd here or that it lacks features (its Missing field names them).
// The EVENT_ features are refused with EINVAL: they need somebody who reads them, or requests fail with EAGAIN for ever.
func Open(want Feature) (*FD, error) {
	return open(want, false)
}

// open is Open; userModeOnly asks for UFFD_USER_MODE_ONLY whichever way the descriptor is made, so that no fault taken
// by a system call can wait for an answer.
func open(want Feature, userModeOnly bool) (*FD, error) {
	if want&featureEvents != 0 {
		return nil, fmt.Errorf("asking for userfaultfd features %v: %w", want&featureEvents, unix.EINVAL)
	}
	fd, userModeOnly, err := newDescriptor(userModeOnly)
	if err != nil {
		return nil, err
	}
	if want&FeatureWPAsync != 0 {
		want |= FeatureWPUnpopulated
	}
	if err := handshake(fd, want); err != nil {
		unix.Close(fd)
		return nil, err
	}
	f := &FD{features: want, userModeOnly: userModeOnly}
	f.fd.Store(int64(fd))
	f.cleanup = runtime.AddCleanup(f, func(fd int) { unix.Close(fd) }, fd)
	return f, nil
}

// newDescriptor tries the device, then the system call.
func newDescriptor(userModeOnly bool) (fd int, limited bool, err error) {
	fd, deviceErr := deviceDescriptor(userModeOnly)
	if deviceErr == nil {
		return fd, userModeOnly, nil
	}
	n, _, errno := unix.Syscall(unix.SYS_USERFAULTFD, unix.O_CLOEXEC|unix.O_NONBLOCK|flagUserModeOnly, 0, 0)
	if errno == 0 {
		return int(n), true, nil
	}
	return -1, false, refusal(errno, deviceErr)
}

// deviceDescriptor asks /dev/userfaultfd. A failure is no reason to give up.
func deviceDescriptor(userModeOnly bool) (int, error) {
	dev, err := unix.Open(devicePath, unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, &os.PathError{Op: "open", Path: devicePath, Err: err}
	}
	defer unix.Close(dev)
	flags := unix.O_CLOEXEC | unix.O_NONBLOCK
	if userModeOnly {
		flags |= flagUserModeOnly
	}
	fd, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(dev), IoctlNew, uintptr(flags))
	if errno != 0 {
		return -1, &os.PathError{Op: "ioctl", Path: devicePath, Err: errno}
	}
	return int(fd), nil
}

// handshake is UFFDIO_API. The kernel may accept a bit without serving it, so what it answers decides.
func handshake(fd int, want Feature) error {
	offered, errno := ioctlAPI(fd, want)
	switch {
	case errno == unix.EINVAL && want != 0:
		// Unknown bits fail without saying which ones; the descriptor may still be asked what there is.
		if offered, errno = ioctlAPI(fd, 0); errno != 0 {
			return fmt.Errorf("asking userfaultfd for its features: %w", errno)
		}
		if want&^offered == 0 {
			return fmt.Errorf("asking userfaultfd for features %v of %v: %w", want, offered, unix.EINVAL)
		}
	case errno != 0:
		return fmt.Errorf("asking userfaultfd for features %v: %w", want, errno)
	}
	if missing := want &^ offered; missing != 0 {
		return lacking(missing, offered)
	}
	return nil
}

// available is what a descriptor made here would offer.
func available() (Feature, error) {
	fd, _, err := newDescriptor(true)
	if err != nil {
		return 0, err
	}
	defer unix.Close(fd)
	offered, errno := ioctlAPI(fd, 0)
	if errno != 0 {
		return 0, fmt.Errorf("asking userfaultfd for its features: %w", errno)
	}
	return offered, nil
}

// Fd is the descriptor's number, -1 after Close. It is for raw system calls in a signal handler and for reading
// messages; it stays f's.
func (f *FD) Fd() int { return int(f.fd.Load()) }

// Features are those in force: what was asked for, which the kernel confirmed.
func (f *FD) Features() Feature { return f.features }

// UserModeOnly reports whether faults taken inside system calls are refused (EFAULT) rather than served.
func (f *FD) UserModeOnly() bool { return f.userModeOnly }

// Close closes the descriptor: registrations end, protections are dropped, a thread that waits for a fault to be
// resolved runs it again. Closing twice is harmless.
func (f *FD) Close() error {
	fd := f.fd.Swap(-1)
	if fd < 0 {
		return nil
	}
	f.cleanup.Stop()
	return os.NewSyscallError("close", unix.Close(int(fd)))
}
