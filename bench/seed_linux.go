package main

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/cowheap/cowheap/internal/uffd"
)

// seedBench keeps nothing between measurements: each maps its own memory.
type seedBench struct {
	size int64
	sum  byte // of what was read, so that reading is not optimized away
}

func openSeed(s Setup) (Bench, error) {
	if err := uffd.HaveWriteProtect(); err != nil {
		return nil, err
	}
	return &seedBench{size: s.Size}, nil
}

func (b *seedBench) Close() error { return nil }

// Measure runs one test of the kernel commit.
func (b *seedBench) Measure(variant string) (r Reading, err error) {
	test, huge := strings.CutSuffix(variant, thpOn)
	if huge {
		if err := needHugePages(); err != nil {
			return Reading{}, err
		}
	} else {
		test = strings.TrimSuffix(variant, thpOff)
	}
	if err := warmTables(b.size); err != nil {
		return Reading{}, err
	}
	want := uffd.FeatureWriteProtect
	if test == seedWPUnpopulated {
		want |= uffd.FeatureWPUnpopulated
	}
	mem, err := newRegion(b.size, huge)
	if err != nil {
		return Reading{}, err
	}
	defer func() { err = errors.Join(err, mem.Unmap()) }()
	fd, err := uffd.Open(want)
	if err != nil {
		return Reading{}, err
	}
	defer func() { err = errors.Join(err, fd.Close()) }()
	if err := fd.Register(mem.Addr(), uintptr(mem.Size()), uffd.ModeWP); err != nil {
		return Reading{}, err
	}

	start := time.Now()
	switch test {
	case seedPreRead:
		b.sum += readPages(mem.all())
	case seedMadvise:
		err := unix.Madvise(mem.all(), unix.MADV_POPULATE_READ)
		if errors.Is(err, unix.EINVAL) {
			err = fmt.Errorf("MADV_POPULATE_READ, which needs Linux 5.14 or later: %w (%w)", err, errors.ErrUnsupported)
		}
		if err != nil {
			return Reading{}, err
		}
	}
	if err := fd.Protect(mem.Addr(), uintptr(mem.Size())); err != nil {
		return Reading{}, err
	}
	took := time.Since(start)
	return Reading{Value: float64(took.Nanoseconds()) / 1e3, Bytes: b.size}, b.check(test, mem)
}

// warmTables has the kernel make and free page tables for as much memory as is
// measured. Where memory that was freed has gone back to a hypervisor, a page
// costs some 10 us the next time; that would be all one sees: 10 GiB have 5,120
// page tables.
func warmTables(size int64) (err error) {
	if uffd.HaveWPUnpopulated() != nil {
		return nil
	}
	mem, err := newRegion(size, false)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, mem.Unmap()) }()
	fd, err := uffd.Open(uffd.FeatureWriteProtect | uffd.FeatureWPUnpopulated)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, fd.Close()) }()
	if err := fd.Register(mem.Addr(), uintptr(mem.Size()), uffd.ModeWP); err != nil {
		return err
	}
	return fd.Protect(mem.Addr(), uintptr(mem.Size()))
}

// check makes sure that the test left behind what it is about: every page
// protected, and none at all by the default.
func (b *seedBench) check(test string, mem *region) error {
	want := int(b.size / pageSize)
	if test == seedDefault {
		want = 0
	}
	return checkProtected(mem, want)
}
