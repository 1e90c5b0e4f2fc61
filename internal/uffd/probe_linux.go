package uffd

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"

	"golang.org/x/sys/unix"
)

// The probes look at what the kernel does, not only at what it says, and take no fault: they write to their pages from
// inside a system call, which fails with EFAULT where a program would fault, and their descriptors are UFFD_USER_MODE_ONLY, so
// that such a call never waits for somebody to resolve it.

func probeUserfaultfd() error {
	_, err := available()
	return err
}

func probeDevice() error {
	fd, err := deviceDescriptor(true)
	if err == nil {
		return os.NewSyscallError("close", unix.Close(fd))
	}
	e := &NotSupportedError{Feature: devicePath, Err: err}
	const harmless = "not needed where the userfaultfd system call is allowed; else "
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, unix.ENXIO), errors.Is(err, unix.ENODEV):
		e.MinKernel = "6.1"
		e.Reason = "the device is not there"
		e.Remedy = harmless + "give it to the container (docker run --device /dev/userfaultfd)"
	case errors.Is(err, fs.ErrPermission):
		e.Reason = "this user may not use it"
		e.Remedy = harmless + "make it readable and writable for this user (root owns it with mode 0600 by default), by a udev rule or setfacl"
	default:
		return err
	}
	return e
}

func probeSIGBUS() error { return offers(FeatureSIGBUS) }

// offers asks UFFDIO_API for f.
func offers(f Feature) error {
	fd, err := open(f, true)
	if err != nil {
		return err
	}
	return fd.Close()
}

func probeWriteProtect() error { return trial(FeatureWriteProtect, ModeWP, 1, holdsAndLifts) }

func holdsAndLifts(fd *FD, m *scratch) error {
	m.bytes[0] = 1
	if err := fd.Protect(m.addr, m.size()); err != nil {
		return err
	}
	if held, err := m.held(); err != nil || !held {
		return orBroken(err, FeatureWriteProtect, "a write to a protected page went through")
	}
	if err := fd.Unprotect(m.addr, m.size()); err != nil {
		return err
	}
	if held, err := m.held(); err != nil || held {
		return orBroken(err, FeatureWriteProtect, "a lifted page is still protected")
	}
	return nil
}

func probeWPUnpopulated() error {
	return trial(FeatureWriteProtect|FeatureWPUnpopulated, ModeWP, 1, holdsUntouched)
}

func holdsUntouched(fd *FD, m *scratch) error {
	if err := fd.Protect(m.addr, m.size()); err != nil {
		return err
	}
	if held, err := m.held(); err != nil || !held {
		return orBroken(err, FeatureWPUnpopulated, "a write to a protected page that was never touched went through")
	}
	return nil
}

func probeCopy() error { return trial(FeatureWriteProtect, ModeMissing|ModeWP, 1, bringsIn) }

func bringsIn(fd *FD, m *scratch) error {
	src, err := newScratch(m.pages())
	if err != nil {
		return err
	}
	defer src.release()
	src.bytes[0] = 0x5a
	if held, err := m.held(); err != nil || !held {
		return orBroken(err, 0, "a write to a missing page went through")
	}
	if _, err := fd.Copy(m.addr, src.addr, m.size(), CopyWP); err != nil {
		return err
	}
	if held, err := m.held(); err != nil || !held {
		return orBroken(err, FeatureWriteProtect, "UFFDIO_COPY_MODE_WP left the page unprotected")
	}
	if _, err := fd.Copy(m.addr, src.addr, m.size(), CopyWP); !errors.Is(err, unix.EEXIST) {
		return orBroken(nil, 0, fmt.Sprintf("a second UFFDIO_COPY to a page answered %v, not EEXIST", err))
	}
	if m.bytes[0] != 0x5a { // it is there, so reading it is no fault
		return orBroken(nil, 0, "UFFDIO_COPY brought in other bytes")
	}
	return nil
}

func probeWPAsync() error { return trial(FeatureWPAsync, ModeWP, 1, kernelLifts) }

func kernelLifts(fd *FD, m *scratch) error {
	if err := fd.Protect(m.addr, m.size()); err != nil {
		return err
	}
	if held, err := m.held(); err != nil || held {
		return orBroken(err, FeatureWPAsync, "the kernel did not lift the protection for a write")
	}
	return nil
}

func probePagemapScan() error {
	p, err := OpenPagemap()
	e := &NotSupportedError{Feature: "PAGEMAP_SCAN", Err: err}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		e.Reason, e.Remedy = err.Error(), "mount /proc"
		return e
	case errors.Is(err, fs.ErrPermission):
		e.Reason = err.Error()
		e.Remedy = "this process is not dumpable: start it without set-user-ID and file capabilities, or set PR_SET_DUMPABLE"
		return e
	case err != nil:
		return err
	}
	defer p.Close()
	const pages = 3
	return trial(FeatureWPAsync, ModeWP, pages, p.findsWritten)
}

func (p *Pagemap) findsWritten(fd *FD, m *scratch) error {
	if err := fd.Protect(m.addr, m.size()); err != nil {
		return err
	}
	second := m.addr + m.page()
	m.bytes[m.page()] = 1 // async: the kernel resolves it
	for _, want := range [][]PageRegion{{{uint64(second), uint64(second + m.page()), pageIsWritten}}, nil} {
		found, err := p.Scan(nil, m.addr, m.size(), ScanProtect)
		if errors.Is(err, unix.ENOTTY) {
			return &NotSupportedError{
				Feature: "PAGEMAP_SCAN", MinKernel: "6.7", Err: err,
				Reason: "this kernel (" + kernelRelease() + ") does not know it",
				Remedy: "run on a newer kernel",
			}
		}
		if err != nil {
			return err
		}
		if !slices.Equal(found, want) {
			return &NotSupportedError{
				Feature: "PAGEMAP_SCAN",
				Reason:  fmt.Sprintf("the kernel (%s) reported %v as written, not %v", kernelRelease(), found, want),
				Remedy:  "run on another kernel",
			}
		}
	}
	return nil
}

func probePoison() error {
	return trial(FeaturePoison, ModeMissing, 1, func(fd *FD, m *scratch) error {
		return fd.Poison(m.addr, m.size())
	})
}

// trial runs try on pages of fresh memory registered in mode with a descriptor that has want.
func trial(want Feature, mode RegisterMode, pages int, try func(fd *FD, m *scratch) error) error {
	fd, err := open(want, true)
	if err != nil {
		return err
	}
	defer fd.Close()
	m, err := newScratch(pages)
	if err != nil {
		return err
	}
	defer m.release()
	if err := fd.Register(m.addr, m.size(), mode); err != nil {
		return err
	}
	return try(fd, m)
}

// orBroken is err, or else the answer for a feature that the kernel offers and does not keep.
func orBroken(err error, f Feature, observed string) error {
	if err != nil {
		return err
	}
	name := "userfaultfd"
	if f != 0 {
		name += " feature " + f.String()
	}
	return &NotSupportedError{
		Feature: name, Missing: f,
		Reason: fmt.Sprintf("the kernel (%s) offers it, but %s", kernelRelease(), observed),
		Remedy: "run on another kernel",
	}
}
