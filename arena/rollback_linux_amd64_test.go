package arena

import (
	"bytes"
	"errors"
	"testing"
)

var errHold = errors.New("no hold")

// An arming ahead that came to nothing has protected pages again, and taken them out of
// the log.
func TestRollbackAfterASnapshotThatCameToNothing(t *testing.T) {
	for _, track := range []bool{false, true} {
		passOverFewPages(t)
		refuse := false
		a := userfaultArena(t, Options{Arming: ArmAhead, FaultPages: 1, Track: track, Hold: func() (func(), error) {
			if refuse {
				return nil, errHold
			}
			return func() {}, nil
		}})
		b := alloc(t, a, 1<<20)
		fill(b, 1)
		s := snapshot(t, a)
		want := content(t, s)
		for i := range 3 {
			fill(b, byte(i+2))
			refuse = true
			if _, err := a.Snapshot(); !errors.Is(err, errHold) {
				t.Fatal(err)
			}
			refuse = false
			if err := a.Rollback(s, a.opts.hold()); err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(a.mem.Bytes(0, uint64(s.Size())), want) {
				t.Errorf("round %d: the memory is not what it was", i)
			}
		}
		s.Close()
	}
}

// The rollback to a snapshot of which parts were released is refused, and so is a fork.
func TestReleasedSnapshotIsNotWhole(t *testing.T) {
	a := userfaultArena(t, Options{FaultPages: 1})
	b := alloc(t, a, 1<<20)
	fill(b, 1)
	s := snapshot(t, a)
	defer s.Close()
	s.Release(0, s.Size())
	fill(b, 2)
	if err := a.Rollback(s, a.opts.hold()); !errors.Is(err, ErrOverrun) {
		t.Errorf("%v, want ErrOverrun", err)
	}
	if _, err := s.again(); !errors.Is(err, ErrOverrun) {
		t.Errorf("%v, want ErrOverrun", err)
	}
	if b[0] != 2 {
		t.Error("the memory has changed")
	}
}

// What a fork reads is not given back early.
func TestReleaseLeavesWhatAForkNeeds(t *testing.T) {
	a := userfaultArena(t, Options{FaultPages: 1})
	b := alloc(t, a, 1<<20)
	fill(b, 1)
	s := snapshot(t, a)
	defer s.Close()
	want := content(t, s)
	f := forkOf(t, s, GuardUserfault, false)
	defer f.Close()
	s.Release(0, s.Size())
	fill(b, 2)
	if !bytes.Equal(f.mem.Bytes(0, uint64(len(want))), want) {
		t.Error("the fork differs")
	}
}

// What lies beyond the snapshot is given back to the system, protection and all; what
// grows there again is protected by the next snapshot.
func TestMemoryEmptiedByARollbackIsProtectedAgain(t *testing.T) {
	for _, mode := range []Arming{ArmWholesale, ArmAhead} {
		a := userfaultArena(t, Options{MaxSize: 256 << 20, MaxPreserved: 256 << 20, Arming: mode})
		fill(alloc(t, a, 1<<20), 1)
		s := snapshot(t, a)
		for i := range 3 {
			b := alloc(t, a, 64<<20)
			fill(b, byte(i+2))
			y := snapshot(t, a)
			fill(b, 99)
			if err := a.Rollback(s, a.opts.hold()); err != nil {
				t.Fatal(err)
			}
			y.Close()
			b = alloc(t, a, 64<<20)
			for at := 0; at < len(b); at += pageSize {
				if b[at] != 0 {
					t.Fatalf("round %d: byte %d is not zero", i, at)
				}
			}
			fill(b, 5)
			y = snapshot(t, a)
			want := content(t, y)
			fill(b, 6)
			if !bytes.Equal(content(t, y), want) {
				t.Fatalf("%v, round %d: a snapshot of what grew again differs", mode, i)
			}
			if err := a.Rollback(y, a.opts.hold()); err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(a.mem.Bytes(0, uint64(y.Size())), want) {
				t.Fatalf("%v, round %d: rolled back to something else", mode, i)
			}
			y.Close()
			if err := a.Rollback(s, a.opts.hold()); err != nil {
				t.Fatal(err)
			}
		}
		s.Close()
	}
}

// A fork of a newer snapshot, larger than the one rolled back to, keeps its own.
func TestForkOfALargerSnapshotOutlivesARollback(t *testing.T) {
	a := userfaultArena(t, Options{MaxSize: 256 << 20, MaxPreserved: 256 << 20})
	fill(alloc(t, a, 1<<20), 1)
	s := snapshot(t, a)
	defer s.Close()
	b := alloc(t, a, 64<<20)
	fill(b, 2)
	y := snapshot(t, a)
	f := forkOf(t, y, GuardUserfault, false)
	defer f.Close()
	for i := range 2 {
		if err := a.Rollback(s, a.opts.hold()); err != nil {
			t.Fatal(err)
		}
		b = alloc(t, a, 64<<20)
		for at := 0; at < len(b); at += pageSize {
			if b[at] != 0 {
				t.Fatalf("round %d: byte %d is not zero", i, at)
			}
		}
		fill(b, byte(i+7))
		z := snapshot(t, a) // smaller or larger, and newer
		fill(b, byte(i+17))
		z.Close()
	}
	mem := f.mem.Bytes(f.High()-uint64(len(b)), uint64(len(b)))
	for at := 0; at < len(mem); at += pageSize {
		if mem[at] != 2 {
			t.Fatalf("the fork has %d at %d, want 2", mem[at], at)
		}
	}
}

// A rollback gives memory back to the system. On kernels before Linux 6.4 protection passes
// over it from then on, until it has been populated again.
func TestFirstWritesAreNoticedWhereARollbackGaveMemoryBack(t *testing.T) {
	populating = true
	defer func() { populating = false }()
	for _, arming := range []Arming{ArmWholesale, ArmAhead} {
		a := userfaultArena(t, Options{MaxSize: 256 << 20, Arming: arming, FaultPages: 1})
		alloc(t, a, 1<<20)
		s := snapshot(t, a)
		fill(alloc(t, a, 2*emptyByHand), 1)
		s2 := snapshot(t, a) // populates
		if err := a.Rollback(s, a.opts.hold()); err != nil {
			t.Fatal(err)
		}
		s2.Close()
		b := alloc(t, a, 2*emptyByHand)
		s3 := snapshot(t, a)
		want := content(t, s3)
		fill(b, 2)
		if !bytes.Equal(content(t, s3), want) {
			t.Errorf("%v: the snapshot shows what was written after it", arming)
		}
		s.Close()
		s3.Close()
	}
}
