package main

import (
	"errors"
	"fmt"
	"runtime"
	"time"

	"github.com/cowheap/cowheap/arena"
	"github.com/cowheap/cowheap/cowheap"
)

// loadedFor is how long writers write before the instant.
const loadedFor = 20 * time.Millisecond

// loaded measures one variant once.
func (b *pauseBench) loaded(l loadedPause) (r Reading, err error) {
	size := l.bytes(b.quick)
	s, err := newHeapState("", size, l.options())
	if err != nil {
		return Reading{}, err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	var took time.Duration
	if l.way == wayFork4K {
		took, err = forkUnderLoad(s)
	} else {
		took, err = l.snapshot(s)
	}
	return Reading{Value: float64(took.Nanoseconds()), Bytes: size}, err
}

func (l loadedPause) options() *cowheap.Options {
	switch l.way {
	case wayWholesale4K:
		return &cowheap.Options{Guard: arena.GuardUserfault, Arming: arena.ArmWholesale}
	case wayTracked4K:
		return &cowheap.Options{Guard: arena.GuardUserfault, Track: true}
	case wayFork4K:
		return &cowheap.Options{Guard: arena.GuardCopy}
	}
	return &cowheap.Options{Guard: arena.GuardUserfault}
}

// snapshot takes one while goroutines write, and says how long they were held.
func (l loadedPause) snapshot(s *heapState) (time.Duration, error) {
	if err := discardSnapshot(s); err != nil {
		return 0, err
	}
	pages := s.pages()
	var written []uint32 // nil: any of them
	if l.way == wayTracked4K {
		written = samplePages(pages, pages/trackedShare)
		if err := s.write(written); err != nil {
			return 0, err
		}
	} else if err := s.settle(); err != nil {
		return 0, err
	}

	w := startWriters(s, runtime.GOMAXPROCS(0), fullSpeed, written)
	w.underWay(loadedFor)
	snap, err := s.h.Snapshot()
	if err = errors.Join(err, w.stop()); snap == nil {
		return 0, err
	}
	st := snap.Stats()
	return st.Pause, errors.Join(err, l.check(st, pages), snap.Close())
}

// discardSnapshot takes one that nobody writes during, so that whatever is done
// once for each heap has been done.
func discardSnapshot(s *heapState) error {
	snap, err := s.h.Snapshot()
	if err != nil {
		return err
	}
	return snap.Close()
}

// check fails if the pages were not protected in the way that the name says.
func (l loadedPause) check(st cowheap.SnapshotStats, pages int) error {
	switch all, again := int64(pages), st.Reprotected+st.Held; {
	case st.Bytes < all*pageSize:
		return fmt.Errorf("a snapshot of %d bytes has %d", all*pageSize, st.Bytes)
	case l.way == wayWholesale4K && st.Held < all:
		return fmt.Errorf("%d of %d pages were protected while writers were held", st.Held, all)
	case l.way == wayTracked4K && (again < all/trackedShare || again > all/2):
		return fmt.Errorf("%d of %d pages were protected again, of which %d had been written", again, all, all/trackedShare)
	}
	return nil
}

// forkUnderLoad forks while goroutines write, and says how long the call took.
func forkUnderLoad(s *heapState) (time.Duration, error) {
	return forkUnderWriters(s, runtime.GOMAXPROCS(0))
}

// forkUnderWriters does so with n of them.
func forkUnderWriters(s *heapState, n int) (time.Duration, error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	w := startWriters(s, n, fullSpeed, nil)
	w.underWay(loadedFor)
	c, took, err := fork(childLeaves)
	err = errors.Join(err, w.stop())
	if c.pid != 0 {
		err = errors.Join(err, c.reap())
	}
	return took, err
}
