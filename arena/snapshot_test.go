package arena

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// guards are those that work here.
func guards(t testing.TB) []Guard {
	var gs []Guard
	for _, p := range Probe() {
		if p.Err == nil {
			gs = append(gs, p.Guard)
		} else {
			t.Logf("guard %v: %v", p.Guard, p.Err)
		}
	}
	return gs
}

func eachGuard(t *testing.T, test func(t *testing.T, g Guard)) {
	for _, g := range guards(t) {
		t.Run(g.String(), func(t *testing.T) { test(t, g) })
	}
}

func newArena(t testing.TB, o Options) *Arena {
	t.Helper()
	if o.MaxSize == 0 {
		o.MaxSize = 64 << 20
	}
	a, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := a.Close(); err != nil {
			t.Error(err)
		}
	})
	return a
}

func alloc(t testing.TB, a *Arena, size uint64) []byte {
	t.Helper()
	off, err := a.Alloc(size, pageSize)
	if err != nil {
		t.Fatal(err)
	}
	return a.mem.Bytes(off, size)
}

func snapshot(t testing.TB, a *Arena) *Snapshot {
	t.Helper()
	s, err := a.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func content(t testing.TB, s *Snapshot) []byte {
	t.Helper()
	p := make([]byte, s.Size())
	if _, err := s.ReadAt(p, 0); err != nil {
		t.Fatal(err)
	}
	return p
}

// Snapshots are taken, read and closed in random order while pages change; each
// must show what a copy made at its instant shows.
func TestSnapshotsInAnyOrder(t *testing.T) {
	eachGuard(t, func(t *testing.T, g Guard) {
		seeds := uint64(8)
		if underRace {
			seeds = 1
		} else if testing.Short() {
			seeds = 3
		}
		for seed := range seeds {
			rng := rand.New(rand.NewPCG(seed, 1))
			// Room for all that six snapshots may need.
			a := newArena(t, Options{Guard: g, MaxPreserved: 512 << 20, MaxSize: 1 << 30})
			b := alloc(t, a, 600*pageSize)
			type pair struct {
				s    *Snapshot
				want []byte
			}
			var open []pair
			for range 300 {
				switch rng.IntN(8) {
				case 0, 1:
					if len(open) < 6 {
						want := bytes.Clone(a.mem.Bytes(0, a.High()))
						open = append(open, pair{snapshot(t, a), want})
					}
				case 2:
					if len(open) > 0 {
						i := rng.IntN(len(open))
						if err := open[i].s.Close(); err != nil {
							t.Fatal(err)
						}
						open = append(open[:i], open[i+1:]...)
					}
				case 3:
					for _, p := range open {
						if !bytes.Equal(content(t, p.s), p.want) {
							t.Fatalf("seed %d: a snapshot has changed", seed)
						}
					}
				case 4:
					if _, err := a.Alloc(uint64(rng.IntN(60000)), 0); err != nil {
						t.Fatal(err)
					}
				case 5:
					at := rng.IntN(len(b) - 30*pageSize)
					clear(b[at : at+rng.IntN(30*pageSize)])
				default:
					for range 20 {
						b[rng.IntN(len(b))] = byte(rng.Uint32())
					}
				}
			}
			for _, p := range open {
				if !bytes.Equal(content(t, p.s), p.want) {
					t.Fatalf("seed %d: a snapshot has changed at the end", seed)
				}
				if err := p.s.Close(); err != nil {
					t.Fatal(err)
				}
			}
			if s := settled(a); s.PreservedPages != 0 || s.Snapshots != 0 {
				t.Fatalf("after all are closed: %+v", s)
			}
		}
	})
}

// Writers transfer between words within a gate while snapshots are taken back
// to back, read and closed in random order, and the collector stops the world.
func TestSumIsConstantInEverySnapshot(t *testing.T) {
	eachGuard(t, func(t *testing.T, g Guard) {
		const pages, total = 256, 1 << 30
		var gate sync.RWMutex
		a := newArena(t, Options{Guard: g, Hold: func() (func(), error) { gate.Lock(); return gate.Unlock, nil }})
		b := alloc(t, a, pages*pageSize)
		word := func(i int) *uint64 { return wordAt(b, i*pageSize/4) }
		const words = pages * 4
		*word(0) = total
		var stop atomic.Bool
		var wg sync.WaitGroup
		var mu sync.Mutex
		for w := range 4 {
			wg.Go(func() {
				rng := rand.New(rand.NewPCG(uint64(w), 9))
				for !stop.Load() {
					gate.RLock()
					mu.Lock()
					i, j := rng.IntN(words), rng.IntN(words)
					n := *word(i) / 3
					*word(i) -= n
					*word(j) += n
					mu.Unlock()
					gate.RUnlock()
				}
			})
		}
		wg.Go(func() {
			for !stop.Load() {
				runtime.GC()
				time.Sleep(time.Millisecond)
			}
		})
		rounds := 400
		if testing.Short() {
			rounds = 60
		}
		rng := rand.New(rand.NewPCG(7, 7))
		var open []*Snapshot
		for range rounds {
			open = append(open, snapshot(t, a))
			if len(open) < 4 {
				continue
			}
			i := rng.IntN(len(open))
			s := open[i]
			open = append(open[:i], open[i+1:]...)
			p := content(t, s)
			sum := uint64(0)
			for i := range words {
				sum += *wordAt(p[uint64(len(p))-pages*pageSize:], i*pageSize/4)
			}
			if sum != total {
				t.Fatalf("sum %d, want %d", sum, total)
			}
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
		}
		stop.Store(true)
		wg.Wait()
		for _, s := range open {
			s.Close()
		}
		t.Logf("%+v", a.Stats())
	})
}

func TestOverrunGivesTheOldestUpFirst(t *testing.T) {
	for _, g := range guards(t) {
		if g == GuardCopy || g == GuardShadow { // both have no fault
			continue
		}
		a := newArena(t, Options{Guard: g, MaxPreserved: 800 * pageSize, FaultPages: 1})
		b := alloc(t, a, 4000*pageSize)
		s1 := snapshot(t, a)
		for p := range 400 {
			b[p*pageSize] = 1
		}
		s2 := snapshot(t, a)
		deadline := time.Now().Add(10 * time.Second)
		for p := 400; ; p++ {
			if a.Stats().Overruns > 0 || time.Now().After(deadline) {
				break
			}
			if p < 760 {
				b[p*pageSize] = 1
			}
			runtime.Gosched()
		}
		p := make([]byte, pageSize)
		if _, err := s1.ReadAt(p, 0); !errors.Is(err, ErrOverrun) {
			t.Errorf("the oldest of two: %v, want ErrOverrun", err)
		}
		if _, err := s2.ReadAt(p, 0); err != nil {
			t.Errorf("the younger of two: %v", err)
		}
		for p := range 4000 { // far more than can be preserved
			b[p*pageSize+1] = 2
		}
		if _, err := s2.ReadAt(p, 0); !errors.Is(err, ErrOverrun) {
			t.Errorf("after everything was written: %v, want ErrOverrun", err)
		}
		for p := range 4000 {
			if b[p*pageSize+1] != 2 {
				t.Fatalf("page %d lost a write", p)
			}
		}
		if err := errors.Join(s1.Close(), s2.Close()); err != nil {
			t.Error(err)
		}
		s3 := snapshot(t, a)
		want := bytes.Clone(a.mem.Bytes(0, a.High()))
		for p := range 700 {
			b[p*pageSize] = 9
		}
		if !bytes.Equal(content(t, s3), want) {
			t.Error("a snapshot after an overrun is wrong")
		}
		s3.Close()
	}
}

func TestWriteWhileHeldIsReported(t *testing.T) {
	for _, g := range guards(t) {
		if g == GuardCopy || g == GuardShadow { // both have no fault
			continue
		}
		var stop atomic.Bool
		var wg sync.WaitGroup
		a := newArena(t, Options{Guard: g})
		b := alloc(t, a, 4096*pageSize)
		wg.Go(func() { // ignores the gate
			for i := 0; !stop.Load(); i++ {
				b[i*7919%len(b)]++
			}
		})
		var cw *ConcurrentWriteError
		// By time: on a busy machine the writer has a turn now and then only.
		for end := time.Now().Add(10 * time.Second); time.Now().Before(end); {
			s, err := a.Snapshot()
			if err == nil {
				s.Close()
				continue
			}
			if !errors.As(err, &cw) || !errors.Is(err, ErrConcurrentWrite) {
				t.Fatal(err)
			}
			break
		}
		stop.Store(true)
		wg.Wait()
		if cw == nil {
			t.Fatal("no snapshot was torn by a writer that ignores the gate")
		}
		t.Log(cw)
	}
}

func TestClosedSnapshotAndArena(t *testing.T) {
	eachGuard(t, func(t *testing.T, g Guard) {
		a := newArena(t, Options{Guard: g})
		alloc(t, a, pageSize)
		s, s2 := snapshot(t, a), snapshot(t, a)
		if err := errors.Join(s.Close(), s.Close()); err != nil {
			t.Error(err)
		}
		p := make([]byte, 8)
		if _, err := s.ReadAt(p, 0); !errors.Is(err, ErrClosed) {
			t.Errorf("reading a closed snapshot: %v", err)
		}
		if err := errors.Join(a.Close(), a.Close()); err != nil {
			t.Error(err)
		}
		if _, err := s2.ReadAt(p, 0); !errors.Is(err, ErrClosed) {
			t.Errorf("reading a snapshot of a closed arena: %v", err)
		}
		if err := s2.Close(); err != nil {
			t.Error(err)
		}
		if _, err := a.Snapshot(); !errors.Is(err, ErrClosed) {
			t.Errorf("snapshot of a closed arena: %v", err)
		}
		if _, err := a.Alloc(1, 0); !errors.Is(err, ErrClosed) {
			t.Errorf("alloc in a closed arena: %v", err)
		}
	})
}

func TestSnapshotMayBeClosedByAWriterThatItWaitsFor(t *testing.T) {
	eachGuard(t, func(t *testing.T, g Guard) {
		var gate sync.RWMutex
		waiting := make(chan struct{})
		a := newArena(t, Options{Guard: g, Hold: func() (func(), error) {
			if gate.TryLock() {
				return gate.Unlock, nil
			}
			close(waiting)
			gate.Lock()
			return gate.Unlock, nil
		}})
		alloc(t, a, pageSize)
		s := snapshot(t, a)
		gate.RLock()
		done := make(chan error)
		go func() {
			s2, err := a.Snapshot()
			if err == nil {
				err = s2.Close()
			}
			done <- err
		}()
		<-waiting
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		_ = a.Stats()
		gate.RUnlock()
		if err := <-done; err != nil {
			t.Error(err)
		}
		if s := settled(a); s.Snapshots != 0 || s.PreservedPages != 0 {
			t.Errorf("%+v", s)
		}
	})
}

func TestDroppedSnapshotIsClosed(t *testing.T) {
	a := newArena(t, Options{})
	alloc(t, a, pageSize)
	func() { snapshot(t, a) }()
	for deadline := time.Now().Add(10 * time.Second); a.Stats().Snapshots > 0; runtime.GC() {
		if time.Now().After(deadline) {
			t.Fatal("still open")
		}
	}
}

func TestReleaseGivesProtectionBack(t *testing.T) {
	for _, g := range guards(t) {
		if g == GuardCopy || g == GuardShadow { // both have no fault
			continue
		}
		a := newArena(t, Options{Guard: g, FaultPages: 1})
		b := alloc(t, a, 1024*pageSize)
		s := snapshot(t, a)
		off := s.Size() - 1024*pageSize
		b[0] = 1
		s.Release(off, 512*pageSize)
		for p := range 1024 {
			b[p*pageSize] = 2
		}
		// One before, and 512 that were not released.
		want := int64(513)
		if g == GuardMprotect {
			want = 512 + 4 // a chunk
		}
		if st := s.Stats(); st.Pages != want {
			t.Errorf("%d pages preserved, want %d", st.Pages, want)
		}
		got := make([]byte, 512*pageSize)
		if _, err := s.ReadAt(got, off+512*pageSize); err != nil {
			t.Fatal(err)
		}
		for p := range 512 {
			if got[p*pageSize] != 0 {
				t.Fatalf("page %d as of the snapshot is %d", p, got[p*pageSize])
			}
		}
		s.Close()
		// With an older snapshot open nothing is given back.
		old := snapshot(t, a)
		s = snapshot(t, a)
		s.Release(0, s.Size())
		for p := range 1024 {
			b[p*pageSize] = 3
		}
		got = content(t, old)
		for p := range 1024 {
			if got[int(off)+p*pageSize] != 2 {
				t.Fatalf("page %d as of the older snapshot is %d", p, got[int(off)+p*pageSize])
			}
		}
		old.Close()
		s.Close()
	}
}
