package main

import (
	"errors"
	"fmt"
	"path"
	"runtime"
	"time"

	"github.com/cowheap/cowheap/arena"
	"github.com/cowheap/cowheap/internal/uffd"
)

// pauseBench has the state in every form that a variant needs, all of them at
// once so that variants can take turns: about seven times its size, and twice more
// while shadow is measured.
type pauseBench struct {
	size   int64
	quick  bool
	value  byte
	arenas map[string]*frozenState // by variant, made at first use
	plain  map[string]*region      // by "4k" and "thp"
	target *region                 // of copies
}

func openPause(s Setup) (Bench, error) {
	if err := uffd.HaveWriteProtect(); err != nil {
		return nil, err
	}
	b := &pauseBench{size: s.Size, quick: s.Quick, arenas: map[string]*frozenState{}, plain: map[string]*region{}}
	return b, warmMemory(s.Size)
}

func (b *pauseBench) Close() error {
	var errs []error
	for _, f := range b.arenas {
		errs = append(errs, f.close())
	}
	for _, r := range b.plain {
		errs = append(errs, r.Unmap())
	}
	if b.target != nil {
		errs = append(errs, b.target.Unmap())
	}
	return errors.Join(errs...)
}

// Measure writes to every page of the form that the variant is about, and
// freezes it.
func (b *pauseBench) Measure(variant string) (Reading, error) {
	if l, ok := findLoaded(variant); ok {
		return b.loaded(l)
	}
	b.value++
	var took time.Duration
	var err error
	switch pages := path.Base(variant); path.Dir(variant) {
	case "userfault", "shadow", "mprotect":
		took, err = b.snapshot(variant, pages != "4k")
	case "pagemap-scan":
		took, err = b.scan(pages)
	case "mprotect-call":
		took, err = b.mprotect(pages)
	case "ioctl":
		took, err = b.ioctl(pages)
	case "fork":
		took, err = b.fork(pages)
	case "copy":
		took, err = b.copy(pages)
	}
	return Reading{Value: float64(took.Nanoseconds()), Bytes: b.size}, err
}

func (b *pauseBench) snapshot(variant string, huge bool) (time.Duration, error) {
	f, err := b.arena(variant, huge)
	if err != nil {
		return 0, err
	}
	if err := f.settle(b.value); err != nil {
		return 0, err
	}
	s, err := f.a.Snapshot()
	if err != nil {
		return 0, err
	}
	took, err := s.Stats().Pause, s.Close()
	if f.a.Guard() == arena.GuardShadow {
		// Its second copy of the state cannot be left out of forks, so it is not kept.
		delete(b.arenas, variant)
		err = errors.Join(err, f.close())
	}
	return took, err
}

// arena is the one of a variant.
func (b *pauseBench) arena(variant string, huge bool) (_ *frozenState, err error) {
	if f := b.arenas[variant]; f != nil {
		return f, nil
	}
	if huge {
		if err := needHugePages(); err != nil {
			return nil, err
		}
	}
	guard, err := arena.ParseGuard(path.Dir(variant))
	if err != nil {
		return nil, err
	}
	// Another copy of the state, if the guard keeps one.
	if err := needMemory(b.size * 9 / 4); err != nil {
		return nil, err
	}
	f, err := newFrozenState(b.size, arena.Options{Guard: guard, HugePages: huge})
	if err != nil {
		return nil, err
	}
	if huge {
		err = checkHugePages(f.blocks())
	}
	if err == nil && variant == pauseUserfaultSteady {
		err = b.split(f)
	}
	if err == nil {
		err = leaveOutOfForks(f.blocks())
	}
	if err == nil && guard == arena.GuardShadow {
		// The first snapshot is like no other, and not each arena is there for a second round.
		var s *arena.Snapshot
		if s, err = f.a.Snapshot(); err == nil {
			err = s.Close()
		}
	}
	if err != nil {
		return nil, errors.Join(err, f.close())
	}
	b.arenas[variant] = f
	return f, nil
}

// split writes to random pages while a snapshot is open.
func (b *pauseBench) split(f *frozenState) error {
	pages := int(b.size / pageSize)
	sample := samplePages(pages, min(pages/4, splittingWrites))
	s, err := f.a.Snapshot()
	if err != nil {
		return err
	}
	writeScattered(f.bytes(), sample, b.value)
	return errors.Join(checkPreserved(s, len(sample)), s.Close())
}

// state is the plain region of one kind of pages, freshly written.
func (b *pauseBench) state(pages string) (*region, error) {
	r, huge := b.plain[pages], pages == "thp"
	if r == nil {
		if huge {
			if err := needHugePages(); err != nil {
				return nil, err
			}
		}
		var err error
		if r, err = newRegion(b.size, huge); err != nil {
			return nil, err
		}
		writePages(r.all(), b.value)
		if huge {
			err = checkHugePages(r.all())
		}
		if err == nil {
			err = leaveOutOfForks(r.all())
		}
		if err != nil {
			return nil, errors.Join(err, r.Unmap())
		}
		b.plain[pages] = r
	}
	writePages(r.all(), b.value)
	return r, nil
}

func (b *pauseBench) fork(pages string) (took time.Duration, err error) {
	r, err := b.state(pages)
	if err != nil {
		return 0, err
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := takeIntoForks(r.all()); err != nil {
		return 0, err
	}
	c, took, err := fork(childLeaves)
	if c.pid != 0 {
		err = errors.Join(err, c.reap())
	}
	return took, errors.Join(err, leaveOutOfForks(r.all()))
}

func (b *pauseBench) copy(pages string) (time.Duration, error) {
	r, err := b.state(pages)
	if err != nil {
		return 0, err
	}
	if b.target == nil {
		if b.target, err = newRegion(b.size, false); err != nil {
			return 0, err
		}
		if err := leaveOutOfForks(b.target.all()); err != nil {
			return 0, err
		}
	}
	writePages(b.target.all(), b.value)
	start := time.Now()
	n := copy(b.target.all(), r.all())
	took := time.Since(start)
	if got := b.target.all()[n-pageSize]; got != b.value {
		return 0, fmt.Errorf("the last page copied starts with %d, not %d", got, b.value)
	}
	return took, nil
}
