package uffd

import (
	"errors"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/cowheap/cowheap/internal/uffd/uffdtest"
)

func TestProbesUnprivileged(t *testing.T) {
	if uffdtest.Child(t, uffdtest.Nobody, 0) {
		return
	}
	if os.Geteuid() == 0 {
		t.Fatal("still root")
	}
	for _, p := range Probes() {
		err := p.Have()
		if p.Name == "device" && errors.Is(err, ErrNotSupported) {
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", p.Name, err)
		}
	}
	f, err := Open(FeatureSIGBUS)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if HaveDevice() != nil && !f.UserModeOnly() {
		t.Error("not UserModeOnly without the device")
	}
}

func TestSystemCallRefusedToAll(t *testing.T) {
	for _, errno := range []unix.Errno{unix.EPERM, unix.ENOSYS} {
		t.Run(errno.Error(), func(t *testing.T) {
			if uffdtest.Child(t, uffdtest.Nobody, errno) {
				return
			}
			if HaveDevice() == nil {
				t.Skip("this user may use " + devicePath)
			}
			_, err := Open(0)
			for _, err := range []error{err, HaveUserfaultfd(), HaveWPUnpopulated(), HavePagemapScan()} {
				if !errors.Is(err, ErrNotSupported) || !errors.Is(err, errno) {
					t.Fatalf("%v, want ErrNotSupported around %v", err, errno)
				}
				if !strings.Contains(err.Error(), "seccomp filter") {
					t.Errorf("%q does not say that there is a seccomp filter", err)
				}
			}
			if !ReadSettings().Seccomp {
				t.Error("settings do not show the filter")
			}
		})
	}
}

// The device needs no change of the seccomp profile: what a container is given so that the default profile will do.
func TestDeviceHelpsWhereTheSystemCallIsRefused(t *testing.T) {
	if err := HaveDevice(); err != nil {
		t.Skip(err)
	}
	if uffdtest.Child(t, uffdtest.Same, unix.EPERM) {
		return
	}
	if _, _, errno := unix.Syscall(unix.SYS_USERFAULTFD, flagUserModeOnly, 0, 0); errno != unix.EPERM {
		t.Fatalf("userfaultfd(2) gives %v here, want EPERM", errno)
	}
	for _, have := range []func() error{HaveUserfaultfd, HaveWPUnpopulated, HavePagemapScan} {
		if err := have(); err != nil {
			t.Error(err)
		}
	}
}

// A process that is not dumpable may not open its own page map.
func TestPagemapRefused(t *testing.T) {
	if uffdtest.Child(t, uffdtest.Nobody, 0) {
		return
	}
	if err := unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0); err != nil {
		t.Fatal(err)
	}
	err := HavePagemapScan()
	if !errors.Is(err, ErrNotSupported) || !errors.Is(err, unix.EACCES) {
		t.Fatalf("%v, want ErrNotSupported around EACCES", err)
	}
	if !strings.Contains(err.Error(), "PR_SET_DUMPABLE") {
		t.Errorf("%q does not say what to do", err)
	}
	if err := HaveWPAsync(); err != nil {
		t.Errorf("what needs no page map: %v", err)
	}
}
