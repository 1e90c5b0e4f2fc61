package arena

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cowheap/cowheap/internal/uffd"
)

// liveArena is one on which Live works, with so many bytes in use at b.
func liveArena(t *testing.T, o Options, size uint64) (a *Arena, b []byte) {
	t.Helper()
	for _, have := range []func() error{probeUserfault, uffd.HaveWPAsync, uffd.HavePagemapScan} {
		if err := have(); err != nil {
			t.Skip(err)
		}
	}
	o.Guard = GuardUserfault
	a = newArena(t, o)
	return a, alloc(t, a, size)
}

func beginLive(t *testing.T, a *Arena) *Live {
	t.Helper()
	l, err := a.Live()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	return l
}

// liveRound reads a Live in pieces of n bytes, and answers what it settled on, and what that should be.
func liveRound(t *testing.T, a *Arena, n int) (got, want []byte, err error) {
	t.Helper()
	l := beginLive(t, a)
	content, err := readLive(l, n, func() {})
	if err == nil {
		got, err = settle(l, content, func() error {
			want = bytes.Clone(a.mem.Bytes(0, a.High()))
			return nil
		})
	}
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	return got, want, err
}

// TestLiveIsOneInstant: what was read and what Settle gives are the memory at the instant, while
// goroutines write through a gate, in old memory and in new.
func TestLiveIsOneInstant(t *testing.T) {
	var gate sync.RWMutex
	a, b := liveArena(t, Options{MaxSize: 256 << 20, Hold: func() (func(), error) {
		gate.Lock()
		return gate.Unlock, nil
	}}, 40<<20)
	var stop atomic.Bool
	var wg sync.WaitGroup
	for k := range 3 {
		wg.Go(func() {
			rng := rand.New(rand.NewPCG(uint64(k), 1))
			for !stop.Load() {
				gate.RLock()
				*wordAt(b, rng.IntN(len(b)/3/8)*24+8*k)++
				if k == 0 && rng.IntN(50) == 0 && a.High() < 200<<20 {
					off, err := a.Alloc(1+rng.Uint64N(9000), 0)
					if err != nil {
						t.Error(err)
					} else {
						fillWith(a.mem.Bytes(off, 1), 77)
					}
				}
				gate.RUnlock()
				time.Sleep(200 * time.Microsecond)
			}
		})
	}
	settled := 0
	for round := range 60 {
		got, want, err := liveRound(t, a, 128<<10)
		if errors.Is(err, ErrUnsettled) {
			continue
		}
		settled++
		if err != nil || !bytes.Equal(got, want) {
			t.Fatalf("round %d: %v, %d bytes, want %d", round, err, len(got), len(want))
		}
		if round%5 == 0 { // and snapshots are what they were
			s := snapshot(t, a)
			time.Sleep(time.Millisecond)
			first, second := make([]byte, s.Size()), make([]byte, s.Size())
			for _, p := range [][]byte{first, second} {
				if _, err := s.ReadAt(p, 0); err != nil {
					t.Fatal(err)
				}
				time.Sleep(time.Millisecond)
			}
			if !bytes.Equal(first, second) {
				t.Fatal("a snapshot after a live one changes")
			}
			s.Close()
		}
	}
	stop.Store(true)
	wg.Wait()
	if s := a.Stats(); settled == 0 || int(s.Lives) != settled || s.LivePages == 0 {
		t.Errorf("%d settled, stats say %d with %d pages", settled, s.Lives, s.LivePages)
	}
}

// TestLiveEnds: what makes it wrong ends it, and says so.
func TestLiveEnds(t *testing.T) {
	for name, end := range map[string]func(t *testing.T, a *Arena){
		"snapshot": func(t *testing.T, a *Arena) { snapshot(t, a).Close() },
		"trim":     func(t *testing.T, a *Arena) { trim(t, a) },
		"snapshot and another live": func(t *testing.T, a *Arena) {
			snapshot(t, a).Close()
			beginLive(t, a)
		},
	} {
		t.Run(name, func(t *testing.T) {
			a, b := liveArena(t, Options{}, 8<<20)
			fillWith(b, 1)
			l := beginLive(t, a)
			if _, err := l.ReadAt(make([]byte, 1<<20), 0); err != nil {
				t.Fatal(err)
			}
			end(t, a)
			if _, err := l.ReadAt(make([]byte, 1<<20), 1<<20); !errors.Is(err, ErrUnsettled) {
				t.Errorf("reading on: %v", err)
			}
			if _, err := l.Settle(t.Context(), func() error { return nil }); !errors.Is(err, ErrUnsettled) {
				t.Errorf("settling: %v", err)
			}
			if s := a.Stats(); s.Lives != 0 || s.Unsettled != 1 {
				t.Errorf("stats: %d settled, %d not", s.Lives, s.Unsettled)
			}
		})
	}
	t.Run("close", func(t *testing.T) {
		a, _ := liveArena(t, Options{}, 8<<20)
		l := beginLive(t, a)
		if err := a.Close(); err != nil {
			t.Fatal(err)
		}
		if _, err := l.ReadAt(make([]byte, 1<<20), 0); !errors.Is(err, ErrClosed) {
			t.Errorf("reading: %v", err)
		}
		if _, err := l.Settle(t.Context(), func() error { return nil }); !errors.Is(err, ErrClosed) {
			t.Errorf("settling: %v", err)
		}
	})
}

// TestLiveIsRefused where it could not be right, or not be worth it.
func TestLiveIsRefused(t *testing.T) {
	refused := func(t *testing.T, a *Arena) {
		t.Helper()
		if _, err := a.Live(); !errors.Is(err, ErrUnsettled) {
			t.Errorf("%v, want ErrUnsettled", err)
		} else {
			t.Log(err)
		}
	}
	for _, g := range guards(t) {
		if g != GuardUserfault {
			refused(t, newArena(t, Options{Guard: g}))
		}
	}
	a, _ := liveArena(t, Options{Track: true}, 8<<20)
	refused(t, a)
	a, _ = liveArena(t, Options{}, 8<<20)
	s := snapshot(t, a)
	refused(t, a)
	s.Close()
	l := beginLive(t, a)
	refused(t, a)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	beginLive(t, a).Close()
	a.Close()
	if _, err := a.Live(); !errors.Is(err, ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
}

// TestLiveGivesUp where writers write more than can be kept, and where the instant's own work fails.
func TestLiveGivesUp(t *testing.T) {
	a, b := liveArena(t, Options{MaxPreserved: 300 * pageSize}, 8<<20)
	for _, pages := range []int{200, 400} {
		l := beginLive(t, a)
		content, err := readLive(l, 1<<20, func() {})
		if err != nil {
			t.Fatal(err)
		}
		for i := range pages {
			b[i*pageSize]++
		}
		want := bytes.Clone(a.mem.Bytes(0, a.High()))
		got, err := settle(l, content, func() error { return nil })
		if pages > 300 {
			if !errors.Is(err, ErrUnsettled) {
				t.Errorf("%d pages with room for 300: %v", pages, err)
			}
		} else if err != nil || !bytes.Equal(got, want) {
			t.Errorf("%d pages: %v", pages, err)
		}
		l.Close()
	}
	l := beginLive(t, a)
	if _, err := readLive(l, 1<<20, func() {}); err != nil {
		t.Fatal(err)
	}
	own := errors.New("of the caller")
	if _, err := l.Settle(t.Context(), func() error { return own }); err != own {
		t.Errorf("%v, want the caller's error", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := l.Settle(ctx, func() error { return nil }); !errors.Is(err, context.Canceled) {
		t.Errorf("%v, want Canceled", err)
	}
}

// TestLiveLetsSystemCallsWrite: also where a snapshot has left protection, and while the memory changes over.
func TestLiveLetsSystemCallsWrite(t *testing.T) {
	a, b := liveArena(t, Options{}, 8<<20)
	fillWith(b, 1)
	off := a.High() - 8<<20
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	write := func(page int, v byte) {
		t.Helper()
		at := uint64(page) * pageSize
		if err := a.PrepareWrite(off+at, 1); err != nil {
			t.Fatal(err)
		}
		unpin, err := a.Pin(off+at, 1)
		if err != nil {
			t.Fatal(err)
		}
		defer unpin()
		if _, err := w.Write([]byte{v}); err != nil {
			t.Fatal(err)
		}
		if n, err := r.Read(b[at : at+1]); n != 1 || err != nil {
			t.Fatal(n, err)
		}
	}
	s := snapshot(t, a)
	write(3, 2)
	s.Close()
	l := beginLive(t, a)
	content, err := readLive(l, 1<<20, func() {})
	if err != nil {
		t.Fatal(err)
	}
	write(4, 3)
	got, err := settle(l, content, func() error { return nil })
	if err != nil || !bytes.Equal(got, a.mem.Bytes(0, a.High())) {
		t.Errorf("%v; page 4 is %d", err, b[4*pageSize])
	}
	s = snapshot(t, a)
	defer s.Close()
	write(4, 4)
	var was [1]byte
	if _, err := s.ReadAt(was[:], int64(off+4*pageSize)); err != nil || was[0] != 3 {
		t.Errorf("the snapshot has %d, %v; want 3", was[0], err)
	}
}
