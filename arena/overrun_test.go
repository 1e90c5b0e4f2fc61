package arena

import (
	"bytes"
	"errors"
	"runtime"
	"sync"
	"testing"
	"time"
)

// faulting is the guard of userfaultArena, populating how it protects, see TestAlike.
var (
	faulting   = GuardUserfault
	populating bool
)

// userfaultArena skips the test where the guard does not work.
func userfaultArena(t testing.TB, o Options) *Arena {
	t.Helper()
	if err := probeUserfault(); err != nil && faulting == GuardUserfault {
		t.Skip(err)
	}
	o.Guard, o.populate = faulting, populating
	return newArena(t, o)
}

func fill(b []byte, v byte) {
	for i := 0; i < len(b); i += pageSize {
		b[i] = v
	}
}

// alive reads from a snapshot when the keeper has had time to give it up.
func alive(t testing.TB, s *Snapshot) error {
	t.Helper()
	time.Sleep(30 * time.Millisecond)
	_, err := s.ReadAt(make([]byte, pageSize), 0)
	return err
}

func TestOverrunSnapshotStillHasFiguresAndCloses(t *testing.T) {
	a := userfaultArena(t, Options{MaxPreserved: 64 << 10, FaultPages: 1})
	b := alloc(t, a, 8<<20)
	s := snapshot(t, a)
	fill(b, 1)
	if err := alive(t, s); !errors.Is(err, ErrOverrun) {
		t.Errorf("%v, want ErrOverrun", err)
	}
	before := s.Stats()
	if before.Pages == 0 || before.Faults == 0 {
		t.Errorf("%+v", before)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if after := s.Stats(); after != before {
		t.Errorf("after Close %+v, before %+v", after, before)
	}
}

func TestOneSnapshotIsNeverOverrunByDefault(t *testing.T) {
	for name, prepare := range map[string]func(a *Arena, b []byte) *Snapshot{
		"alone": func(a *Arena, b []byte) *Snapshot { return snapshot(t, a) },
		"a younger one was closed": func(a *Arena, b []byte) *Snapshot {
			s := snapshot(t, a)
			snapshot(t, a).Close()
			return s
		},
		"younger ones were closed after writes": func(a *Arena, b []byte) *Snapshot {
			s := snapshot(t, a)
			for i := range 5 {
				fill(b[:len(b)/2], byte(i+2))
				y := snapshot(t, a)
				fill(b[:len(b)/3], byte(i+3))
				y.Close()
			}
			return s
		},
	} {
		t.Run(name, func(t *testing.T) {
			a := userfaultArena(t, Options{MaxSize: 256 << 20, FaultPages: 1})
			b := alloc(t, a, 32<<20)
			fill(b, 1)
			want := bytes.Clone(a.mem.Bytes(0, a.High()))
			s := prepare(a, b)
			fill(b, 100)
			if err := alive(t, s); err != nil {
				t.Fatalf("%v: %+v", err, a.Stats())
			}
			if !bytes.Equal(content(t, s), want) {
				t.Error("the snapshot has changed")
			}
		})
	}
}

func TestNoOverrunWhenTheArenaGrewWhileWritersWereWaitedFor(t *testing.T) {
	var a *Arena
	var b []byte
	a = userfaultArena(t, Options{MaxSize: 256 << 20, FaultPages: 1, Hold: func() (func(), error) {
		if b == nil {
			b = alloc(t, a, 32<<20)
			fill(b, 1)
		}
		return func() {}, nil
	}})
	s := snapshot(t, a)
	fill(b, 2)
	if err := alive(t, s); err != nil {
		t.Errorf("%v: %+v", err, a.Stats())
	}
}

func TestOldestIsNotGivenUpWhereThatFreesNothing(t *testing.T) {
	a := userfaultArena(t, Options{MaxSize: 256 << 20, FaultPages: 1})
	b := alloc(t, a, 32<<20)
	fill(b, 1)
	s1, s2 := snapshot(t, a), snapshot(t, a)
	fill(b, 2)
	if err := errors.Join(alive(t, s1), alive(t, s2)); err != nil {
		t.Errorf("%v: %+v", err, a.Stats())
	}
}

func TestKeeperDoesNotEmptyThePool(t *testing.T) {
	for range 20 {
		a := userfaultArena(t, Options{MaxSize: 64 << 20, MaxPreserved: 4 << 20, FaultPages: 1})
		b := alloc(t, a, 16<<20)
		fill(b, 1)
		s := snapshot(t, a)
		fill(b[:600*pageSize], 2)
		if _, err := s.ReadAt(make([]byte, pageSize), 1<<20); err != nil {
			t.Fatalf("%v with 600 of 1024 slots needed", err)
		}
		a.Close()
	}
}

func TestSnapshotAfterAnOverrunHasItsSlots(t *testing.T) {
	for range 50 {
		a := userfaultArena(t, Options{MaxSize: 64 << 20, MaxPreserved: 1 << 20, FaultPages: 1})
		b := alloc(t, a, 8<<20)
		s := snapshot(t, a)
		fill(b, 1)
		s2 := snapshot(t, a)
		fill(b[:4*pageSize], 2)
		if _, err := s2.ReadAt(make([]byte, pageSize), 0); err != nil {
			t.Fatalf("%v after 4 of 256 allowed pages", err)
		}
		s.Close()
		a.Close()
	}
}

func TestStatsAndSnapshotCloseBesideClose(t *testing.T) {
	eachGuard(t, func(t *testing.T, g Guard) {
		for range 200 {
			a, err := New(Options{Guard: g, MaxSize: 4 << 20})
			if err != nil {
				t.Fatal(err)
			}
			s := snapshot(t, a)
			var wg sync.WaitGroup
			wg.Go(func() {
				for range 20 {
					a.Stats()
				}
			})
			wg.Go(func() { s.Close() })
			wg.Go(func() {
				runtime.Gosched()
				if err := a.Close(); err != nil {
					t.Error(err)
				}
			})
			wg.Wait()
			if a.leaving != nil {
				t.Fatal("a snapshot was left over")
			}
		}
	})
}

func TestImpossibleSizesAreErrors(t *testing.T) {
	eachGuard(t, func(t *testing.T, g Guard) {
		for _, o := range []Options{{MaxSize: -1}, {MaxSize: 1 << 46}, {MaxPreserved: -1}, {FaultPages: 3}, {Guard: 77}} {
			if o.Guard == 0 {
				o.Guard = g
			}
			if a, err := New(o); err == nil {
				a.Close()
				t.Errorf("%+v: no error", o)
			}
		}
	})
}
