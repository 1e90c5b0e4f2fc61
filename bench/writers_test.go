package main

import (
	"encoding/binary"
	"errors"
	"testing"
	"time"

	"github.com/cowheap/cowheap/arena"
	"github.com/cowheap/cowheap/cowheap"
)

// newTestState is a small state that nothing protects.
func newTestState(t *testing.T) *heapState {
	t.Helper()
	s, err := newHeapState("", minSize, &cowheap.Options{Guard: arena.GuardCopy})
	if errors.Is(err, arena.ErrNotSupported) || errors.Is(err, errors.ErrUnsupported) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// TestWritersWriteWhatTheyCount: words of all pages add up to the updates, whatever the pace.
func TestWritersWriteWhatTheyCount(t *testing.T) {
	for name, p := range map[string]pace{"full speed": fullSpeed, "timed": fullSpeedTimed, "paced": paced(100_000)} {
		t.Run(name, func(t *testing.T) {
			s := newTestState(t)
			clearWords(t, s)
			w := startWriters(s, 3, p, nil)
			w.phase.Store(before)
			w.underWay(0)
			w.phase.Store(during)
			for at := w.updates(); w.updates() < at+1000; {
				time.Sleep(time.Millisecond)
			}
			w.phase.Store(after)
			if err := w.stop(); err != nil {
				t.Fatal(err)
			}
			sum := uint64(0)
			err := s.h.View(func(m *cowheap.Mem) error {
				for i := range s.pages() {
					for word := range 3 {
						sum += binary.LittleEndian.Uint64(s.page(m, uint32(i))[word*8:])
					}
				}
				return nil
			})
			if err != nil || sum != uint64(w.updates()) {
				t.Errorf("%d updates left %d behind, error %v", w.updates(), sum, err)
			}
			if name == "full speed" {
				return
			}
			taken := int64(0)
			for phase := range phases {
				taken += w.times(phase).number
			}
			if taken != w.updates() || w.times(during).number < 900 {
				t.Errorf("of %d updates the time of %d was taken, of %d in the middle", w.updates(), taken, w.times(during).number)
			}
		})
	}
}

// clearWords takes away what settle has written.
func clearWords(t *testing.T, s *heapState) {
	t.Helper()
	if err := s.h.Update(func(m *cowheap.Mem) error {
		for i := range s.pages() {
			clear(s.page(m, uint32(i)))
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
}

func TestWritersThatFailDoNotKeepAnybodyWaiting(t *testing.T) {
	s := newTestState(t)
	broken := errors.New("broken")
	w := startWriters(s, 2, func(*writer) error { return broken }, nil)
	w.underWay(0)
	if err := w.stop(); !errors.Is(err, broken) {
		t.Errorf("error %v", err)
	}
}

func TestPagesOfAStateAreDistinct(t *testing.T) {
	s := newTestState(t)
	seen := map[uintptr]bool{}
	if err := s.h.View(func(m *cowheap.Mem) error {
		for i := range s.pages() {
			p := s.page(m, uint32(i))
			if len(p) != pageSize || seen[addressOf(p)] || p[0] != 1 {
				t.Fatalf("page %d: %d bytes, first %d, seen before: %v", i, len(p), p[0], seen[addressOf(p)])
			}
			seen[addressOf(p)] = true
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	all, err := s.addresses()
	if err != nil || len(all) != minSize/mib {
		t.Fatalf("%d chunks, error %v", len(all), err)
	}
	for i, a := range all {
		if !seen[a] || !seen[a+mib-pageSize] {
			t.Errorf("chunk %d does not begin and end with a page", i)
		}
	}
}
