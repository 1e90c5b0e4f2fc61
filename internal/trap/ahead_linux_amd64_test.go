package trap

import (
	"runtime"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/cowheap/cowheap/internal/uffd"
)

// Pages that come in, for readers, while those around them are preserved ahead
// keep their protection: nobody has preserved them.
func TestPagesThatComeInDuringPreservingAheadStayProtected(t *testing.T) {
	lost := 0
	for range 20 {
		g := newRig(t, 1, 1024)
		g.force(1)
		if err := g.fd.Register(g.mem.Addr(), blockPages*pageSize, uffd.ModeMissing|uffd.ModeWP); err != nil {
			t.Fatal(err)
		}
		if err := g.h.AttachImage(ImageConfig{Pages: blockPages, Index: []uint64{0}}); err != nil {
			t.Fatal(err)
		}
		const there = blockPages / 2 // from here on they are in
		if err := g.h.BringIn(there, blockPages-there); err != nil {
			t.Fatal(err)
		}
		tab := g.snapshot()
		var wg sync.WaitGroup
		var sum atomic.Uint64
		wg.Go(func() {
			for tab.Preserved() == 0 { // until the missing ones have been passed over
				runtime.Gosched()
			}
			for p := range uint64(there) {
				sum.Add(*g.word(p, 0))
			}
		})
		if _, ok := g.h.PreserveAhead(0, blockPages); !ok {
			t.Fatal("no room")
		}
		wg.Wait()
		for p := range uint64(blockPages) {
			*g.word(p, 0) = 1
			if g.asOf(tab, p) != 0 {
				lost++
			}
		}
		g.drop(tab)
	}
	if lost > 0 {
		t.Errorf("%d pages are not those of the snapshot", lost)
	}
}

// A page above the open snapshot may be protected ahead again and again.
func TestPageAboveTheSnapshotMayBeProtectedForEver(t *testing.T) {
	g := newRig(t, 1, 64)
	tab, err := NewTable(1, 10)
	if err != nil {
		t.Fatal(err)
	}
	g.h.StartLog()
	g.h.Publish(tab)
	g.h.Drain()
	for range 2 * repeatsForPanic {
		if err := g.fd.Protect(g.mem.Addr(), uintptr(g.mem.Size())); err != nil {
			t.Fatal(err)
		}
		*g.word(20, 0)++
		lifted := uint64(0)
		for _, n := range g.h.TakeLog() {
			lifted += n
		}
		if lifted != 1 {
			t.Fatalf("one write lifted %d pages", lifted)
		}
	}
	g.drop(tab)
}

func TestLogCountsEachPageOnce(t *testing.T) {
	g := newRig(t, 1, 64)
	g.h.StartLog()
	g.h.PutBack(1, 1)
	g.h.PutBack(3, 1)
	for page := range g.h.TakeLog() {
		if page != 1 {
			t.Errorf("page %d came first", page)
		}
		g.h.PutBack(3, 1) // lifted again while the log is being taken
		break
	}
	if n := g.h.Logged(); n != 1 {
		t.Errorf("%d pages in the log, want page 3 alone", n)
	}
	for page, n := range g.h.TakeLog() {
		if page != 3 || n != 1 {
			t.Errorf("%d pages from %d on in the log", n, page)
		}
	}
	if n := g.h.Logged(); n != 0 {
		t.Errorf("%d pages are left in an empty log", n)
	}
}

func TestPageLoggedWhileTheLogIsTakenStaysInIt(t *testing.T) {
	g := newRig(t, 1, 64)
	g.h.StartLog()
	g.h.PutBack(1, 1)
	for range 3 {
		given := 0
		for page := range g.h.TakeLog() {
			g.h.PutBack(page, 1)
			given++
		}
		if given != 1 {
			t.Fatalf("%d pages given, want one", given)
		}
	}
}

// One thread logs a page, and waits until another has taken it.
func TestLogLosesNothingBetweenThreads(t *testing.T) {
	g := newRig(t, 1, 64)
	g.h.StartLog()
	var stop atomic.Bool
	var taken atomic.Int64
	var wg sync.WaitGroup
	wg.Go(func() {
		for !stop.Load() {
			for range g.h.TakeLog() {
				taken.Add(1)
			}
		}
	})
	for i := range int64(50_000) {
		g.h.PutBack(70, 1)
		for spins := 0; taken.Load() <= i && spins < 1<<24; spins++ {
			if spins > 1000 {
				runtime.Gosched()
			}
		}
		if taken.Load() != i+1 {
			t.Errorf("after %d pages were logged %d have been taken", i+1, taken.Load())
			break
		}
	}
	stop.Store(true)
	wg.Wait()
}

func TestLogKeepsWhatWasNotGiven(t *testing.T) {
	g := newRig(t, 16, 64)
	g.h.StartLog()
	for _, page := range []uint64{1, 3, 70, 5000} {
		g.h.PutBack(page, 1)
	}
	for _, want := range []uint64{1, 3, 70, 5000} {
		for page, n := range g.h.TakeLog() {
			if page != want || n != 1 {
				t.Errorf("%d pages from %d on, want page %d", n, page, want)
			}
			break
		}
	}
	if n := g.h.Logged(); n != 0 {
		t.Errorf("%d pages are left", n)
	}
}
