package main

import (
	"errors"
	"fmt"
	"runtime/debug"
	"strconv"
	"time"

	"github.com/cowheap/cowheap/arena"
	"github.com/cowheap/cowheap/cowheap"
)

// keptSnapshots is a heap with snapshots that stay open.
type keptSnapshots struct {
	s      *heapState
	open   []*cowheap.Snapshot
	before int64  // memory of the process before the first
	seed   uint64 // of pages that are written next
}

func (k *keptSnapshots) close() error {
	var errs []error
	for _, snap := range k.open {
		errs = append(errs, snap.Close())
	}
	return errors.Join(append(errs, k.s.close())...)
}

// write writes to pages at random, and tells how long it took.
func (k *keptSnapshots) write() (time.Duration, int, error) {
	k.seed++
	pages := anotherSample(k.seed, k.s.pages(), min(k.s.pages()/4, growthWrites))
	start := time.Now()
	err := k.s.write(pages)
	return time.Since(start), len(pages), err
}

// snapshots are the figures with so many open. Rounds begin anywhere and each goes up by
// itself, so a heap that has too many open is not the one that is needed.
func (b *growthBench) snapshots(variant string, v growthVariant, bytes int64) (Reading, error) {
	return b.batch.take(fmt.Sprintf("snapshots/%d", v.number), variant, func() (_ map[string]Reading, err error) {
		if b.kept != nil && len(b.kept.open) >= v.number {
			err = b.dropKept()
		}
		if b.kept == nil && err == nil {
			b.kept, err = newKeptSnapshots(bytes)
		}
		if err != nil {
			return nil, err
		}
		k := b.kept
		var pause time.Duration
		for len(k.open) < v.number {
			if _, _, err := k.write(); err != nil {
				return nil, err
			}
			snap, err := k.s.h.Snapshot()
			if err != nil {
				return nil, err
			}
			k.open, pause = append(k.open, snap), snap.Stats().Pause
		}
		now, err := ownMemory()
		if err != nil {
			return nil, err
		}
		preserved := k.s.h.Stats().PreservedBytes
		took, pages, err := k.write()
		number := "/" + strconv.Itoa(v.number)
		return map[string]Reading{
			growSnapshots + "/pause" + number:       {Value: float64(pause.Nanoseconds()), Bytes: bytes},
			growSnapshots + "/first-write" + number: {Value: float64(took.Nanoseconds()) / float64(pages), Bytes: bytes},
			growKept + "/userfault" + number:        {Value: float64(now-k.before-preserved) / mib, Bytes: bytes},
		}, err
	})
}

func newKeptSnapshots(bytes int64) (*keptSnapshots, error) {
	o := &cowheap.Options{Guard: arena.GuardUserfault, MaxPreserved: 4 * bytes}
	s, err := newHeapState("", bytes, o)
	if err != nil {
		return nil, err
	}
	k := &keptSnapshots{s: s}
	debug.FreeOSMemory()
	if err = errors.Join(discardSnapshot(s), s.settle()); err == nil {
		k.before, err = ownMemory()
	}
	if err != nil {
		return nil, errors.Join(err, s.close())
	}
	return k, nil
}
