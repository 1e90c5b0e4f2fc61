package arena

import (
	"bytes"
	"errors"
	"sync"
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
