package main

import (
	"encoding/binary"
	"errors"
	"math/bits"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cowheap/cowheap/cowheap"
)

// writers are goroutines that update a heap's state until they are stopped. An
// update is one Heap.Update that reads a word of a page and writes it back. Each
// writer has a word of its own in every page, so that no lock is needed.
type writers struct {
	each    []*writer
	stopped atomic.Bool
	phase   atomic.Int32 // in which what is measured now falls; noPhase: in none
	done    sync.WaitGroup
	errs    []error
}

// Phases of what happens to writers.
const (
	noPhase = iota
	before  // nothing is protected
	during  // an instant is frozen, or a checkpoint written
	after
	phases
)

// writer is one of them.
type writer struct {
	w      *writers
	state  *heapState
	choose chooser
	word   int // offset of its own in a page
	fn     func(*cowheap.Mem) error

	updates atomic.Int64
	times   [phases]latencies // by those paces that take them
	line    *timeline         // nil: not wanted
}

// pace is how a writer goes about it.
type pace func(*writer) error

// startWriters has n goroutines write, to pages of the whole state at random, or
// as the sequence says, which each enters at another place.
func startWriters(s *heapState, n int, p pace, sequence []uint32) *writers {
	w := &writers{errs: make([]error, n)}
	for i := range n {
		one := &writer{w: w, state: s, word: i * 8}
		one.choose = chooser{random: uint64(i) << 32, pages: uint64(s.pages()), sequence: sequence, next: i * len(sequence) / n}
		one.fn = one.write // made once: a closure in each update is an allocation
		w.each = append(w.each, one)
		w.done.Go(func() {
			if w.errs[i] = p(one); w.errs[i] != nil {
				w.stopped.Store(true)
			}
		})
	}
	return w
}

// stop ends them.
func (w *writers) stop() error {
	w.stopped.Store(true)
	w.done.Wait()
	return errors.Join(w.errs...)
}

// updates is how many they have done.
func (w *writers) updates() (n int64) {
	for _, one := range w.each {
		n += one.updates.Load()
	}
	return n
}

// underWay waits until each has begun, and some time more.
func (w *writers) underWay(more time.Duration) {
	for _, one := range w.each {
		for one.updates.Load() == 0 && !w.stopped.Load() {
			time.Sleep(100 * time.Microsecond)
		}
	}
	time.Sleep(more)
}

// times is what a phase's updates took, once the writers have stopped.
func (w *writers) times(phase int) *latencies {
	all := new(latencies)
	for _, one := range w.each {
		all.merge(&one.times[phase])
	}
	return all
}

// write is inside the gate.
func (w *writer) write(m *cowheap.Mem) error {
	word := w.state.page(m, w.choose.page())[w.word:]
	binary.LittleEndian.PutUint64(word, binary.LittleEndian.Uint64(word)+1)
	return nil
}

// fullSpeed updates without a pause.
func fullSpeed(w *writer) error {
	for n := int64(1); !w.w.stopped.Load(); n++ {
		if err := w.state.h.Update(w.fn); err != nil {
			return err
		}
		w.updates.Store(n)
	}
	return nil
}

// fullSpeedTimed does the same and takes the time of each update: from the end of
// the one before until its own, some 40 ns of which are the clock's. An update
// that was under way when a phase ended or began counts for during.
func fullSpeedTimed(w *writer) error {
	start, last, phase := time.Now(), time.Duration(0), w.w.phase.Load()
	w.line.from(start)
	for n := int64(1); !w.w.stopped.Load(); n++ {
		if err := w.state.h.Update(w.fn); err != nil {
			return err
		}
		now, began := time.Since(start), phase
		if phase = w.w.phase.Load(); phase != began && phase != noPhase && began != noPhase {
			began = during
		}
		w.times[began].add(now - last)
		w.line.add(last, now)
		last = now
		w.updates.Store(n)
	}
	return nil
}

// fullSpeedAlong does the same along a timeline, too.
func fullSpeedAlong(t *timelines) pace {
	return func(w *writer) error {
		w.line = t.another()
		return fullSpeedTimed(w)
	}
}

// paced does perSecond updates a second, some each millisecond, and sleeps in
// between: a quiet process. Those that are late are done at once. The time of
// each update is taken by itself.
func paced(perSecond int) pace {
	return func(w *writer) error {
		start := time.Now()
		for n := 0; !w.w.stopped.Load(); {
			since := time.Since(start)
			for due := int(since.Seconds() * float64(perSecond)); n < due; n++ {
				phase, began := w.w.phase.Load(), time.Now()
				if err := w.state.h.Update(w.fn); err != nil {
					return err
				}
				w.times[phase].add(time.Since(began))
				w.updates.Store(int64(n + 1))
			}
			time.Sleep(since.Truncate(time.Millisecond) + time.Millisecond - time.Since(start))
		}
		return nil
	}
}

// chooser says which page comes next: from a sequence over and over, or any.
type chooser struct {
	sequence []uint32 // nil: any
	next     int
	random   uint64
	pages    uint64
}

func (c *chooser) page() uint32 {
	if c.sequence == nil {
		c.random += 0x9e3779b97f4a7c15
		page, _ := bits.Mul64(scramble(c.random), c.pages)
		return uint32(page)
	}
	if c.next == len(c.sequence) {
		c.next = 0
	}
	page := c.sequence[c.next]
	c.next++
	return page
}
