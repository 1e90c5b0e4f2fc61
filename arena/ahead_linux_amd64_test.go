package arena

import (
	"bytes"
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cowheap/cowheap/internal/trap"
)

func TestSnapshotMayBeStreamedTwiceAtOnce(t *testing.T) {
	a := userfaultArena(t, Options{Preserving: PreserveAhead})
	b := alloc(t, a, 32<<20)
	fill(b, 1)
	s := snapshot(t, a)
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			defer s.Stream(t.Context()).Stop()
			content(t, s)
		})
	}
	wg.Wait()
	s.Close()
}

// A snapshot is given up while it is decided whether to preserve it ahead.
func TestSnapshotMayBeGivenUpWhileStreamed(t *testing.T) {
	a := userfaultArena(t, Options{FaultPages: 1, MaxPreserved: 64 * pageSize})
	b := alloc(t, a, 1000*pageSize)
	for range 300 {
		s := snapshot(t, a)
		var stop atomic.Bool
		var wg sync.WaitGroup
		wg.Go(func() {
			for !stop.Load() {
				s.h.ahead(t.Context(), s.h.plan())
			}
		})
		fill(b, 1)
		for {
			if _, err := s.ReadAt(make([]byte, 1), 0); errors.Is(err, ErrOverrun) {
				break
			}
		}
		stop.Store(true)
		wg.Wait()
		s.Close()
	}
}

// heldStream is a snapshot whose writers are busy, and taken to be worth holding until all of it is copied.
// atSlice runs when they are held for the nth time.
func heldStream(t *testing.T, atSlice func(n int)) (a *Arena, st *Stream, c *copying) {
	n := 0
	slice := func() {}
	a = userfaultArena(t, Options{
		MaxSize: 128 << 20,
		Hold: func() (func(), error) {
			slice()
			return func() {}, nil
		},
	})
	fill(alloc(t, a, 64<<20), 1)
	s := snapshot(t, a)
	t.Cleanup(func() { s.Close() })
	slice = func() {
		n++
		atSlice(n)
	}
	c = &s.h.f.(*layer).copying
	c.lost = 1 << 50
	c.spell = spell{held: time.Hour, meant: time.Hour}
	return a, &Stream{s: s, stop: func() {}}, c
}

// Whoever reads waits until the copying with writers held is done, not between two slices.
func TestStreamIsNotReadWhileWritersAreHeld(t *testing.T) {
	var reader sync.WaitGroup
	var st *Stream
	var c *copying
	slices := 0
	_, st, c = heldStream(t, func(n int) {
		if slices = n; n != 2 {
			return
		}
		reader.Go(func() {
			got := make([]byte, st.Size())
			if _, err := st.ReadAt(got, 0); err != nil {
				t.Error(err)
			}
			if at := c.next.Load(); at < c.total {
				t.Errorf("read when %d bytes of %d were copied", at, c.total)
			}
			if !bytes.Equal(got, content(t, st.s)) {
				t.Error("the stream is not the snapshot")
			}
		})
	})
	if again := st.ahead(t.Context()); again >= 0 {
		t.Errorf("not done: again in %v", again)
	}
	reader.Wait()
	if slices < 2 {
		t.Skip("all was copied in one slice")
	}
}

// Whatever ends the copying lets readers on.
func TestStreamIsReadOnWhenCopyingEnds(t *testing.T) {
	for name, end := range map[string]func(a *Arena, s *Snapshot, cancel func()){
		"context":  func(_ *Arena, _ *Snapshot, cancel func()) { cancel() },
		"snapshot": func(_ *Arena, s *Snapshot, _ func()) { s.Close() },
		"arena":    func(a *Arena, _ *Snapshot, _ func()) { a.Close() },
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			var others sync.WaitGroup
			var a *Arena
			var st *Stream
			a, st, _ = heldStream(t, func(n int) {
				if n != 2 {
					return
				}
				others.Go(func() { end(a, st.s, cancel) })
				others.Go(func() {
					if _, err := st.ReadAt(make([]byte, 1), 0); err != nil && !errors.Is(err, ErrClosed) {
						t.Error(err)
					}
				})
			})
			st.ahead(ctx)
			others.Wait()
			if !st.reading.TryLock() {
				t.Error("readers wait for ever")
			}
		})
	}
}

// TestWhoPreservesAhead is what is decided on, window by window of what writers lose.
func TestWhoPreservesAhead(t *testing.T) {
	clock := clock{trap.Ticks(), time.Now()}
	time.Sleep(20 * time.Millisecond) // it knows its rate then
	perLook := uint64(float64(aheadWindow) * 1.2 * float64(trap.Ticks()-clock.ticks) / float64(time.Since(clock.at)))
	const large, small = 100, 1 // what copying everything takes, in windows
	for _, c := range []struct {
		what           string
		all            uint64
		before, sliced bool      // writers were busy; held for slices while it was armed
		shares         []float64 // of one processor
		begun, after   bool      // in the end
		copied         int       // looks at which there was something to copy, the first of all included
	}{
		{"nobody writes", small, false, false, []float64{0, 0, 0}, false, false, 0},
		{"writers are busy", small, false, false, []float64{0.9, 0.9, 0.9}, true, true, 3},
		{"a burst", large, false, false, []float64{0.9, 0.9, 0.1}, false, false, 0},
		{"much to copy", large, false, false, []float64{0.9, 0.9, 0.9, 0.9, 0.9, 0.9}, true, true, 2},
		{"busy again", large, true, false, []float64{0.9, 0.9, 0.9}, true, true, 3},
		{"busy again, and held", large, true, true, []float64{0.9}, true, true, 2},
		{"held for the first time", large, false, true, []float64{0.9}, false, false, 0},
		{"busy before, nobody now", large, true, false, []float64{0, 0, 0}, false, false, 0},
		{"busy before, not much now", large, true, false, []float64{0.3, 0.3, 0.3}, false, false, 0},
		{"busy before, a burst now", large, true, false, []float64{0.7, 0.1, 0}, false, false, 0},
		{"busy, and then no more", small, false, false, []float64{0.9, 0.9, 0.9, 0}, true, true, 4},
		{"long, but not much", small, false, false, []float64{0.3, 0.3, 0.3, 0.3, 0.3}, true, false, 2},
	} {
		var before atomic.Bool
		before.Store(c.before)
		var copying copying
		copying.sliced = c.sliced
		copied := 0
		at := spent{1, 1}
		look := func() {
			copying.decide(at, clock, c.all*perLook, &before, false)
			if copying.begun {
				copied++
			}
		}
		look()
		for _, share := range c.shares {
			at.ticks += perLook
			at.resolver += uint64(share * float64(perLook))
			look()
		}
		if copying.begun != c.begun || before.Load() != c.after || copied != c.copied {
			t.Errorf("%s: begun %v, busy %v, copied at %d looks; want %v, %v, %d",
				c.what, copying.begun, before.Load(), copied, c.begun, c.after, c.copied)
		}
	}
}
