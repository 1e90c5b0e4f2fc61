package main

import (
	"errors"
	"fmt"
	"path"
	"runtime"
	"time"

	"github.com/cowheap/cowheap/arena"
)

// faultBench has the same state twice: in an arena, and in a plain region for
// all that does without one.
type faultBench struct {
	frozen  *frozenState
	tracked *frozenState // made at first use
	plain   *region
	random  []uint32 // pages to be written
	inOrder []uint32
	value   byte // written last

	procs    []int
	maxprocs int // GOMAXPROCS before
}

func openFault(s Setup) (_ Bench, err error) {
	b := &faultBench{maxprocs: runtime.GOMAXPROCS(0)}
	defer func() {
		if err != nil {
			err = errors.Join(err, b.Close())
		}
	}()
	// A goroutine that resolves faults needs a processor of the scheduler's beside
	// the one that the writer keeps while it waits and the one that spins.
	runtime.GOMAXPROCS(max(b.maxprocs, 4))
	if b.procs, err = processors(); err != nil {
		return nil, err
	}
	pages := int(s.Size / pageSize)
	sample := min(pages/4, maxSample)
	b.random, b.inOrder = samplePages(pages, sample), pagesInOrder(sample)
	// Two copies of the state, and what is preserved of one by either way.
	if err := warmMemory(2*s.Size + 4*int64(sample)*pageSize); err != nil {
		return nil, err
	}
	if b.frozen, err = newFrozenState(s.Size, arena.Options{Guard: arena.GuardUserfault}); err != nil {
		return nil, err
	}
	b.plain, err = newRegion(s.Size, false)
	return b, err
}

func (b *faultBench) Close() error {
	runtime.GOMAXPROCS(b.maxprocs)
	var errs []error
	if b.frozen != nil {
		errs = append(errs, b.frozen.close())
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
func (b *faultBench) Measure(variant string) (r Reading, err error) {
	way, load := path.Dir(variant), path.Base(variant)
	if load == loadBusy && len(b.procs) < 2 {
		return Reading{}, fmt.Errorf("%w (%w)", errOneProcessor, errors.ErrUnsupported)
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	unpin, err := pin(b.procs[len(b.procs)-1])
	if err != nil {
		return Reading{}, err
	}
	defer func() { err = errors.Join(err, unpin()) }()

	b.value++
	pages := b.random
	if way == waySequential {
		pages = b.inOrder
	}
	write := func(first func()) (time.Duration, error) { return b.time(load, first) }
	var took time.Duration
	switch way {
	case wayUserfault, waySequential:
		took, err = b.userfault(pages, write)
	case wayPrepared:
		took, err = b.prepared(pages, write)
	case wayTracked:
		took, err = b.track(pages, write)
	case wayFork:
		took, err = b.fork(pages, write)
	case wayAsync:
		took, err = b.async(pages, write)
	case wayGoroutine:
		took, err = b.goroutine(pages, write)
	}
	return Reading{Value: float64(took.Nanoseconds()) / float64(len(pages)), Bytes: int64(b.plain.Size())}, err
}

// timer takes the time of the first writes.
type timer func(first func()) (time.Duration, error)

// time calls first, with another thread running if load says so.
func (b *faultBench) time(load string, first func()) (time.Duration, error) {
	if load == loadBusy {
		s, err := spin(b.procs[0])
		if err != nil {
			return 0, err
		}
		defer s.stop()
	}
	start := time.Now()
	first()
	return time.Since(start), nil
}
