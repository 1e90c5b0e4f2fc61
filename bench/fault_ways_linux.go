package main

import (
	"errors"
	"fmt"
	"time"

	"github.com/cowheap/cowheap/arena"
	"github.com/cowheap/cowheap/internal/uffd"
)

// guarded: the guard's own way with a first write.
func (b *faultBench) guarded(name string, pages []uint32, write timer) (time.Duration, error) {
	guard, err := arena.ParseGuard(name)
	if err != nil {
		return 0, err
	}
	f, err := b.arena(guard)
	if err != nil {
		return 0, err
	}
	first := func() error {
		writeScattered(f.bytes(), pages, b.value)
		return nil
	}
	if guard == arena.GuardShadow {
		// It preserves nothing before the next snapshot, but the kernel has to resolve the
		// writes. Memory is as newFrozenState has left it, or the last sample: if most of it
		// were written before each snapshot, the guard would stop protecting it. So it would the
		// pages of the sample: snapshots before which nobody wrote stand between two samples.
		for range 2 {
			s, err := f.a.Snapshot()
			if err == nil {
				err = s.Close()
			}
			if err != nil {
				return 0, err
			}
		}
		s, err := f.a.Snapshot()
		if err != nil {
			return 0, err
		}
		took, err := countFaults(len(pages), write, func() { _ = first() })
		return took, errors.Join(err, s.Close())
	}
	return b.inSnapshot(f, len(pages), write, first)
}

// prepared: the program says what it is going to write.
func (b *faultBench) prepared(pages []uint32, write timer) (time.Duration, error) {
	f, err := b.arena(arena.GuardUserfault)
	if err != nil {
		return 0, err
	}
	mem := f.bytes()
	return b.inSnapshot(f, len(pages), write, func() error {
		for i, p := range pages {
			if err := f.a.PrepareWrite(f.off+uint64(p)*pageSize, pageSize); err != nil {
				return err
			}
			writeScattered(mem, pages[i:i+1], b.value)
		}
		return nil
	})
}

// track: nothing is preserved, it is only noted which pages are written.
func (b *faultBench) track(pages []uint32, write timer) (took time.Duration, err error) {
	if b.tracked == nil {
		if b.tracked, err = b.newState(arena.Options{Guard: arena.GuardUserfault, Track: true}); err != nil {
			return 0, err
		}
	}
	s, err := b.tracked.a.Snapshot()
	if err == nil {
		err = s.Close()
	}
	if err != nil {
		return 0, err
	}
	before := b.tracked.a.Stats().Idle
	took, err = write(func() { writeScattered(b.tracked.bytes(), pages, b.value) })
	// Some pages of a sample follow one another, and are then lifted along.
	if n := b.tracked.a.Stats().Idle - before; err == nil && n < int64(len(pages))/10*9 {
		err = fmt.Errorf("%d pages were written, and %d faults taken", len(pages), n)
	}
	return took, err
}

// inSnapshot times writes while a snapshot of f is open, which must preserve as many pages.
func (b *faultBench) inSnapshot(f *frozenState, pages int, write timer, first func() error) (took time.Duration, err error) {
	if err := f.settle(b.value); err != nil {
		return 0, err
	}
	s, err := f.a.Snapshot()
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	var failed error
	if took, err = write(func() { failed = first() }); err != nil || failed != nil {
		return took, errors.Join(err, failed)
	}
	return took, checkPreserved(s, pages)
}

// checkPreserved fails if the snapshot has preserved fewer pages than were written.
func checkPreserved(s *arena.Snapshot, pages int) error {
	if st := s.Stats(); st.Pages < int64(pages) {
		return fmt.Errorf("%d pages were written after the snapshot, and %d preserved", pages, st.Pages)
	}
	return nil
}

// fork: the kernel's copy-on-write.
func (b *faultBench) fork(pages []uint32, write timer) (took time.Duration, err error) {
	mem := b.plain.all()
	writePages(mem, b.value)
	c, _, err := fork(childStays)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, c.kill()) }()
	if err := c.settle(); err != nil {
		return 0, err
	}
	return countFaults(len(pages), write, func() { writeScattered(mem, pages, b.value) })
}

// async: the kernel lifts the protection, and nobody copies.
func (b *faultBench) async(pages []uint32, write timer) (took time.Duration, err error) {
	mem := b.plain.all()
	writePages(mem, b.value)
	fd, err := b.arm(uffd.FeatureWriteProtect | uffd.FeatureWPAsync)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, fd.Close()) }()
	took, err = countFaults(len(pages), write, func() { writeScattered(mem, pages, b.value) })
	if err != nil {
		return took, err
	}
	return took, checkProtected(b.plain, len(mem)/pageSize-len(pages))
}

// arm protects the plain region with a descriptor of its own.
func (b *faultBench) arm(features uffd.Feature) (*uffd.FD, error) {
	fd, err := b.plain.register(features)
	if err != nil {
		return nil, err
	}
	if err := fd.Protect(b.plain.Addr(), uintptr(b.plain.Size())); err != nil {
		return nil, errors.Join(err, fd.Close())
	}
	return fd, nil
}

// countFaults times writes that must fault at least once a page.
func countFaults(pages int, write timer, first func()) (time.Duration, error) {
	var before, after int64
	var errs [2]error
	took, err := write(func() {
		// A getrusage is some hundred nanoseconds among thousands of faults.
		before, errs[0] = minorFaults()
		first()
		after, errs[1] = minorFaults()
	})
	if err = errors.Join(err, errs[0], errs[1]); err == nil && after-before < int64(pages) {
		err = fmt.Errorf("%d pages were written, with %d faults", pages, after-before)
	}
	return took, err
}
