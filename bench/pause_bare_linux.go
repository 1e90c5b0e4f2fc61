package main

import (
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"github.com/cowheap/cowheap/internal/uffd"
)

// What the kernel alone takes for freezing a plain region, on one processor.

// ioctl: the guard userfault without a guard.
func (b *pauseBench) ioctl(pages string) (took time.Duration, err error) {
	r, err := b.state(pages)
	if err != nil {
		return 0, err
	}
	// What an arena's descriptor has.
	fd, err := r.register(uffd.FeatureWriteProtect | uffd.FeatureWPUnpopulated | uffd.FeatureSIGBUS)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, fd.Close()) }() // drops the protection
	start := time.Now()
	err = fd.Protect(r.Addr(), uintptr(r.Size()))
	took = time.Since(start)
	return took, errors.Join(err, checkProtected(r, int(b.size/pageSize)))
}

// scan: the guard shadow without a copy.
func (b *pauseBench) scan(pages string) (took time.Duration, err error) {
	if err := errors.Join(uffd.HaveWPAsync(), uffd.HavePagemapScan()); err != nil {
		return 0, err
	}
	r, err := b.state(pages)
	if err != nil {
		return 0, err
	}
	fd, err := r.register(uffd.FeatureWriteProtect | uffd.FeatureWPAsync)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, fd.Close()) }()
	pagemap, err := uffd.OpenPagemap()
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, pagemap.Close()) }()
	start := time.Now()
	found, err := pagemap.Scan(nil, r.Addr(), uintptr(r.Size()), uffd.ScanProtect)
	took = time.Since(start)
	if err == nil && (len(found) != 1 || found[0].End-found[0].Start != r.Size()) {
		err = fmt.Errorf("a region that was written all over has %d pieces that were written", len(found))
	}
	return took, errors.Join(err, checkProtected(r, int(b.size/pageSize)))
}

// mprotect: the guard of that name without a guard.
func (b *pauseBench) mprotect(pages string) (time.Duration, error) {
	r, err := b.state(pages)
	if err != nil {
		return 0, err
	}
	start := time.Now()
	err = unix.Mprotect(r.all(), unix.PROT_READ)
	took := time.Since(start)
	if err != nil {
		return 0, fmt.Errorf("taking the right to write away: %w", err)
	}
	return took, r.Commit(0, r.Size())
}
