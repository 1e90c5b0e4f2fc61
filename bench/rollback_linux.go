package main

import (
	"bytes"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"github.com/cowheap/cowheap/internal/uffd"
)

// rollbackBench is the region and the old content of what is put back.
type rollbackBench struct {
	stage
	mem   *region
	old   *region
	pages int // in mem
	value byte
}

func openRollback(s Setup) (_ Bench, err error) {
	if err := errors.Join(uffd.HaveWPUnpopulated(), uffd.HaveCopy()); err != nil {
		return nil, err
	}
	b := &rollbackBench{pages: int(s.Size / pageSize)}
	defer func() {
		if err != nil {
			err = errors.Join(err, b.Close())
		}
	}()
	if b.stage, err = newStage(); err != nil {
		return nil, err
	}
	if b.mem, err = newRegion(s.Size, false); err != nil {
		return nil, err
	}
	if b.old, err = newRegion(size(min(b.pages/4, maxSample)*pageSize).blocks(), false); err != nil {
		return nil, err
	}
	writePages(b.mem.all(), 1)
	return b, nil
}

func (b *rollbackBench) Close() error {
	var errs []error
	for _, r := range []*region{b.mem, b.old} {
		if r != nil {
			errs = append(errs, r.Unmap())
		}
	}
	return errors.Join(errs...)
}

// Measure puts back the runs of a variant.
func (b *rollbackBench) Measure(variant string) (_ Reading, err error) {
	p := findPutBack(variant)
	features := uffd.FeatureWriteProtect | uffd.FeatureWPUnpopulated | uffd.FeatureSIGBUS
	if p.way == putAsync || p.way == putLifted {
		if err := uffd.HaveWPAsync(); err != nil {
			return Reading{}, err
		}
		features = uffd.FeatureWriteProtect | uffd.FeatureWPAsync
	}
	runs := scatteredRuns(b.pages, p.run, min(b.pages/4, maxSample)/p.run)
	b.value++
	writePages(b.old.all(), b.value)
	fd, err := b.mem.register(features)
	if err != nil {
		return Reading{}, err
	}
	defer func() { err = errors.Join(err, fd.Close()) }()
	w := &putter{fd: fd, mem: b.mem, old: b.old, bytes: uint64(p.run * pageSize), runs: runs}
	if err := w.prepare(p.way, b.value-1); err != nil {
		return Reading{}, err
	}
	took, err := b.on(p.load, func(timer timer) (time.Duration, error) {
		var failed error
		took, err := timer(func() { failed = w.put(p.way) })
		return took, errors.Join(err, failed)
	})
	if err == nil {
		err = errors.Join(w.check(), checkProtected(b.mem, b.pages))
	}
	return Reading{Value: float64(took.Nanoseconds()) / float64(len(runs)*p.run), Bytes: int64(b.mem.Size())}, err
}

// putter puts runs back.
type putter struct {
	fd       *uffd.FD
	mem, old *region
	bytes    uint64 // of a run
	runs     []uint32
}

// at are the bytes of a run, and old is what they were.
func (w *putter) at(i int) uint64     { return uint64(w.runs[i]) * pageSize }
func (w *putter) now(i int) []byte    { return w.mem.Bytes(w.at(i), w.bytes) }
func (w *putter) before(i int) []byte { return w.old.Bytes(uint64(i)*w.bytes, w.bytes) }

// prepare makes the region what it is before its way puts anything back.
func (w *putter) prepare(way string, value byte) error {
	if err := w.fd.Protect(w.mem.Addr(), uintptr(w.mem.Size())); err != nil {
		return err
	}
	for i := range w.runs {
		addr := w.mem.Addr() + uintptr(w.at(i))
		if err := w.fd.Unprotect(addr, uintptr(w.bytes)); err != nil {
			return err
		}
		writePages(w.now(i), value)
		if way == putAsync || way == putLifted {
			if err := w.fd.Protect(addr, uintptr(w.bytes)); err != nil {
				return err
			}
		}
	}
	return nil
}

// put is what the clock runs for.
func (w *putter) put(way string) error {
	n := uintptr(w.bytes)
	for i := range w.runs {
		addr := w.mem.Addr() + uintptr(w.at(i))
		var err error
		switch way {
		case putDiscard:
			if err = unix.Madvise(w.now(i), unix.MADV_DONTNEED); err == nil {
				_, err = w.fd.Copy(addr, w.old.Addr()+uintptr(i)*n, n, uffd.CopyWP)
			}
		case putLate:
			copy(w.now(i), w.before(i))
		case putLifted:
			if err = w.fd.Unprotect(addr, n); err != nil {
				break
			}
			fallthrough
		default:
			copy(w.now(i), w.before(i))
			err = w.fd.Protect(addr, n)
		}
		if err != nil {
			return err
		}
	}
	if way == putLate {
		return w.fd.Protect(w.mem.Addr(), uintptr(w.mem.Size()))
	}
	return nil
}

// check fails if a run is not what it was.
func (w *putter) check() error {
	for i := range w.runs {
		if !bytes.Equal(w.now(i), w.before(i)) {
			return fmt.Errorf("the run at page %d is not what it was", w.runs[i])
		}
	}
	return nil
}
