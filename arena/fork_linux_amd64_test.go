package arena

import (
	"bytes"
	"errors"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// Whoever forks while the pool runs out gets the snapshot whole, or ErrOverrun.
func TestForkWhileTheSnapshotIsGivenUp(t *testing.T) {
	forked := 0
	for i := range 300 {
		func() {
			a := userfaultArena(t, Options{MaxSize: 8 << 20, MaxPreserved: 16 * pageSize, FaultPages: 1})
			defer a.Close()
			b := alloc(t, a, 1<<20)
			fill(b, 1)
			s := snapshot(t, a)
			want := bytes.Clone(a.mem.Bytes(0, uint64(s.Size())))
			var wg sync.WaitGroup
			defer wg.Wait()
			wg.Go(func() { fill(b, 2) })
			for end := time.Now().Add(time.Duration(i%100) * time.Microsecond); time.Now().Before(end); {
			}
			f := forkOf(t, s, GuardUserfault, true)
			wg.Wait()
			if f == nil {
				return
			}
			forked++
			defer f.Close()
			if !bytes.Equal(f.mem.Bytes(0, uint64(len(want))), want) {
				t.Errorf("try %d: the fork differs from the snapshot", i)
			}
		}()
		if t.Failed() {
			break
		}
	}
	if forked == 0 {
		t.Log("there was no fork at all")
	}
}

// Slots that were there for an earlier fork, and that others have taken since, are
// not those that the next one counts on.
func TestForkWhenTheRoomOfAnEarlierOneIsInUse(t *testing.T) {
	a := userfaultArena(t, Options{MaxSize: 8 << 20, MaxPreserved: 64 * pageSize, FaultPages: 1})
	b := alloc(t, a, 2<<20)
	fill(b, 1)
	first := snapshot(t, a)
	f := forkOf(t, first, GuardUserfault, false)
	first.Close()
	f.Close()
	time.Sleep(20 * time.Millisecond) // the keeper makes up its mind
	var open []*Snapshot
	v := byte(2)
	for range 40 {
		s := snapshot(t, a)
		fill(b[:1<<20], v)
		if g := a.guard.(*userfault); g.h.Free() < 400 || s.h.f.intact() != nil {
			open = append(open, s)
			break
		}
		v++
		open = append(open, s)
	}
	s := snapshot(t, a)
	want := bytes.Clone(a.mem.Bytes(0, uint64(s.Size())))
	f = forkOf(t, s, GuardUserfault, false)
	defer f.Close()
	a.mu.Lock() // no keeper
	u := a.guard.(*userfault)
	st := u.h.Stats()
	if need := s.h.f.(*layer).tab.Pages(); st.Limit-st.Used < need {
		t.Errorf("%d slots are left, and the fork may need %d", st.Limit-st.Used, need)
	} else {
		fill(b, 99)
	}
	a.mu.Unlock()
	if !t.Failed() && !bytes.Equal(f.mem.Bytes(0, uint64(len(want))), want) {
		t.Error("the fork differs")
	}
	for _, s := range open {
		s.Close()
	}
	s.Close()
}

// MaxPreserved is what snapshots that no fork reads may take, also after forks.
func TestMaxPreservedHoldsAfterAFork(t *testing.T) {
	a := userfaultArena(t, Options{MaxSize: 8 << 20, MaxPreserved: 64 * pageSize, FaultPages: 1})
	b := alloc(t, a, 2<<20)
	fill(b, 1)
	first := snapshot(t, a)
	f := forkOf(t, first, GuardUserfault, false)
	first.Close()
	f.Close()
	s := snapshot(t, a)
	defer s.Close()
	fill(b, 2)
	if n := s.Stats().Pages; n > 64 {
		t.Errorf("%d pages are preserved within a MaxPreserved of 64", n)
	}
	if err := alive(t, s); !errors.Is(err, ErrOverrun) {
		t.Errorf("%v, want ErrOverrun", err)
	}
}

// When all else is given up, what a fork reads stays, and whoever reads the same snapshot
// has it, too, until the fork is closed.
func TestForkKeepsItsSnapshotWhenOthersAreGivenUp(t *testing.T) {
	a := userfaultArena(t, Options{MaxSize: 8 << 20, MaxPreserved: 16 * pageSize, FaultPages: 1})
	b := alloc(t, a, 2<<20)
	fill(b, 1)
	s := snapshot(t, a)
	defer s.Close()
	want := content(t, s)
	f := forkOf(t, s, GuardUserfault, false)
	defer f.Close()
	fill(b[:1<<20], 2)
	y := snapshot(t, a)
	defer y.Close()
	fill(b, 3)
	if err := alive(t, y); !errors.Is(err, ErrOverrun) {
		t.Errorf("%v, want ErrOverrun", err)
	}
	fill(b, 4)
	if !bytes.Equal(content(t, s), want) {
		t.Error("the snapshot differs")
	}
	if !bytes.Equal(f.mem.Bytes(0, uint64(len(want))), want) {
		t.Error("the fork differs")
	}
	if err := f.Complete(); err != nil {
		t.Fatal(err)
	}
	if err := alive(t, s); !errors.Is(err, ErrOverrun) {
		t.Errorf("without the fork: %v, want ErrOverrun", err)
	}
}

// A parent may be complete in all but name: what is missing of it is zero, as long as a
// snapshot stands in the way of saying so.
func TestForkAndRollbackWherePagesOfZerosAreMissing(t *testing.T) {
	old := userfaultArena(t, Options{MaxSize: 256 << 20})
	fill(alloc(t, old, 1<<20), 1)
	alloc(t, old, 32<<20) // zeros
	s := snapshot(t, old)
	defer s.Close()
	want := content(t, s)
	r, err := Restore(Options{Guard: GuardUserfault, MaxSize: 256 << 20}, s.Size())
	if err != nil {
		t.Fatal(err)
	}
	a, from, err := r.FinishFork(s)
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	mine := snapshot(t, a) // so that Complete cannot end it
	for at := 0; at < len(want); at += pageSize {
		if page := want[at : at+pageSize]; !bytes.Equal(page, make([]byte, pageSize)) {
			mem := make([]byte, pageSize)
			if _, err := from.ReadAt(mem, int64(at)); err != nil {
				t.Fatal(err)
			}
			if err := a.Bring(int64(at), mem); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := a.Complete(); err != nil {
		t.Fatal(err)
	}
	if !a.guard.(*userfault).missing() {
		t.Fatal("nothing is missing")
	}
	f := forkOf(t, mine, GuardUserfault, false)
	defer f.Close()
	fill(alloc(t, a, 64<<20), 7)
	if err := a.Rollback(mine, a.opts.hold()); err != nil {
		t.Fatal(err)
	}
	if b := alloc(t, a, 64<<20); !bytes.Equal(b, make([]byte, len(b))) {
		t.Error("what grew again is not zero")
	}
	if err := a.Rollback(mine, a.opts.hold()); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(f.mem.Bytes(0, uint64(len(want))), want) {
		t.Error("the fork of the fork differs")
	}
	if !bytes.Equal(a.mem.Bytes(0, uint64(len(want))), want) {
		t.Error("rolled back to something else")
	}
	mine.Close()
}

// A fork looks for its pages layer by layer while layers are merged and unmapped
// below its feet, and writers of the parent look whether it needs a page. (With -tags trapdelay
// they dawdle between two layers.)
func TestForkWalksWhileLayersAreMerged(t *testing.T) {
	var gate sync.RWMutex
	a := userfaultArena(t, Options{MaxSize: 32 << 20, MaxPreserved: 32 * pageSize, FaultPages: 1, Hold: func() (func(), error) {
		gate.Lock()
		return gate.Unlock, nil
	}})
	b := alloc(t, a, 8<<20)
	v := byte(1)
	fill(b, v)
	for end := time.Now().Add(300 * time.Millisecond); time.Now().Before(end) && !t.Failed(); {
		s := snapshot(t, a)
		want := content(t, s)
		f := forkOf(t, s, GuardUserfault, false)
		s.Close()
		var wg sync.WaitGroup
		wg.Go(func() {
			mem := f.mem.Bytes(0, uint64(len(want)))
			for at := 0; at < len(want); at += 3 * pageSize {
				if mem[at] != want[at] {
					t.Errorf("byte %d of the fork is %d, want %d", at, mem[at], want[at])
					return
				}
			}
		})
		v++
		wg.Go(func() {
			for at := 0; at < len(b); at += pageSize {
				gate.RLock()
				b[at] = v
				gate.RUnlock()
			}
		})
		var done atomic.Bool
		go func() {
			wg.Wait()
			done.Store(true)
		}()
		for !done.Load() {
			y := snapshot(t, a)
			z := snapshot(t, a)
			y.Close()
			z.Close()
			runtime.Gosched() // where their tables were is nothing now
		}
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	}
}
