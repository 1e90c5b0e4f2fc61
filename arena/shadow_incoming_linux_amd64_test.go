package arena

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
)

// shadowFork forks s as package restore does; whoever calls it closes it.
func shadowFork(t testing.TB, s *Snapshot, o Options) *Arena {
	t.Helper()
	o.Guard, o.MaxSize = GuardShadow, 64<<20
	r, err := Restore(o, s.Size())
	if err != nil {
		t.Fatal(err)
	}
	a, _, err := r.FinishFork(s)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// peek is what is in use, without bringing anything in. base is what a lazy heap began with.
func peek(a *Arena, base []byte) []byte {
	high := a.High()
	all := append(bytes.Clone(base), make([]byte, high)...)[:high]
	g := a.guard.(*shadow)
	a.mu.Lock() // the guard may be ending the lazy restore in the background
	defer a.unlock()
	for page := range high / pageSize {
		if g.high > page*pageSize {
			if _, ok := g.missing.brought(page, 1); !ok {
				continue
			}
		}
		copy(all[page*pageSize:], a.mem.Bytes(page*pageSize, pageSize))
	}
	return all
}

// under asks what belongs to who has the arena's mu: the guard works in the background, too.
func under(a *Arena, ask func() bool) bool {
	a.mu.Lock()
	defer a.unlock()
	return ask()
}

// bringAll is Populate.
func bringAll(t testing.TB, a *Arena, base []byte) {
	t.Helper()
	const row = 16 * pageSize
	for at := 0; at < len(base); at += row {
		if err := a.Bring(int64(at), base[at:min(at+row, len(base))]); err != nil {
			t.Fatal(err)
		}
	}
	if err := a.Complete(); err != nil {
		t.Fatal(err)
	}
}

// Random writes, growth, snapshots, holds that fail, rollbacks and forks of a fork while its pages come in
// and its parent goes on, against copies.
func TestShadowForkModel(t *testing.T) {
	passOverFewPages(t)
	rounds := uint64(60)
	if testing.Short() {
		rounds = 10
	}
	brought, of := int64(0), int64(0)
	for seed := range rounds {
		in, all := shadowForkModel(t, seed)
		brought, of = brought+in, of+all
	}
	t.Logf("%d pages of %d were brought in before they were asked for in bulk", brought, of)
	if brought > of*3/4 {
		t.Error("most pages came in: this tells little about missing ones")
	}
}

func shadowForkModel(t *testing.T, seed uint64) (brought, of int64) {
	rng := rand.New(rand.NewPCG(seed, 78))
	parent := shadowArena(t, Options{MaxPreserved: 1 << 30})
	size := uint64(200+rng.IntN(1500)) * pageSize
	off, err := parent.Alloc(size, pageSize)
	if err != nil {
		t.Fatal(err)
	}
	pb := parent.mem.Bytes(off, size)
	scribble := func(b []byte, n int) {
		for range n {
			b[rng.IntN(len(b))] = byte(rng.Uint32())
		}
	}
	type pair struct {
		s    *Snapshot
		want []byte
	}
	// So that slots do not follow each other, and deltas hold some.
	var older []pair
	for range 1 + rng.IntN(4) {
		scribble(pb, rng.IntN(1000))
		older = append(older, pair{snapshot(t, parent), live(parent)})
	}
	scribble(pb, 300)
	base := older[rng.IntN(len(older))]
	failing := false
	a := shadowFork(t, base.s, Options{MaxPreserved: 1 << 30, Arming: Arming(rng.IntN(3)), Hold: func() (func(), error) {
		if failing {
			return nil, errNoHold
		}
		return func() {}, nil
	}})
	defer func() {
		if err := a.Close(); err != nil {
			t.Error(err)
		}
	}()
	g := a.guard.(*shadow)
	b := a.mem.Bytes(off, uint64(len(pb)))
	var open []pair
	check := func(what string) {
		t.Helper()
		for _, p := range open {
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
	complete := func() {
		t.Helper()
		if under(a, func() bool { return g.refers }) {
			s := a.Stats()
			brought, of = brought+s.RestoredPages, of+s.RestorePages
		}
		want := peek(a, base.want)
		bringAll(t, a, base.want)
		if page := differ(live(a), want); page >= 0 {
			t.Fatalf("seed %d: page %d of the fork differs once all is in", seed, page)
		}
		check("completing")
	}
	for range 80 {
		switch rng.IntN(16) {
		case 0, 1, 2:
			if len(open) > 8 {
				continue
			}
			in := a.Stats().RestoredPages
			clean := under(a, func() bool { return g.armed > 0 || g.unscanned })
			open = append(open, pair{snapshot(t, a), peek(a, base.want)})
			check("a snapshot")
			if now := a.Stats().RestoredPages; clean && now != in {
				t.Fatalf("seed %d: a snapshot and reading it brought %d pages in", seed, now-in)
			}
		case 3:
			failing = true
			if _, err := a.Snapshot(); !errors.Is(err, errNoHold) {
				t.Fatalf("%v, want the hold's error", err)
			}
			failing = false
		case 4, 5:
			if len(open) > 0 {
				i := rng.IntN(len(open))
				if err := open[i].s.Close(); err != nil {
					t.Fatal(err)
				}
				open = append(open[:i], open[i+1:]...)
				check("closing")
			}
		case 6:
			if len(open) == 0 || rng.IntN(8) > 0 {
				continue
			}
			p := open[rng.IntN(len(open))]
			if under(a, func() bool { return g.refers }) {
				complete()
			}
			rollBack(t, a, p.s)
			if page := differ(live(a), p.want); page >= 0 {
				t.Fatalf("seed %d: page %d is not as of the snapshot that was rolled back to", seed, page)
			}
			for len(open) > 0 && open[len(open)-1].s != p.s {
				open = open[:len(open)-1]
			}
			check("a rollback")
		case 7:
			if rng.IntN(20) == 0 {
				complete()
			}
		case 8:
			if len(open) == 0 {
				continue
			}
			p := open[rng.IntN(len(open))]
			if under(a, func() bool { return g.refers }) {
				r, err := Restore(Options{Guard: GuardShadow, MaxSize: 64 << 20}, p.s.Size())
				if err != nil {
					t.Fatal(err)
				}
				if _, _, err := r.FinishFork(p.s); !errors.Is(err, ErrNotSupported) {
					t.Fatalf("seed %d: a fork of what is not all in: %v, want ErrNotSupported", seed, err)
				}
				if err := r.Abort(); err != nil {
					t.Fatal(err)
				}
				continue
			}
			f := shadowFork(t, p.s, Options{})
			scribble(b, 50)
			if page := differ(live(f), p.want); page >= 0 {
				t.Fatalf("seed %d: page %d of a fork of a fork differs", seed, page)
			}
			if err := f.Close(); err != nil {
				t.Fatal(err)
			}
			check("a fork")
		case 9:
			if _, err := a.Alloc(uint64(rng.IntN(300000)), 0); err != nil {
				t.Fatal(err)
			}
		case 10:
			at := rng.IntN(len(b) - 50*pageSize)
			fill(b[at:at+rng.IntN(50*pageSize)], byte(rng.Uint32()))
		case 11: // the prefetch
			at := rng.IntN(len(base.want)/pageSize) * pageSize
			n := min(rng.IntN(40)*pageSize, len(base.want)-at)
			if err := a.Bring(int64(at), base.want[at:at+n]); err != nil {
				t.Fatal(err)
			}
		case 12: // a scan that failed
			if rng.IntN(20) == 0 && under(a, func() bool { return !g.unscanned }) {
				g.lose(nil)
			}
		case 13: // the parent goes on
			if parent == nil {
				continue
			}
			switch {
			case rng.IntN(10) == 0:
				if err := parent.Close(); err != nil {
					t.Fatal(err)
				}
				parent = nil
			case rng.IntN(4) == 0:
				// Below what the fork reads.
				if err := parent.Rollback(older[0].s, parent.opts.hold()); err != nil && !errors.Is(err, ErrClosed) {
					t.Fatal(err)
				}
			case rng.IntN(4) == 0:
				base.s.Close()
			default:
				scribble(pb, 200)
				snapshot(t, parent).Close()
			}
		default:
			scribble(b, 20)
		}
	}
	complete()
	for _, p := range open {
		if err := p.s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	open = nil
	check("closing all")
	g.cool()
	if under(a, func() bool { return g.high != 0 }) {
		t.Errorf("seed %d: all is in and no snapshot open, and faults of missing pages go on", seed)
	}
	want := live(a)
	s := snapshot(t, a)
	scribble(b, 100)
	if page := differ(content(t, s), want); page >= 0 {
		t.Fatalf("seed %d: page %d of the snapshot that made the copy has changed", seed, page)
	}
	s.Close()
	if parent != nil {
		if n := parent.Stats().Forks; n != 0 {
			t.Errorf("seed %d: the parent has %d forks", seed, n)
		}
		// Under its lock: the fork may have left, and what it held is being given back.
		parent.mu.Lock()
		err := parent.guard.(*shadow).audit()
		parent.unlock()
		if err != nil {
			t.Errorf("seed %d: the parent: %v", seed, err)
		}
	}
	return brought, of
}

// The first scan goes over pages that come in and are written in this moment.
func TestShadowFirstSnapshotOfAForkWhileWritersBringIn(t *testing.T) {
	parent := shadowArena(t, Options{})
	pb := alloc(t, parent, 600*pageSize)
	for i := range pb {
		pb[i] = byte(i>>12) | 1
	}
	ps := snapshot(t, parent)
	defer ps.Close()
	base := live(parent)
	rounds := 60
	if testing.Short() {
		rounds = 20
	}
	for round := range rounds {
		var gate sync.RWMutex
		var want []byte
		mirror := bytes.Clone(base)
		a := shadowFork(t, ps, Options{Arming: Arming(round % 3), Hold: func() (func(), error) {
			gate.Lock()
			want = bytes.Clone(mirror)
			return gate.Unlock, nil
		}})
		var stop atomic.Bool
		var writers sync.WaitGroup
		var written atomic.Int64
		// All in one order: a reader brings a page in that somebody writes as soon as it is there.
		b := a.mem.Bytes(0, uint64(len(base)))
		sum := 0
		for k := range 3 {
			writers.Go(func() {
				rng := rand.New(rand.NewPCG(uint64(round), 0))
				for !stop.Load() {
					at := (len(base)/pageSize-1-rng.IntN(600))*pageSize + rng.IntN(pageSize/4)*4 + k
					if rng.IntN(50) == 0 {
						runtime.Gosched()
					}
					if k == 0 {
						sum += int(b[at])
						continue
					}
					gate.RLock()
					b[at]++
					mirror[at]++
					gate.RUnlock()
					written.Add(1)
				}
			})
		}
		for written.Load() < int64(round) {
			runtime.Gosched()
		}
		for range 3 {
			s := snapshot(t, a)
			asOf := want
			if page := differ(content(t, s), asOf); page >= 0 {
				t.Errorf("round %d: page %d of the snapshot is wrong", round, page)
			}
			if round%2 == 0 {
				defer s.Close()
			} else {
				s.Close()
			}
		}
		if round%4 == 0 {
			bringAll(t, a, base)
		}
		stop.Store(true)
		writers.Wait()
		if page := differ(live(a), mirror); page >= 0 {
			t.Errorf("round %d: page %d is wrong", round, page)
		}
		if err := a.Close(); err != nil {
			t.Fatal(err)
		}
		if t.Failed() {
			return
		}
	}
}

// A fork costs what it touches, and its snapshots what was written.
func TestShadowForkMemory(t *testing.T) {
	const pages, touched, written = 8000, 300, 100
	parent := shadowArena(t, Options{})
	off, err := parent.Alloc(pages*pageSize, pageSize)
	if err != nil {
		t.Fatal(err)
	}
	fill(parent.mem.Bytes(off, pages*pageSize), 1)
	ps := snapshot(t, parent)
	a := shadowFork(t, ps, Options{})
	defer a.Close()
	if err := errors.Join(ps.Close(), parent.Close()); err != nil {
		t.Fatal(err)
	}
	g := a.guard.(*shadow)
	resident := func() (live, slots uint64) {
		live, err := a.mem.Resident(0, a.High())
		if err == nil && len(g.slots.free) > 0 {
			slots, err = g.slots.mem.Resident(0, uint64(len(g.slots.free))*64*pageSize)
		}
		if err != nil {
			t.Fatal(err)
		}
		return live / pageSize, slots / pageSize
	}
	page := func(i int) []byte { return a.mem.Bytes(off+uint64(i)*pageSize, pageSize) }
	s1 := snapshot(t, a)
	for i := range touched {
		if v := page(i * 20)[0]; v != 1 {
			t.Fatalf("page %d holds %d", i*20, v)
		}
	}
	for i := range written {
		page(i * 20)[0]++
	}
	s2 := snapshot(t, a)
	for _, s := range []*Snapshot{s1, s2} {
		content(t, s)
	}
	if n := s2.Stats().Pages; n != written {
		t.Errorf("the second snapshot copied %d pages, %d were written", n, written)
	}
	live, slots := resident()
	if live > touched+200 || slots > written+10 { // and what the allocator reads
		t.Errorf("%d pages and %d slots are in memory after %d of %d were touched, and %d written", live, slots, touched, pages, written)
	}
	if s := a.Stats(); s.RestoredPages > touched+200 || s.RestorePages < pages || s.Missing == 0 || s.ShadowBytes != written*pageSize || s.PreservedPages != 0 {
		t.Errorf("%+v", s)
	}
	// All in with a snapshot open: that is the shadow, and no more.
	bringAll(t, a, content(t, s1))
	if _, slots := resident(); slots > a.High()/pageSize+written+10 {
		t.Errorf("%d slots for %d pages", slots, a.High()/pageSize)
	}
	s1.Close()
	s2.Close()
	if s := a.Stats(); s.PreservedPages != 0 || s.RestoredPages != s.RestorePages {
		t.Errorf("%+v", s)
	}
}
