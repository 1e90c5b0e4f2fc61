package uffd

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// probeHugePages protects huge pages and makes the kernel split them in the two ways there are: by lifting one page, which
// splits the mapping, and by MADV_COLD on a part, which splits the page itself (as memory pressure does) and is where
// Linux 6.12 to 6.17 replace pages full of zeros by the shared zero page without taking the protection along.
func probeHugePages() error {
	if err := hugePagesOff(ReadSettings()); err != nil {
		return err
	}
	pagemap, err := OpenPagemap()
	if err != nil {
		return err
	}
	defer pagemap.Close()
	for _, split := range []func(*FD, *scratch, *Pagemap) error{splitMapping, splitPage} {
		if err := onHugePage(pagemap, split); err != nil {
			return err
		}
	}
	return nil
}

// hugePagesOff is the answer where the system's setting says no.
func hugePagesOff(s Settings) error {
	e := &NotSupportedError{Feature: "transparent huge pages"}
	switch {
	case s.HugePages == "":
		e.Reason = "the kernel was built without them"
		e.Remedy = "small pages work as well; for huge pages run on a kernel with CONFIG_TRANSPARENT_HUGEPAGE"
	case s.HugePages == "never":
		e.Reason = hugePagePath + "enabled is never"
		e.Remedy = "small pages work as well; for huge pages write madvise to it, as root"
	case s.HugePagesDisabled:
		e.Reason = "they are switched off for this process (PR_SET_THP_DISABLE)"
		e.Remedy = "small pages work as well; for huge pages start it without that (systemd: MemoryTHP=)"
	default:
		return nil
	}
	return e
}

// onHugePage runs split on one huge page: all of it protected, its first byte 1, the rest zero.
func onHugePage(pagemap *Pagemap, split func(*FD, *scratch, *Pagemap) error) error {
	fd, err := open(FeatureWriteProtect, true)
	if err != nil {
		return err
	}
	defer fd.Close()
	mapping, err := newScratch(2 * hugePageSize() / unix.Getpagesize())
	if err != nil {
		return err
	}
	defer mapping.release()
	huge := mapping.aligned(uintptr(hugePageSize()))
	if err := unix.Madvise(huge.bytes, unix.MADV_HUGEPAGE); err != nil {
		return fmt.Errorf("asking for a huge page: %w", err)
	}
	huge.bytes[0] = 1
	if n, err := pagemap.count(huge.addr, huge.size(), pagemapPresent); err != nil {
		return err
	} else if n != huge.pages() {
		return errors.New("no huge page could be had at this moment (fragmented memory, or a limit of the cgroup)")
	}
	if err := fd.Register(huge.addr, huge.size(), ModeWP); err != nil {
		return err
	}
	if err := fd.Protect(huge.addr, huge.size()); err != nil {
		return err
	}
	if err := stillProtected(pagemap, huge, huge.pages(), "protecting a huge page"); err != nil {
		return err
	}
	return split(fd, huge, pagemap)
}

func splitMapping(fd *FD, huge *scratch, pagemap *Pagemap) error {
	if err := fd.Unprotect(huge.addr+huge.page(), huge.page()); err != nil {
		return err
	}
	return stillProtected(pagemap, huge, huge.pages()-1, "lifting one page of a huge page")
}

func splitPage(_ *FD, huge *scratch, pagemap *Pagemap) error {
	if err := unix.Madvise(huge.bytes[:len(huge.bytes)/2], unix.MADV_COLD); err != nil {
		return fmt.Errorf("splitting a huge page: %w", err)
	}
	if err := stillProtected(pagemap, huge, huge.pages(), "splitting a huge page with zeros in it"); err != nil {
		return err
	}
	if kernelAtLeast(6, 12) && !kernelAtLeast(6, 18) && !pagemap.hasZeroPages(huge.addr, huge.size()) {
		return errors.New("the kernel would not split a huge page at this moment, so whether protection survives that is not known")
	}
	return nil
}

// stillProtected checks that want pages of huge are protected after what was done.
func stillProtected(pagemap *Pagemap, huge *scratch, want int, done string) error {
	n, err := pagemap.CountProtected(huge.addr, huge.size())
	if err != nil || n == want {
		return err
	}
	return &NotSupportedError{
		Feature:   "write protection of transparent huge pages",
		MinKernel: "6.18",
		Reason:    fmt.Sprintf("after %s %d of its pages are protected, not %d (kernel %s)", done, n, want, kernelRelease()),
		Remedy:    "use small pages, or a kernel with commit 9658d698a8a8",
	}
}
