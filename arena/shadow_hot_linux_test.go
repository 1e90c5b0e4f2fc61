//go:build linux

package arena

import (
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
)

// hotArena has so many pages, of which the first snapshot has been taken.
func hotArena(t *testing.T, pages int) (a *Arena, b []byte) {
	t.Helper()
	return hotArenaArming(t, pages, ArmWholesale)
}

func hotArenaArming(t *testing.T, pages int, arming Arming) (a *Arena, b []byte) {
	t.Helper()
	a = shadowArena(t, Options{MaxSize: 256 << 20, MaxPreserved: 1 << 30, Arming: arming})
	b = alloc(t, a, uint64(pages)*pageSize)
	fill(b, 1)
	snapshot(t, a)
	return a, b
}

// frame writes to pages, and compares the snapshot that it takes then.
func frame(t *testing.T, a *Arena, b []byte, pages []int) *Snapshot {
	t.Helper()
	for _, p := range pages {
		b[p*pageSize+p%pageSize]++
	}
	want := live(a)
	s := snapshot(t, a)
	if page := differ(content(t, s), want); page >= 0 {
		t.Fatalf("page %d of the snapshot differs", page)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if err := a.guard.(*shadow).audit(); err != nil {
		t.Fatal(err)
	}
	return s
}

// heat writes to pages until they are those that are left open.
func heat(t *testing.T, a *Arena, b []byte, pages []int) {
	t.Helper()
	for range 4 {
		frame(t, a, b, pages).Close()
	}
	if n := a.Stats().HotPages; n != int64(len(pages)) {
		t.Fatalf("%d pages are hot, want %d", n, len(pages))
	}
}

// every is each nth of so many pages.
func every(nth, pages int) (list []int) {
	for p := 0; p < pages; p += nth {
		list = append(list, p)
	}
	return list
}

// What every frame writes is left open, and what is written no more is protected again, without
// a page that a snapshot keeps for nothing.
func TestShadowLeavesHotPagesOpen(t *testing.T) {
	a, b := hotArena(t, 4000)
	hot := every(40, 4000)
	for range 5 {
		frame(t, a, b, hot)
	}
	if s := a.Stats(); s.HotPages != int64(len(hot)) || s.Dirty != int64(len(hot)) {
		t.Errorf("%d pages are hot and %d unprotected, want %d", s.HotPages, s.Dirty, len(hot))
	}
	// A few others are found beside them.
	for _, p := range []int{1, 2, 3, 1001, 3999} {
		frame(t, a, b, append(hot[:len(hot):len(hot)], p))
	}
	if s := a.Stats(); s.HotPages != int64(len(hot)) {
		t.Errorf("%d pages are hot, want %d", s.HotPages, len(hot))
	}
	// Half of them come to rest.
	for range 3 {
		frame(t, a, b, hot[:50])
	}
	if s := a.Stats(); s.HotPages != 50 || s.Dirty != 50 {
		t.Errorf("%d pages are hot and %d unprotected, want 50", s.HotPages, s.Dirty)
	}
	for range 3 {
		if n := frame(t, a, b, nil).Stats().Pages; n != 0 {
			t.Errorf("nothing was written, and %d pages were copied", n)
		}
	}
	if s := a.Stats(); s.HotPages != 0 || s.Dirty != 0 {
		t.Errorf("nothing was written: %d pages are hot, %d unprotected", s.HotPages, s.Dirty)
	}
}

// Pages written at random are not left open, however often two frames have one in common.
func TestShadowLeavesRandomPagesProtected(t *testing.T) {
	a, b := hotArena(t, 4000)
	rng := rand.New(rand.NewPCG(1, 2))
	for range 30 {
		var pages []int
		for range 400 {
			pages = append(pages, rng.IntN(4000))
		}
		frame(t, a, b, pages)
		if s := a.Stats(); s.HotPages != 0 {
			t.Fatalf("%d pages are hot", s.HotPages)
		}
	}
	if g := a.guard.(*shadow); g.mode != byProtecting {
		t.Errorf("mode %d", g.mode)
	}
}

// Half of the pages in every frame: better left open than all copied.
func TestShadowLeavesHalfOpen(t *testing.T) {
	a, b := hotArena(t, 2000)
	g := a.guard.(*shadow)
	rng := rand.New(rand.NewPCG(1, 2))
	for range 5 { // at random: that is no habit
		var pages []int
		for range 2000 {
			pages = append(pages, rng.IntN(2000))
		}
		frame(t, a, b, pages).Close()
	}
	if g.mode != byCopying {
		t.Fatalf("mode %d with two thirds written at random", g.mode)
	}
	half := every(2, 2000)
	for range 3*copyingFor + 2*steadyFor {
		frame(t, a, b, half).Close()
	}
	if s := a.Stats(); g.mode != byProtecting || s.HotPages != int64(len(half)) {
		t.Errorf("mode %d, %d hot pages", g.mode, s.HotPages)
	}
}

// Where none may be left open, half of the pages in every frame are reason to copy all.
func TestShadowCopiesAllWhereNothingMayBeLeftOpen(t *testing.T) {
	half := every(2, 2000)
	t.Run("arming ahead", func(t *testing.T) {
		a, b := hotArenaArming(t, 2000, ArmAhead)
		for range 5 {
			frame(t, a, b, half).Close()
		}
		if g := a.guard.(*shadow); g.mode != byCopying {
			t.Errorf("mode %d", g.mode)
		}
	})
	t.Run("too many", func(t *testing.T) {
		a, b := hotArena(t, 2000)
		g := a.guard.(*shadow)
		for range 5 {
			g.pageNs = float64(wholeFor) / 500
			frame(t, a, b, half).Close()
		}
		if s := a.Stats(); g.mode != byCopying || s.HotPages != 0 {
			t.Errorf("mode %d, %d hot pages", g.mode, s.HotPages)
		}
	})
}

// Nothing is hot any more when all is copied.
func TestShadowForgetsHotPagesWhenItCopiesAll(t *testing.T) {
	a, b := hotArena(t, 2000)
	g := a.guard.(*shadow)
	heat(t, a, b, every(1, 700))
	for range 3 {
		frame(t, a, b, every(1, 2000)).Close()
	}
	if s := a.Stats(); g.mode != byCopying || s.HotPages != 0 {
		t.Errorf("mode %d, %d hot pages", g.mode, s.HotPages)
	}
}

// Many hot pages that come to rest one beside another are protected again soon.
func TestShadowManyHotPagesComeToRest(t *testing.T) {
	a, b := hotArena(t, 8000)
	hot := every(4, 8000)
	heat(t, a, b, hot)
	for range 3 {
		frame(t, a, b, nil).Close()
	}
	if n := a.Stats().HotPages; n != 0 {
		t.Errorf("%d pages are hot that nobody has written three times", n)
	}
}

// So many others at once are not protected one run at a time.
func TestShadowProtectsAllWhereManyOthersAreWritten(t *testing.T) {
	a, b := hotArena(t, 12000)
	hot := every(4, 12000)
	heat(t, a, b, hot)
	burst := hot
	for i := range hotNew + 1 {
		burst = append(burst, hot[i]+2)
	}
	frame(t, a, b, burst).Close()
	if n := a.Stats().HotPages; n != 0 {
		t.Errorf("%d pages are hot after a burst", n)
	}
}

// What a rollback makes zeros, since it was beyond High, is no change.
func TestShadowRollbackToZerosCopiesNothing(t *testing.T) {
	a, b := hotArena(t, 3000)
	s := snapshot(t, a)
	defer s.Close()
	before := a.Stats()
	fill(alloc(t, a, 30*pageSize), 7)
	frame(t, a, b, every(50, 3000))
	rollBack(t, a, s)
	if n := a.Stats().HotPages; n < 60 {
		t.Fatalf("%d pages are open", n)
	}
	if n := frame(t, a, b, nil).Stats().Pages; n != 0 || a.Stats().ShadowBytes != before.ShadowBytes {
		t.Errorf("nothing was written: %d pages copied, the shadow has %d bytes, %d before", n, a.Stats().ShadowBytes, before.ShadowBytes)
	}
}

// A frame that was taken back is played again: what it wrote is left open.
func TestShadowLeavesOpenWhatWasRolledBack(t *testing.T) {
	a, b := hotArena(t, 4000)
	rng := rand.New(rand.NewPCG(3, 4))
	for range 20 {
		pages := rng.Perm(4000)[:60]
		want := live(a)
		s := snapshot(t, a)
		frame(t, a, b, pages)
		rollBack(t, a, s)
		if page := differ(live(a), want); page >= 0 {
			t.Fatalf("page %d was not rolled back", page)
		}
		if s := a.Stats(); s.HotPages < 60 {
			t.Fatalf("%d pages are open", s.HotPages)
		}
		frame(t, a, b, pages[:30])
		if rng.IntN(2) == 0 {
			rollBack(t, a, s)
			if page := differ(live(a), want); page >= 0 {
				t.Fatalf("page %d was not rolled back again", page)
			}
		}
		s.Close()
	}
}

// What is written with nobody holding off is in no one snapshot for certain, but in the next at the latest:
// not even a hot page loses a write while it is protected again.
func TestShadowHotPagesLoseNoWrite(t *testing.T) {
	a, b := hotArena(t, 600)
	pages := every(6, 600)
	g := a.guard.(*shadow)
	var stop atomic.Bool
	var taken, rounds atomic.Int64
	var pause sync.RWMutex
	var wg sync.WaitGroup
	wg.Go(func() {
		rng := rand.New(rand.NewPCG(5, 6))
		for n := 0; !stop.Load(); n++ {
			pause.RLock()
			// Each page rests now and then, so that it is protected again, but for one that is written once.
			stray := rng.IntN(4 * len(pages))
			for i, p := range pages {
				if (int(taken.Load())/8+i)%4 > 0 || i == stray {
					atomic.AddUint64(wordAt(b, p*pageSize+n*8%pageSize), 1)
				}
			}
			pause.RUnlock()
			rounds.Add(1)
		}
	})
	closed := 0
	for closed < 100 && taken.Load() < 20_000 {
		for from := rounds.Load(); rounds.Load() < from+2; {
			runtime.Gosched()
		}
		was := slices.Clone(g.open)
		snapshot(t, a).Close()
		if slices.ContainsFunc(was, func(page uint32) bool { return !slices.Contains(g.open, page) }) {
			closed++
		}
		taken.Add(1)
		pause.Lock()
		s := snapshot(t, a)
		if page := differ(content(t, s), live(a)); page >= 0 {
			t.Errorf("a write to page %d was lost", page)
			closed = 1 << 20
		}
		s.Close()
		pause.Unlock()
	}
	stop.Store(true)
	wg.Wait()
	if closed < 100 {
		t.Errorf("hot pages were protected again %d times only", closed)
	}
}
