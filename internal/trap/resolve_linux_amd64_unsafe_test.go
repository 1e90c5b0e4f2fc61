//go:build linux && amd64

package trap

import (
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"unsafe"
)

func TestFirstWriteSavesThePage(t *testing.T) {
	g := newRig(t, 2, 64)
	g.force(1)
	*g.word(3, 0) = 7
	tab := g.snapshot()
	*g.word(3, 0) = 8
	*g.word(3, 1) = 9
	*g.word(600, 0) = 1 // never touched before
	if got := g.asOf(tab, 3); got != 7 {
		t.Errorf("page 3 as of the snapshot: %d, want 7", got)
	}
	if got := g.asOf(tab, 600); got != 0 {
		t.Errorf("page 600 as of the snapshot: %d, want 0", got)
	}
	if s := g.h.Stats(); s.Faults != 2 || s.Used != 2 || tab.Preserved() != 2 {
		t.Errorf("%+v, %d preserved: want 2 faults, 2 slots", s, tab.Preserved())
	}
	g.drop(tab)
	if s := g.h.Stats(); s.Used != 0 {
		t.Errorf("%d slots in use after the snapshot is gone", s.Used)
	}
	*g.word(4, 0) = 1 // protection is left over: lifted by block
	*g.word(5, 0) = 1
	if s := g.h.Stats(); s.Idle != 1 {
		t.Errorf("%d faults nobody needed, want 1 for the block", s.Idle)
	}
}

func TestSequentialWritesTakeNeighboursAlong(t *testing.T) {
	g := newRig(t, 2, 1024)
	tab := g.snapshot()
	for p := range uint64(1024) {
		*g.word(p, 0) = p + 1
	}
	s := g.h.Stats()
	if s.Faults > 64 || tab.Preserved() != 1024 {
		t.Errorf("%d faults for 1024 pages in order, %d preserved", s.Faults, tab.Preserved())
	}
	for p := range uint64(1024) {
		if got := g.asOf(tab, p); got != 0 {
			t.Fatalf("page %d as of the snapshot: %d", p, got)
		}
	}
	g.drop(tab)
}

func TestOutOfSlotsGivesTheSnapshotUpAndTheWriterGoesOn(t *testing.T) {
	g := newRig(t, 2, 8)
	tab := g.snapshot()
	for p := uint64(0); p < 1024; p += 37 {
		*g.word(p, 0) = p + 1
	}
	if g.h.Overrun() < tab.Seq() {
		t.Error("the snapshot was not given up")
	}
	for p := uint64(0); p < 1024; p += 37 {
		if got := *g.word(p, 0); got != p+1 {
			t.Errorf("page %d lost its write: %d", p, got)
		}
	}
	g.drop(tab)
}

func TestPrepareSparesTheFault(t *testing.T) {
	g := newRig(t, 2, 1024)
	tab := g.snapshot()
	if err := g.h.Prepare(10, 20, false); err != nil {
		t.Fatal(err)
	}
	for p := uint64(10); p < 30; p++ {
		*g.word(p, 0) = 5
	}
	if s := g.h.Stats(); s.Faults != 0 || s.Prepared != 20 {
		t.Errorf("%+v: want no fault and 20 pages prepared", s)
	}
	for p := uint64(10); p < 30; p++ {
		if got := g.asOf(tab, p); got != 0 {
			t.Errorf("page %d as of the snapshot: %d", p, got)
		}
	}
	g.drop(tab)
}

func TestWriteWhileRaisingTearsTheSnapshot(t *testing.T) {
	g := newRig(t, 1, 64)
	first := g.snapshot()
	tab, err := NewTable(2, 512)
	if err != nil {
		t.Fatal(err)
	}
	tab.Raise()
	g.h.Publish(tab)
	g.h.Drain()
	*g.word(9, 0) = 1
	page, pc, torn := tab.Settle()
	if !torn || page != 9 || runtime.FuncForPC(uintptr(pc)) == nil {
		t.Errorf("torn %v by page %d at pc %#x, want page 9 and a pc in Go code", torn, page, pc)
	}
	g.drop(tab)
	g.h.FreeSlots(first)
	first.Unmap()
}

// Every page of every snapshot is compared while writers go on as fast as they can
// within a gate, and the garbage collector stops the world all the time.
func TestSnapshotsUnderConcurrentWritersAndGC(t *testing.T) {
	const pages = 64
	g := newRig(t, 1, 4096)
	var gate sync.RWMutex
	var stop atomic.Bool
	var wg sync.WaitGroup
	for w := range 4 {
		wg.Go(func() {
			rng := rand.New(rand.NewPCG(uint64(w), 1))
			buf := make([]byte, pageSize)
			for !stop.Load() {
				gate.RLock()
				p := rng.Uint64N(pages)/4*4 + uint64(w) // each writer owns its pages
				v := *g.word(p, 0) + 1
				if v%3 == 0 { // a plain copy into the page: memmove is never preempted
					copy(g.bytes()[p*pageSize:(p+1)*pageSize], buf)
				}
				*g.word(p, 0) = v
				*g.word(p, 511) = v
				gate.RUnlock()
			}
		})
	}
	wg.Go(func() {
		for !stop.Load() {
			runtime.GC()
		}
	})
	rounds := 3000
	if testing.Short() {
		rounds = 300
	}
	want := make([]uint64, pages)
	for range rounds {
		gate.Lock()
		for p := range want {
			want[p] = *g.word(uint64(p), 0)
		}
		tab := g.snapshot()
		gate.Unlock()
		for p := range want {
			if got := g.asOf(tab, uint64(p)); got != want[p] {
				t.Fatalf("page %d as of snapshot %d: %d, want %d", p, tab.Seq(), got, want[p])
			}
		}
		g.drop(tab)
	}
	stop.Store(true)
	wg.Wait()
	t.Logf("%+v", g.h.Stats())
}

func TestFirstFaultTakesOnePage(t *testing.T) {
	g := newRig(t, 2, 1024)
	tab := g.snapshot()
	*g.word(300, 0) = 1
	if n := tab.Preserved(); n != 1 {
		t.Errorf("%d pages preserved by one write before anything was measured", n)
	}
	g.drop(tab)
}

func TestOnePageInVeryManySnapshots(t *testing.T) {
	g := newRig(t, 1, 64)
	for range 2 * repeatsForPanic {
		g.h.BeginArming()
		if err := g.fd.Protect(g.mem.Addr(), pageSize); err != nil {
			t.Fatal(err)
		}
		g.h.r.epoch &^= 0xffffff // as if so many armings had passed that it is the same again
		tab, err := NewTable(g.seq+1, 512)
		if err != nil {
			t.Fatal(err)
		}
		g.seq++
		g.h.Publish(tab)
		*g.word(0, 0)++ // a crash if it counted as repeated
		g.drop(tab)
	}
}

func TestWhatCannotBeMadeIsAnError(t *testing.T) {
	g := newRig(t, 1, 64)
	for _, c := range []Config{
		{FD: g.fd.Fd(), Start: g.mem.Addr(), Size: 1 << 21, MaxSlots: 1 << 50}, // no such address space
		{FD: g.fd.Fd(), Start: g.mem.Addr() + 4096, Size: 1 << 21, MaxSlots: 1},
		{FD: g.fd.Fd(), Start: g.mem.Addr(), Size: 4096, MaxSlots: 1},
	} {
		if h, err := New(c); err == nil {
			h.Close()
			t.Errorf("%+v: no error", c)
		}
	}
}

// A thread that has read newest and is then descheduled preserves in the Table that
// it read, also when another thread has preserved the page in the one that was put on
// top meanwhile, lifted, and written.
func TestLateResolverSavesNothingThatTheTableAboveHas(t *testing.T) {
	g, late, top := newLate(t)
	*g.word(3, 0) = 8 // preserved in top
	for _, page := range []uint64{3, 4} {
		if !g.h.r.preserve(late, page) {
			t.Fatal("no slot")
		}
	}
	g.wantOnlyPageFour(late, late, top)
}

// Nor does one that has found the Table on top save there what a late one has
// preserved in the Table below, lifted, and written: a reader that had
// looked below before that would find it.
func TestSavesNothingThatALateResolverPutsBelow(t *testing.T) {
	g, late, top := newLate(t)
	// It has looked below, and taken a slot, and is descheduled.
	three, four := g.h.r.take(), g.h.r.take()
	g.h.Publish(late) // what the late one has read
	*g.word(3, 0) = 8
	g.h.Publish(top)
	g.h.r.save(top, 3, three)
	g.h.r.save(top, 4, four)
	g.wantOnlyPageFour(top, late, top)
}

// Nor does one that preserves ahead, and has looked below before it copied.
func TestPreservesNothingAheadThatALateResolverPutsBelow(t *testing.T) {
	g, late, top := newLate(t)
	one, two := g.h.r.take(), g.h.r.take()
	g.h.r.give(one - 1)
	g.h.r.give(two - 1)
	next, chain, saved := g.h.r.saveRun(top, 3, 5)
	if next != 5 || saved != 2 {
		t.Fatalf("%d pages copied, up to %d", saved, next)
	}
	g.h.Publish(late) // what the late one has read
	*g.word(3, 0) = 8
	g.h.Publish(top)
	if n := g.h.r.publishRun(top, chain, saved); n != 1 {
		t.Errorf("%d pages preserved, want page 4 alone", n)
	}
	g.wantOnlyPageFour(top, late, top)
}

// newLate is a rig of two Tables, one on top of what a late resolver has read. Pages 3
// and 4 are 7, and nobody has preserved them.
func newLate(t *testing.T) (g *rig, late, top *Table) {
	t.Helper()
	g = newRig(t, 1, 64)
	g.force(1)
	*g.word(3, 0), *g.word(4, 0) = 7, 7
	late = g.snapshot()
	return g, late, g.onTop(late)
}

// wantOnlyPageFour fails unless a resolver that came second has saved in a Table nothing of
// page 3, which the other Table has, and page 4, which nobody else has. It ends newLate.
func (g *rig) wantOnlyPageFour(in, late, top *Table) {
	g.t.Helper()
	if s, ok := in.Slot(3); ok {
		g.t.Errorf("page 3, which the other table has as 7, was saved as %d", *(*uint64)(unsafe.Pointer(&g.h.SlotBytes(s)[0])))
	}
	if _, ok := in.Slot(4); !ok {
		g.t.Error("page 4, which nobody has lifted, was not preserved")
	}
	if s := g.h.Stats(); s.Used != 2 || s.Lost != 1 {
		g.t.Errorf("%+v: want 2 slots used, a copy dropped", s)
	}
	g.takeOff(top, late)
	g.drop(late)
}

// Both may have a page, with the same content, where both looked before either
// published. Who found the one on top may still be copying from its slot when
// the two are merged.
func TestMergedSlotStaysUntilReadersHaveLeft(t *testing.T) {
	g := newRig(t, 1, 2)
	g.force(1)
	*g.word(3, 0), *g.word(4, 0) = 7, 9
	older := g.snapshot()
	top := g.onTop(older)
	below, above := g.h.r.take(), g.h.r.take()
	copyPages(g.h.r.slots+(below-1)<<pageShift, g.h.r.start+3<<pageShift, pageSize)
	g.h.r.save(top, 3, above)
	found, ok := top.Slot(3)
	if !ok {
		t.Fatal("not saved")
	}
	put32(g.h.r.slotPage(below-1), 3)
	if !cas32(older.entry(3), entryNone, uint32(below)) {
		t.Fatal("not the first")
	}
	g.h.r.push(&older.list, below-1)
	g.h.Publish(older)
	g.h.Drain()
	older.SetAbove(nil)
	g.h.Merge(older, top)
	if g.h.r.preserve(older, 4) {
		t.Error("there was a slot left for page 4")
	}
	if v := *(*uint64)(unsafe.Pointer(&g.h.SlotBytes(found)[0])); v != 7 {
		t.Errorf("who reads page 3 finds %d, want 7", v)
	}
	g.h.FreeSlots(top) // now they have left
	if s := g.h.Stats(); s.Used != 1 {
		t.Errorf("%d slots used, want one", s.Used)
	}
	if err := top.Unmap(); err != nil {
		t.Fatal(err)
	}
	g.drop(older)
}

// A thread that lost its processor in the middle of a fault has not spent that time in the resolver.
func TestFaultIsChargedForNoMoreThanAFaultTakes(t *testing.T) {
	r := new(Range)
	r.charge(1_000_000)
	if r.spent != 1_000_000 {
		t.Errorf("%d before anything was learned", r.spent)
	}
	r.spent = 0
	for range 200 {
		r.learnLift(5000, 1)
		r.learnCopy(500)
	}
	r.charge(7000)
	if r.spent != 7000 {
		t.Errorf("a fault of 7000 is charged as %d", r.spent)
	}
	r.spent = 0
	r.charge(60_000_000)
	if r.spent < 512*500 || r.spent > 1_000_000 {
		t.Errorf("a fault of 60,000,000 is charged as %d", r.spent)
	}
}
