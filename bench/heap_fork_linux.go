package main

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/cowheap/cowheap/arena"
	"github.com/cowheap/cowheap/cowheap"
)

// forkBench has one state at a time: a heap, or plain memory.
type forkBench struct {
	size  int64
	guard arena.Guard // of the parent
	state *heapState  // nil: none
	plain *region     // nil: none
	copy  *region     // as large, for copies; nil with plain
	value byte
	sum   byte // of what was read, so that reading is not optimized away
}

func openFork(s Setup) (Bench, error) { return &forkBench{size: s.Size}, nil }

func (b *forkBench) Close() error {
	var errs []error
	if b.state != nil {
		errs = append(errs, b.state.close())
	}
	for _, r := range []*region{b.plain, b.copy} {
		if r != nil {
			errs = append(errs, r.Unmap())
		}
	}
	b.state, b.plain, b.copy = nil, nil, nil
	return errors.Join(errs...)
}

// Measure writes to every page of the parent, takes its snapshot, and forks.
func (b *forkBench) Measure(variant string) (Reading, error) {
	way, what := cutFork(variant)
	// What was given back by the measurement before may have gone to a hypervisor.
	err := warmMemory(b.size)
	if err != nil {
		return Reading{}, err
	}
	var took time.Duration
	switch way {
	case wayProcess:
		took, err = b.process(what)
	case wayMemcpy:
		took, err = b.memcpy()
	default:
		if err = b.openHeap(way); err != nil {
			break
		}
		if what == scanLoads || what == scanReadAt {
			grown, err := b.scan(what)
			return Reading{Value: float64(grown) / mib, Bytes: b.size}, err
		}
		took, err = b.heap(what)
	}
	return Reading{Value: took.Seconds() * 1e3, Bytes: b.size}, err
}

// openPlain makes plain memory the state.
func (b *forkBench) openPlain() (err error) {
	if b.plain == nil {
		if err := b.Close(); err != nil {
			return err
		}
		if err := needMemory(2*b.size + b.size/4); err != nil {
			return err
		}
		if b.plain, err = newRegion(b.size, false); err != nil {
			return err
		}
		if b.copy, err = newRegion(b.size, false); err != nil {
			return err
		}
		writePages(b.copy.all(), b.value)
		if err := leaveOutOfForks(b.copy.all()); err != nil {
			return err
		}
	}
	b.value++
	writePages(b.plain.all(), b.value)
	return nil
}

// process: fork(2), and what the parent's writes cost while the child is there.
func (b *forkBench) process(what string) (took time.Duration, err error) {
	if err := b.openPlain(); err != nil {
		return 0, err
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if what == forkOpen {
		c, took, err := fork(childLeaves)
		if err != nil {
			return 0, err
		}
		return took, c.reap()
	}
	c, took, err := fork(childStays)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, c.kill()) }()
	if err := c.settle(); err != nil {
		return 0, err
	}
	pages, mem := b.touched(what), b.plain.all()
	writing, err := countFaults(len(pages), quiet, func() { writeScattered(mem, pages, b.value+1) })
	return took + writing, err
}

// memcpy: a copy into memory that is there.
func (b *forkBench) memcpy() (time.Duration, error) {
	if err := b.openPlain(); err != nil {
		return 0, err
	}
	start := time.Now()
	n := copy(b.copy.all(), b.plain.all())
	took := time.Since(start)
	if got := b.copy.all()[n-pageSize]; got != b.value {
		return 0, fmt.Errorf("the last page copied starts with %d, not %d", got, b.value)
	}
	return took, nil
}

// touched are the pages that are written.
func (b *forkBench) touched(what string) []uint32 {
	pages := int(b.size / pageSize)
	if what == forkTouch1 {
		return samplePages(pages, max(pages/touchedShare, 1))
	}
	return pagesInOrder(pages)
}

// openHeap makes a heap with a guard the state, with all pages written.
func (b *forkBench) openHeap(way string) error {
	guard, err := arena.ParseGuard(way)
	if err != nil {
		return err
	}
	if b.state != nil && b.guard == guard {
		return b.state.settle()
	}
	if err := b.Close(); err != nil {
		return err
	}
	// The state, the fork, and a second copy of each if the guard keeps one; with the copy
	// guard the snapshot is one.
	need := 2*b.size + b.size/4
	switch guard {
	case arena.GuardShadow:
		need += 2 * b.size
	case arena.GuardCopy:
		need += b.size
	}
	if err := needMemory(need); err != nil {
		return err
	}
	b.guard = guard
	b.state, err = newHeapState("", b.size, &cowheap.Options{Guard: guard})
	return err
}

// frozen calls act with a snapshot of the heap.
func (b *forkBench) frozen(act func(*cowheap.Snapshot) error) (err error) {
	snap, err := b.state.h.Snapshot()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, snap.Close()) }()
	return act(snap)
}

// heap forks the heap, and goes on as what says. It checks that the fork is written, and
// the parent is not.
func (b *forkBench) heap(what string) (took time.Duration, err error) {
	pages := b.touched(what)
	err = b.frozen(func(snap *cowheap.Snapshot) (err error) {
		start := time.Now()
		h, err := snap.Fork(nil)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, h.Close()) }()
		fork := &heapState{h, b.state.chunks}
		switch what {
		case forkTouch1, forkTouchAll:
			err = fork.write(pages)
		case forkPopulate:
			err = h.Populate(background)
		}
		took = time.Since(start)
		if err != nil {
			return err
		}
		return b.check(fork, what, pages)
	})
	return took, err
}

// check looks at the first and the last of the pages.
func (b *forkBench) check(fork *heapState, what string, pages []uint32) error {
	want := byte(1) // what settle leaves
	if what == forkTouch1 || what == forkTouchAll {
		want++
	}
	for _, p := range []uint32{pages[0], pages[len(pages)-1]} {
		for _, s := range []struct {
			name  string
			state *heapState
			want  byte
		}{{"the fork", fork, want}, {"the parent", b.state, 1}} {
			err := s.state.h.View(func(m *cowheap.Mem) error {
				if got := s.state.page(m, p)[0]; got != s.want {
					return fmt.Errorf("page %d of %s starts with %d, not %d", p, s.name, got, s.want)
				}
				return nil
			})
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// scan reads the state as it was at the instant, and says by how many bytes resident memory has grown.
func (b *forkBench) scan(what string) (grown int64, err error) {
	err = b.frozen(func(snap *cowheap.Snapshot) (err error) {
		buf := make([]byte, mib)
		readPages(buf) // so that it is there
		before, err := resident()
		if err != nil {
			return err
		}
		if what == scanReadAt {
			for off := int64(0); off < snap.Size(); off += mib {
				n := min(mib, snap.Size()-off)
				if _, err := snap.ReadAt(buf[:n], off); err != nil {
					return err
				}
				b.sum += readPages(buf)
			}
		} else {
			h, err := snap.Fork(nil)
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, h.Close()) }()
			fork := &heapState{h, b.state.chunks}
			err = h.View(func(m *cowheap.Mem) error {
				for p := range fork.pages() {
					b.sum += fork.page(m, uint32(p))[0]
				}
				return nil
			})
			if err != nil {
				return err
			}
		}
		after, err := resident()
		// Memory of the Go heap that was given back meanwhile is no gain of a scan.
		grown = max(after-before, 0)
		return err
	})
	return grown, err
}

// resident is how many bytes of this process are in memory, counted page by page: the quick
// counters are off by some pages a thread.
func resident() (int64, error) {
	text, err := os.ReadFile("/proc/self/smaps_rollup")
	if errors.Is(err, os.ErrNotExist) {
		err = fmt.Errorf("%w (%w)", err, errors.ErrUnsupported)
	}
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(text)) {
		if amount, ok := strings.CutPrefix(line, "Rss:"); ok {
			kib, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(amount), " kB"), 10, 64)
			return kib << 10, err
		}
	}
	return 0, errors.New("no resident memory in /proc/self/smaps_rollup")
}
