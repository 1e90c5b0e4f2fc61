package uffd

import (
	"errors"
	"os"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// mustOpen opens with want and skips where the probes say that this machine has no such thing. TestProbes fails there if the
// kernel is new enough.
func mustOpen(t testing.TB, want Feature) *FD {
	t.Helper()
	f, err := Open(want)
	if errors.Is(err, ErrNotSupported) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

// kernelWrites writes to b[0] from inside a system call: nil, or EFAULT where the write meets a protected or missing page. So
// a test sees a protection without taking a signal.
func kernelWrites(t testing.TB, b []byte) error {
	t.Helper()
	var p [2]int
	if err := unix.Pipe2(p[:], unix.O_CLOEXEC); err != nil {
		t.Fatal(err)
	}
	defer unix.Close(p[0])
	defer unix.Close(p[1])
	if _, err := unix.Write(p[1], []byte{0xa5}); err != nil {
		t.Fatal(err)
	}
	_, err := unix.Read(p[0], b[:1])
	return err
}

func TestOpenGivesExactlyTheFeaturesAskedFor(t *testing.T) {
	for _, want := range []Feature{0, FeatureSIGBUS, FeatureWriteProtect | FeatureSIGBUS | FeatureWPUnpopulated} {
		f := mustOpen(t, want)
		if f.Features() != want {
			t.Errorf("Features() = %v, want %v", f.Features(), want)
		}
		flags, err := unix.FcntlInt(uintptr(f.Fd()), unix.F_GETFD, 0)
		if err != nil || flags&unix.FD_CLOEXEC == 0 {
			t.Errorf("descriptor flags %#x, %v: not close-on-exec", flags, err)
		}
		status, err := unix.FcntlInt(uintptr(f.Fd()), unix.F_GETFL, 0)
		if err != nil || status&unix.O_NONBLOCK == 0 {
			t.Errorf("status flags %#x, %v: not O_NONBLOCK", status, err)
		}
	}
}

func TestOpenTakesTheDeviceWhereItMay(t *testing.T) {
	f := mustOpen(t, 0)
	dev, err := os.OpenFile(devicePath, os.O_RDWR, 0)
	if err == nil {
		dev.Close()
	}
	if f.UserModeOnly() != (err != nil) {
		t.Errorf("UserModeOnly() = %v where opening the device gives %v", f.UserModeOnly(), err)
	}
}

func TestOpenNamesMissingFeatures(t *testing.T) {
	const future = Feature(1) << 40
	mustOpen(t, FeatureSIGBUS)
	_, err := Open(FeatureSIGBUS | future)
	e, ok := errors.AsType[*NotSupportedError](err)
	if !ok {
		t.Fatalf("got %v, want a *NotSupportedError", err)
	}
	if e.Missing != future {
		t.Errorf("Missing = %v, want %v", e.Missing, future)
	}
	if !errors.Is(err, ErrNotSupported) || !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("%v is neither ErrNotSupported nor errors.ErrUnsupported", err)
	}
	if !strings.Contains(err.Error(), kernelRelease()) || !strings.Contains(err.Error(), "SIGBUS") {
		t.Errorf("%q does not say what this kernel offers", err)
	}
}

func TestOpenRefusesEvents(t *testing.T) {
	if _, err := Open(FeatureEventUnmap); !errors.Is(err, unix.EINVAL) {
		t.Errorf("got %v, want EINVAL", err)
	}
}

func TestCloseIsIdempotent(t *testing.T) {
	f := mustOpen(t, 0)
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if f.Fd() != -1 {
		t.Errorf("Fd() = %d after Close", f.Fd())
	}
	if err := f.Protect(0, page); !errors.Is(err, unix.EBADF) {
		t.Errorf("Protect after Close: %v, want EBADF", err)
	}
}

func TestDroppedDescriptorIsClosed(t *testing.T) {
	f, err := Open(0)
	if err != nil {
		t.Skip(err)
	}
	fd := uintptr(f.Fd())
	f = nil
	for range 100 {
		runtime.GC()
		if _, err := unix.FcntlInt(fd, unix.F_GETFD, 0); err == unix.EBADF {
			return
		}
		runtime.Gosched()
	}
	t.Error("still open")
}
