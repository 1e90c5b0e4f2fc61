package arena

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"testing"

	"github.com/cowheap/cowheap/internal/uffd"
	"github.com/cowheap/cowheap/internal/vm"
)

// shadowArena skips the test where the guard does not work.
func shadowArena(t testing.TB, o Options) *Arena {
	t.Helper()
	if err := probeShadow(); err != nil {
		t.Skip(err)
	}
	o.Guard = GuardShadow
	return newArena(t, o)
}

func rollBack(t testing.TB, a *Arena, s *Snapshot) {
	t.Helper()
	if err := a.Rollback(s, a.opts.hold()); err != nil {
		t.Fatal(err)
	}
}

// live is a copy of what is in use.
func live(a *Arena) []byte { return bytes.Clone(a.mem.Bytes(0, a.High())) }

// differ is the first page in which the two differ, -1 if they are the same.
func differ(a, b []byte) int {
	for i := 0; i < max(len(a), len(b)); i += pageSize {
		if i >= len(a) || i >= len(b) || !bytes.Equal(a[i:i+pageSize], b[i:i+pageSize]) {
			return i / pageSize
		}
	}
	return -1
}

var errNoHold = errors.New("not now")

// shadowWays are the ways in which a shadow guard takes snapshots.
var shadowWays = []struct {
	name   string
	arming Arming
	steady bool
	mode   tracking
}{
	{"adapting", ArmAuto, false, 0},
	{"protecting at the instant", ArmWholesale, true, byProtecting},
	{"protecting ahead", ArmAhead, true, byProtecting},
	{"comparing at the instant", ArmWholesale, true, byComparing},
	{"comparing ahead", ArmAhead, true, byComparing},
	{"copying at the instant", ArmWholesale, true, byCopying},
	{"copying ahead", ArmAhead, true, byCopying},
}

// Random writes, growth, snapshots, holds that fail, closing in any order, rollbacks
// and what forks hold, against copies made at the instants.
func TestShadowModel(t *testing.T) {
	for _, w := range shadowWays {
		t.Run(w.name, func(t *testing.T) {
			passOverFewPages(t)
			if w.steady {
				keepSteady(t)
			}
			rounds := uint64(4)
			if testing.Short() {
				rounds = 1
			}
			for seed := range rounds {
				shadowModel(t, seed, w.arming, w.mode)
			}
		})
	}
}

func shadowModel(t *testing.T, seed uint64, arming Arming, mode tracking) {
	type pair struct {
		s    *Snapshot
		want []byte
	}
	rng := rand.New(rand.NewPCG(seed, 77))
	failing := false
	a := shadowArena(t, Options{MaxSize: 256 << 20, MaxPreserved: 1 << 30, Arming: arming, Hold: func() (func(), error) {
		if failing {
			return nil, errNoHold
		}
		return func() {}, nil
	}})
	g := a.guard.(*shadow)
	g.mode = mode
	pages := 200 + rng.IntN(1500)
	if underRace {
		pages = 200
	}
	b := alloc(t, a, uint64(pages)*pageSize)
	var open, forks []pair
	check := func(what string) {
		t.Helper()
		for _, p := range append(open[:len(open):len(open)], forks...) {
			if page := differ(content(t, p.s), p.want); page >= 0 {
				t.Fatalf("seed %d, after %s: page %d of a snapshot has changed", seed, what, page)
			}
		}
		a.mu.Lock()
		defer a.mu.Unlock()
		if err := g.audit(); err != nil {
			t.Fatalf("seed %d, after %s: %v", seed, what, err)
		}
	}
	for range 250 {
		for at := 0; rng.IntN(4) > 0 && at < 40*pageSize; at += 2 * pageSize {
			b[at] = byte(rng.Uint32()) // what moves all the time
		}
		switch rng.IntN(11) {
		case 0, 1, 2:
			if len(open) > 8 {
				continue
			}
			want := live(a)
			open = append(open, pair{snapshot(t, a), want})
			check("a snapshot")
		case 3:
			failing = true
			if _, err := a.Snapshot(); !errors.Is(err, errNoHold) {
				t.Fatalf("%v, want the hold's error", err)
			}
			failing = false
		case 4:
			if len(open) > 0 {
				i := rng.IntN(len(open))
				if err := open[i].s.Close(); err != nil {
					t.Fatal(err)
				}
				open = append(open[:i], open[i+1:]...)
				check("closing")
			}
		case 5:
			if len(open) > 0 {
				i := rng.IntN(len(open))
				rollBack(t, a, open[i].s)
				if page := differ(live(a), open[i].want); page >= 0 {
					t.Fatalf("seed %d: page %d is not as of the snapshot that was rolled back to", seed, page)
				}
				for _, c := range a.mem.Bytes(a.High(), a.committed.Load()-a.High()) {
					if c != 0 {
						t.Fatalf("seed %d: after a rollback the memory beyond High is not zero", seed)
					}
				}
				open = open[:i+1]
				check("a rollback")
			}
		case 6:
			if len(open) > 0 && len(forks) < 3 {
				p := open[rng.IntN(len(open))]
				s, err := p.s.again()
				if err != nil {
					t.Fatal(err)
				}
				forks = append(forks, pair{s, p.want})
			} else if len(forks) > 0 {
				if err := forks[0].s.Close(); err != nil {
					t.Fatal(err)
				}
				forks = forks[1:]
				check("closing what a fork held")
			}
		case 7:
			if _, err := a.Alloc(uint64(rng.IntN(300000)), 0); err != nil {
				t.Fatal(err)
			}
		case 8:
			at := rng.IntN(len(b) - 150*pageSize)
			fill(b[at:at+rng.IntN(150*pageSize)], byte(rng.Uint32()))
		default:
			for range 20 {
				b[rng.IntN(len(b))] = byte(rng.Uint32())
			}
		}
	}
	check("all")
	for _, p := range append(open, forks...) {
		if err := p.s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	open, forks = nil, nil
	check("closing all")
	if s := settled(a); s.PreservedPages != 0 {
		t.Fatalf("seed %d: after all are closed: %+v", seed, s)
	}
}

// audit checks what the guard knows of its slots: each one that is not free has as many
// holders as it should, and lists are in order.
func (g *shadow) audit() error {
	held := map[uint32]uint32{}
	ordered := func(list []placed) error {
		for i := range list {
			if i > 0 && list[i].page <= list[i-1].page {
				return errors.New("a list is out of order")
			}
		}
		return nil
	}
	inCur, refers := uint64(0), false
	for _, slot := range g.cur.slots[:min(uint64(len(g.cur.slots)), g.cur.committed/4)] {
		if isSlot(slot) {
			held[slot]++
			inCur++
		}
		refers = refers || slot == elsewhere
	}
	for c := g.newest; c != nil; c = c.older {
		for _, list := range c.delta.lists {
			if err := ordered(list); err != nil {
				return err
			}
			for _, e := range list {
				held[e.slot]++
				refers = refers || e.slot == elsewhere
			}
		}
	}
	if refers && !g.refers {
		return errors.New("something is still elsewhere")
	}
	delete(held, elsewhere)
	waiting := uint64(0)
	for _, list := range g.pending {
		if err := ordered(list); err != nil {
			return err
		}
		for _, e := range list {
			if g.cur.slots[e.page] != e.slot {
				held[e.slot]++
				waiting++
			}
		}
	}
	delete(held, 0)
	for slot, n := range held {
		if g.slots.free[slot/64]>>(slot%64)&1 != 0 {
			return errors.New("a slot in use is free")
		}
		if n != g.slots.shared[slot]+1 {
			return errors.New("a slot has more or fewer holders than it is known to have")
		}
	}
	if uint64(len(held)) != g.slots.used || inCur != g.inCur || waiting != g.waiting {
		return errors.New("slots are counted wrong")
	}
	return nil
}

// The kernel forgets what a scan has returned; a hold that then fails must not.
func TestShadowHoldThatFailsLosesNoWrite(t *testing.T) {
	keepSteady(t)
	passOverFewPages(t)
	var a *Arena
	failing := false
	a = shadowArena(t, Options{Arming: ArmAhead, Hold: func() (func(), error) {
		if failing {
			return nil, errNoHold
		}
		return func() {}, nil
	}})
	b := alloc(t, a, 1000*pageSize)
	s1 := snapshot(t, a)
	want1 := live(a)
	fill(b[:100*pageSize], 1)
	failing = true
	for i := range byte(3) {
		b[int(i)*pageSize] = 10 + i
		if _, err := a.Snapshot(); !errors.Is(err, errNoHold) {
			t.Fatal(err)
		}
	}
	failing = false
	want2 := live(a)
	s2 := snapshot(t, a)
	if page := differ(content(t, s2), want2); page >= 0 {
		t.Errorf("page %d was lost", page)
	}
	fill(b[50*pageSize:150*pageSize], 2)
	failing = true
	if _, err := a.Snapshot(); !errors.Is(err, errNoHold) {
		t.Fatal(err)
	}
	failing = false
	rollBack(t, a, s2)
	if page := differ(live(a), want2); page >= 0 {
		t.Errorf("page %d was not rolled back", page)
	}
	rollBack(t, a, s1)
	if page := differ(live(a), want1); page >= 0 {
		t.Errorf("page %d was not rolled back", page)
	}
}

// A scan or a copy that fails half-way leaves everything dirty.
func TestShadowErrorLosesNoWrite(t *testing.T) {
	keepSteady(t)
	a := shadowArena(t, Options{Arming: ArmWholesale})
	g := a.guard.(*shadow)
	b := alloc(t, a, 1000*pageSize)
	s1 := snapshot(t, a)
	want1 := live(a)
	fill(b, 1)
	mem := g.slots.mem
	// No more slots than there are.
	g.slots.mem = vm.Adopt(mem.Base(), uint64(len(g.slots.free))*64*pageSize)
	if _, err := a.Snapshot(); !errors.Is(err, ErrFull) {
		t.Fatalf("without slots: %v, want ErrFull", err)
	}
	g.slots.mem = mem
	want2 := live(a)
	s2 := snapshot(t, a)
	if page := differ(content(t, s2), want2); page >= 0 {
		t.Errorf("page %d was lost", page)
	}
	if page := differ(content(t, s1), want1); page >= 0 {
		t.Errorf("page %d of the older one has changed", page)
	}
	if err := g.audit(); err != nil {
		t.Error(err)
	}
}

func TestShadowChoosesByWhatIsWritten(t *testing.T) {
	a := shadowArena(t, Options{MaxPreserved: 1 << 30})
	g := a.guard.(*shadow)
	b := alloc(t, a, 2000*pageSize)
	step := func(pages int, v byte) {
		fill(b[:pages*pageSize], v)
		want := live(a)
		s := snapshot(t, a)
		if page := differ(content(t, s), want); page >= 0 {
			t.Fatalf("page %d differs", page)
		}
		s.Close()
	}
	step(1, 1)
	for i := range byte(5) {
		if step(20, i+2); g.mode != byProtecting {
			t.Fatalf("mode %d with 1 %% written", g.mode)
		}
	}
	for i := range byte(2) {
		step(1500, i+10)
	}
	if g.mode != byCopying || g.armed != 0 {
		t.Fatalf("mode %d, %d bytes armed with 75 %% written", g.mode, g.armed)
	}
	for i := range byte(2*copyingFor + 2) {
		step(20, i+20)
	}
	if g.mode != byProtecting {
		t.Fatalf("mode %d after 1 %% was written for long", g.mode)
	}
}

func TestShadowOverrunGivesTheOldestUpFirst(t *testing.T) {
	keepSteady(t)
	a := shadowArena(t, Options{MaxPreserved: 250 * pageSize})
	b := alloc(t, a, 1000*pageSize)
	var all []*Snapshot
	var want [][]byte
	take := func() {
		want = append(want, live(a))
		all = append(all, snapshot(t, a))
	}
	take()
	pinned, err := all[0].again()
	if err != nil {
		t.Fatal(err)
	}
	for i := range byte(5) {
		fill(b[:100*pageSize], i+1)
		take()
	}
	for i, s := range all {
		_, err := s.ReadAt(make([]byte, s.Size()), 0)
		switch {
		case i == 0 || i >= 4:
			if err != nil {
				t.Errorf("snapshot %d: %v", i, err)
			} else if page := differ(content(t, s), want[i]); page >= 0 {
				t.Errorf("snapshot %d: page %d differs", i, page)
			}
		case !errors.Is(err, ErrOverrun):
			t.Errorf("snapshot %d: %v, want ErrOverrun", i, err)
		}
	}
	if err := a.Rollback(all[2], a.opts.hold()); !errors.Is(err, ErrOverrun) {
		t.Errorf("rolling back to one that was given up: %v", err)
	}
	if s := a.Stats(); s.Overruns != 3 || s.PreservedBytes > 250*pageSize || s.ShadowBytes == 0 {
		t.Errorf("%+v", s)
	}
	if err := pinned.Close(); err != nil {
		t.Error(err)
	}
	fill(b, 99) // more than there is room for
	take()
	last := len(all) - 1
	if page := differ(content(t, all[last]), want[last]); page >= 0 {
		t.Errorf("the newest: page %d differs", page)
	}
	for _, s := range all {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
	if s := settled(a); s.PreservedPages != 0 {
		t.Errorf("%+v", s)
	}
}

// With a ring of ten, the slots that are in memory are the shadow and what the ten wrote.
func TestShadowMemory(t *testing.T) {
	const size, frames, dirty = 64 << 20, 10, 160
	a := shadowArena(t, Options{MaxSize: 256 << 20})
	b := alloc(t, a, size)
	fill(b, 1)
	g := a.guard.(*shadow)
	rng := rand.New(rand.NewPCG(1, 1))
	var open []*Snapshot
	resident := func() (n uint64) {
		n, err := g.slots.mem.Resident(0, uint64(len(g.slots.free))*64*pageSize)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	for range 20 * frames {
		for range dirty {
			b[rng.IntN(len(b))]++
		}
		if open = append(open, snapshot(t, a)); len(open) > frames {
			open[0].Close()
			open = open[1:]
		}
	}
	used := a.High()
	most := used + frames*dirty*pageSize + (2*used)/20
	if n := resident(); n > most {
		t.Errorf("%d bytes of slots are in memory, want at most %d", n, most)
	}
	for _, s := range open {
		s.Close()
	}
	g.cool()
	if n := resident(); n > used+(keptSlots+dirty)*pageSize {
		t.Errorf("%d bytes of slots are in memory after all were closed, %d in use", n, used)
	}
}

func TestShadowWithHugePages(t *testing.T) {
	if err := uffd.HaveHugePages(); err != nil {
		t.Skip(err)
	}
	a := shadowArena(t, Options{HugePages: true, MaxSize: 256 << 20})
	b := alloc(t, a, 16<<20)
	fill(b, 1)
	rng := rand.New(rand.NewPCG(1, 1))
	for range 20 {
		want := live(a)
		s := snapshot(t, a)
		for range 30 {
			b[rng.IntN(len(b))]++
		}
		if page := differ(content(t, s), want); page >= 0 {
			t.Fatalf("page %d has changed", page)
		}
		rollBack(t, a, s)
		if page := differ(live(a), want); page >= 0 {
			t.Fatalf("page %d was not rolled back", page)
		}
		b[rng.IntN(len(b))]++
		s.Close()
	}
}
