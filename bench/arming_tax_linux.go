package main

import (
	"errors"
	"fmt"
	"runtime"
	"time"

	"github.com/cowheap/cowheap/arena"
	"github.com/cowheap/cowheap/cowheap"
	"github.com/cowheap/cowheap/internal/uffd"
)

const (
	// taxBeside is how long updates are watched at least when the snapshot is gone.
	taxBeside = 200 * time.Millisecond
	// taxOpen is how long the snapshot stays from its call on, if that is longer than taxTail.
	taxOpen = traceAfter / 2
	// taxTail is how long what is frozen counts for during, once it is there.
	taxTail = 10 * time.Millisecond
)

// armingTaxBench keeps nothing open between measurements.
type armingTaxBench struct {
	size  int64
	scale time.Duration // all times are divided by it
	batch batch
}

func openArmingTax(s Setup) (Bench, error) {
	if err := uffd.HaveWriteProtect(); err != nil {
		return nil, err
	}
	b := &armingTaxBench{size: s.Size, scale: 1, batch: batch{}}
	if s.Quick {
		b.scale = quickTimes
	}
	return b, nil
}

func (b *armingTaxBench) Close() error { return nil }

// Measure watches one way once for all its variants.
func (b *armingTaxBench) Measure(variant string) (Reading, error) {
	way := taxWay(variant)
	return b.batch.take(way, variant, func() (map[string]Reading, error) { return b.watch(way) })
}

func (b *armingTaxBench) watch(way string) (_ map[string]Reading, err error) {
	o := &cowheap.Options{Guard: arena.GuardUserfault, Arming: arena.ArmAhead}
	switch way {
	case taxWholesale:
		o.Arming = arena.ArmWholesale
	case taxFork:
		o.Guard = arena.GuardCopy
	case taxCopy:
		o.Guard = arena.GuardCopy
		if err := needMemory(b.size * 9 / 4); err != nil {
			return nil, err
		}
	}
	s, err := newHeapState("", b.size, o)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	if way != taxFork {
		if err := errors.Join(discardSnapshot(s), s.settle()); err != nil {
			return nil, err
		}
	}
	runtime.LockOSThread() // for fork
	defer runtime.UnlockOSThread()
	lines := newTimelines()
	w := startWriters(s, max(runtime.GOMAXPROCS(0)-1, 1), fullSpeedAlong(lines), nil)
	w.underWay(taxBeside / 4 / b.scale)
	w.phase.Store(before)
	time.Sleep(traceBefore / b.scale)
	w.phase.Store(during)
	instant := time.Now()
	thaw, err := b.freeze(s, way)
	var until time.Time
	if err == nil {
		time.Sleep(taxTail)
		w.phase.Store(noPhase)
		time.Sleep(time.Until(instant.Add(taxOpen / b.scale)))
		until = time.Now()
		w.phase.Store(after)
		err = thaw()
		time.Sleep(max(taxBeside/b.scale, time.Until(instant.Add(traceAfter/b.scale))))
	}
	if err = errors.Join(err, w.stop()); err != nil {
		return nil, err
	}
	return taxReadings(way, w, b.size, lines.about(way, instant, until)), nil
}

// freeze freezes an instant; thaw gives up what is kept of it, and fails if writers
// had nothing to do with it.
func (b *armingTaxBench) freeze(s *heapState, way string) (thaw func() error, err error) {
	if way == taxFork {
		c, _, err := fork(childStays)
		if err != nil {
			return nil, err
		}
		return c.kill, nil
	}
	snap, err := s.h.Snapshot()
	if err != nil {
		return nil, err
	}
	return func() error {
		st := snap.Stats()
		if st.Pages == 0 {
			err = errors.New("writers went on, and no page was preserved")
		}
		if ahead := st.Arming > 0; ahead != (way == taxAhead) {
			err = errors.Join(err, fmt.Errorf("arming took %v before writers were held", st.Arming))
		}
		return errors.Join(err, snap.Close())
	}, nil
}
