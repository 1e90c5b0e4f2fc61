package main

import (
	"errors"
	"path"
	"runtime"
	"time"

	"github.com/cowheap/cowheap/arena"
)

// faultBench has the same state several times: in an arena for each guard, made at
// first use, and in a plain region for all that does without one.
type faultBench struct {
	stage
	size    int64
	arenas  map[arena.Guard]*frozenState
	tracked *frozenState
	plain   *region
	random  []uint32 // pages to be written
	inOrder []uint32
	value   byte // written last

	maxprocs int // GOMAXPROCS before
}

func openFault(s Setup) (_ Bench, err error) {
	b := &faultBench{size: s.Size, arenas: map[arena.Guard]*frozenState{}, maxprocs: runtime.GOMAXPROCS(0)}
	defer func() {
		if err != nil {
			err = errors.Join(err, b.Close())
		}
	}()
	// A goroutine that resolves faults needs a processor of the scheduler's beside
	// the one that the writer keeps while it waits and the one that spins.
	runtime.GOMAXPROCS(max(b.maxprocs, 4))
	if b.stage, err = newStage(); err != nil {
		return nil, err
	}
	pages := int(s.Size / pageSize)
	sample := min(pages/4, maxSample)
	b.random, b.inOrder = samplePages(pages, sample), pagesInOrder(sample)
	// Two copies of the state, and what is preserved of one by either way.
	if err := warmMemory(2*s.Size + 4*int64(sample)*pageSize); err != nil {
		return nil, err
	}
	b.plain, err = newRegion(s.Size, false)
	return b, err
}

// arena is the state under a guard.
func (b *faultBench) arena(guard arena.Guard) (*frozenState, error) {
	if b.arenas[guard] == nil {
		f, err := b.newState(arena.Options{Guard: guard})
		if err != nil {
			return nil, err
		}
		b.arenas[guard] = f
	}
	return b.arenas[guard], nil
}

// newState is the state in an arena that no child gets to see.
func (b *faultBench) newState(o arena.Options) (*frozenState, error) {
	need := b.size + b.size/4
	if o.Guard == arena.GuardShadow {
		need += b.size // its own copy
	}
	if err := needMemory(need); err != nil {
		return nil, err
	}
	f, err := newFrozenState(b.size, o)
	if err != nil {
		return nil, err
	}
	if err := leaveOutOfForks(f.blocks()); err != nil {
		return nil, errors.Join(err, f.close())
	}
	return f, nil
}

func (b *faultBench) Close() error {
	runtime.GOMAXPROCS(b.maxprocs)
	var errs []error
	for _, f := range b.arenas {
		errs = append(errs, f.close())
	}
	if b.tracked != nil {
		errs = append(errs, b.tracked.close())
	}
	if b.plain != nil {
		errs = append(errs, b.plain.Unmap())
	}
	return errors.Join(errs...)
}

// Measure makes every page of the way's memory present and writable, freezes it,
// and times the first writes.
func (b *faultBench) Measure(variant string) (Reading, error) {
	way, load := path.Dir(variant), path.Base(variant)
	b.value++
	pages := b.random
	if path.Base(way) == inOrder {
		pages = b.inOrder
	}
	took, err := b.on(load, func(write timer) (time.Duration, error) {
		switch way {
		case wayPrepared:
			return b.prepared(pages, write)
		case wayTracked:
			return b.track(pages, write)
		case wayFork:
			return b.fork(pages, write)
		case wayAsync:
			return b.async(pages, write)
		case wayGoroutine:
			return b.goroutine(pages, write)
		}
		return b.guarded(path.Dir(way), pages, write)
	})
	return Reading{Value: float64(took.Nanoseconds()) / float64(len(pages)), Bytes: int64(b.plain.Size())}, err
}
