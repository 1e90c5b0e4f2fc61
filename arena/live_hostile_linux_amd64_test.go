package arena

import (
	"bytes"
	"errors"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// TestLiveOfMemoryThatGrows: what comes into use while Settle looks for what has come into use is there.
func TestLiveOfMemoryThatGrows(t *testing.T) {
	var gate sync.RWMutex
	a, b := liveArena(t, Options{MaxSize: 1 << 30, Hold: func() (func(), error) {
		gate.Lock()
		return gate.Unlock, nil
	}}, 64<<20)
	fillWith(b, 1)
	most := uint64(512 << 20) // of which the test has three copies
	if testing.Short() {
		most = 256 << 20
	}
	var stop atomic.Bool
	var wg sync.WaitGroup
	defer wg.Wait()
	defer stop.Store(true)
	wg.Go(func() {
		for !stop.Load() && a.High() < most {
			gate.RLock()
			off, err := a.Alloc(40<<10, 0)
			if err == nil {
				m := a.mem.Bytes(off, 40<<10)
				for i := 0; i < len(m); i += pageSize {
					m[i] = 77
				}
			}
			gate.RUnlock()
			if err != nil {
				t.Error(err)
				return
			}
			for now := time.Now(); time.Since(now) < 100*time.Microsecond; {
				runtime.Gosched()
			}
		}
	})
	settled, not := 0, 0
	for round := 0; a.High() < most && !t.Failed(); round++ {
		got, want, err := liveRound(t, a, 2<<20)
		switch {
		case errors.Is(err, ErrUnsettled):
			not++
		case err != nil:
			t.Fatal(err)
		case !bytes.Equal(got, want):
			t.Errorf("round %d, after %d that settled: of %d bytes %d differ", round, settled, len(want), differing(got, want)*pageSize)
		default:
			settled++
		}
	}
	t.Logf("%d settled, %d not", settled, not)
}

// differing is how many pages do.
func differing(a, b []byte) (pages int) {
	for i := 0; i < len(a) && i < len(b); i += pageSize {
		if !bytes.Equal(a[i:i+pageSize], b[i:i+pageSize]) {
			pages++
		}
	}
	return pages
}

// TestLiveHoldsWritersNotForLong: who writes much before writers are held is the end of it, not a long pause.
func TestLiveHoldsWritersNotForLong(t *testing.T) {
	var b []byte
	late := false
	a, b := liveArena(t, Options{MaxSize: 1 << 30, Hold: func() (func(), error) {
		if late { // an Update that was running when the gate began to close
			for i := 0; i < len(b); i += pageSize {
				b[i]++
			}
		}
		return func() {}, nil
	}}, 64<<20)
	fillWith(b, 1)
	l := beginLive(t, a)
	if _, err := readLive(l, 2<<20, func() {}); err != nil {
		t.Fatal(err)
	}
	late = true
	s, err := l.Settle(t.Context(), func() error { return nil })
	late = false
	if !errors.Is(err, ErrBusy) {
		t.Errorf("%v: %d pages kept, writers held for %v", err, s.Pages, s.Pause)
	}
}

// TestLiveThatFailedStaysSo: what it had protected again it had not kept.
func TestLiveThatFailedStaysSo(t *testing.T) {
	a, b := liveArena(t, Options{MaxPreserved: 300 * pageSize}, 8<<20)
	l := beginLive(t, a)
	content, err := readLive(l, 1<<20, func() {})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 400 {
		b[i*pageSize]++
	}
	for range 2 {
		if _, err := l.Settle(t.Context(), func() error { return nil }); !errors.Is(err, ErrBusy) {
			t.Error(err)
		}
		if _, err := l.ReadAt(content[:1<<20], 0); !errors.Is(err, ErrBusy) {
			t.Error("reading:", err)
		}
	}
	if s := a.Stats(); s.Unsettled != 1 {
		t.Errorf("%d did not settle", s.Unsettled)
	}
}

// TestComesBackLater: a shortage of mappings that passes does no harm.
func TestComesBackLater(t *testing.T) {
	if maxMappings() > 200_000 {
		t.Skip("so many mappings take too long")
	}
	a, b := liveArena(t, Options{MaxSize: 1 << 30}, 128<<20)
	fillWith(b, 1)
	snapshot(t, a).Close() // everything has been used once
	beginLive(t, a).Close()
	take := takeMappings(t, 0)
	s, err := a.Snapshot()
	take.release(t)
	if err == nil {
		s.Close()
		t.Skip("there was a mapping left")
	}
	t.Log("without a mapping left:", err)
	was := bytes.Clone(b)
	s = snapshot(t, a)
	defer s.Close()
	for i := 0; i < len(b); i += 16 * pageSize {
		b[i] = 9
	}
	got := make([]byte, s.Size())
	if _, err := s.ReadAt(got, 0); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got[len(got)-len(was):], was) {
		t.Error("the snapshot is not what it was")
	}
}

// TestPinWhileMemoryGoesAway: what has not gone over yet may be protected, as the last snapshot has left it.
func TestPinWhileMemoryGoesAway(t *testing.T) {
	a, b := liveArena(t, Options{MaxSize: 1 << 30}, 256<<20)
	fillWith(b, 1)
	base := a.High() - uint64(len(b))
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	for round := range 20 {
		snapshot(t, a).Close()
		var begun, stop atomic.Bool
		var wg sync.WaitGroup
		wg.Go(func() {
			defer begun.Store(true)
			for page := len(b)/pageSize - 1 - 16*round; page > 0 && !stop.Load(); page -= 16 {
				at := uint64(page) * pageSize
				unpin, err := a.Pin(base+at, 1)
				if err != nil {
					t.Error(err)
					return
				}
				if _, err := w.Write([]byte{2}); err != nil {
					t.Error(err)
				}
				n, err := r.Read(b[at : at+1])
				unpin()
				begun.Store(true)
				if err != nil {
					t.Errorf("round %d, page %d is pinned: %d, %v", round, page, n, err)
					return
				}
			}
		})
		for !begun.Load() {
			runtime.Gosched()
		}
		l := beginLive(t, a)
		stop.Store(true)
		wg.Wait()
		l.Close()
		if t.Failed() {
			return
		}
	}
}
