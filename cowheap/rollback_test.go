package cowheap

import (
	"errors"
	"testing"
	"time"

	"github.com/cowheap/cowheap/arena"
)

// guards that roll back and fork here.
func guardsHere(t *testing.T) []arena.Guard {
	t.Helper()
	var all []arena.Guard
	for _, g := range arena.Probe() {
		if g.Err == nil {
			all = append(all, g.Guard)
		}
	}
	return all
}

func onGuards(t *testing.T, fn func(t *testing.T, guard arena.Guard)) {
	for _, g := range guardsHere(t) {
		t.Run(g.String(), func(t *testing.T) { fn(t, g) })
	}
}

type counters struct{ N [1000]uint64 }

func set(t *testing.T, h *Heap, i int, v uint64) {
	t.Helper()
	if err := h.Update(func(m *Mem) error {
		r, err := Root[counters](m, "counters")
		if err == nil {
			r.Ptr(m).N[i] = v
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
}

func get(t *testing.T, h *Heap, i int) (v uint64) {
	t.Helper()
	if err := h.View(func(m *Mem) error {
		r, err := Root[counters](m, "counters")
		if err == nil {
			v = r.Ptr(m).N[i]
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	return v
}

func TestRollbackGoesBackAndClosesWhatIsNewer(t *testing.T) {
	onGuards(t, func(t *testing.T, guard arena.Guard) {
		h, err := New(&Options{Guard: guard, MaxSize: 64 << 20})
		if err != nil {
			t.Fatal(err)
		}
		defer h.Close()
		set(t, h, 7, 1)
		old, err := h.Snapshot()
		if err != nil {
			t.Fatal(err)
		}
		set(t, h, 7, 2)
		newer, err := h.Snapshot()
		if err != nil {
			t.Fatal(err)
		}
		set(t, h, 7, 3)
		for range 3 {
			if err := h.Rollback(old); err != nil {
				t.Fatal(err)
			}
			if v := get(t, h, 7); v != 1 {
				t.Fatalf("after the rollback %d, want 1", v)
			}
			set(t, h, 7, 4)
		}
		if _, err := newer.ReadAt(make([]byte, 1), 0); !errors.Is(err, ErrClosed) {
			t.Errorf("reading a newer snapshot after the rollback: %v, want ErrClosed", err)
		}
		if err := h.Rollback(newer); !errors.Is(err, ErrClosed) {
			t.Errorf("rolling back to a closed one: %v", err)
		}
	})
}

func TestForkGoesItsOwnWay(t *testing.T) {
	onGuards(t, func(t *testing.T, guard arena.Guard) {
		h, err := New(&Options{Guard: guard, MaxSize: 64 << 20})
		if err != nil {
			t.Fatal(err)
		}
		set(t, h, 7, 1)
		s, err := h.Snapshot()
		if err != nil {
			t.Fatal(err)
		}
		set(t, h, 7, 2)
		f, err := s.Fork(nil)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		s.Close()
		set(t, h, 7, 3)
		if err := h.Close(); err != nil {
			t.Fatal(err)
		}
		if v := get(t, f, 7); v != 1 {
			t.Fatalf("the fork has %d, want 1", v)
		}
		set(t, f, 7, 5)
		if v := get(t, f, 7); v != 5 {
			t.Fatalf("the fork has %d, want 5", v)
		}
	})
}

// grow makes a heap larger than the smallest there is.
func grow(m *Mem) error {
	_, err := Alloc[[3 << 20]byte](m)
	return err
}

// What cannot be, changes nothing and hangs nowhere.
func TestRollbackAndForkMisused(t *testing.T) {
	onGuards(t, func(t *testing.T, guard arena.Guard) {
		o := &Options{Guard: guard, MaxSize: 64 << 20}
		h, other := have[*Heap](t)(New(o)), have[*Heap](t)(New(o))
		defer closing(t, other)
		set(t, h, 7, 1)
		if err := h.Update(grow); err != nil {
			t.Fatal(err)
		}
		s, foreign := have[*Snapshot](t)(h.Snapshot()), have[*Snapshot](t)(other.Snapshot())
		is := func(what string, err, want error) {
			t.Helper()
			if !errors.Is(err, want) {
				t.Errorf("%s: %v, want %v", what, err, want)
			}
		}
		forkErr := func(s *Snapshot, o *Options) error {
			f, err := s.Fork(o)
			if err == nil {
				t.Error("there is a fork")
				closing(t, f)
			}
			return err
		}
		for _, in := range []func(func(*Mem) error) error{h.Update, h.View} {
			if err := in(func(*Mem) error {
				is("rollback inside", h.Rollback(s), ErrNested)
				is("fork inside", forkErr(s, nil), ErrNested)
				return nil
			}); err != nil {
				t.Fatal(err)
			}
		}
		is("a foreign snapshot", h.Rollback(foreign), ErrForeign)
		is("a fork too small", forkErr(s, &Options{Guard: guard, MaxSize: 2 << 20}), ErrFull)
		f := have[*Heap](t)(s.Fork(nil))
		is("the parent's snapshot", f.Rollback(s), ErrForeign)
		mine := have[*Snapshot](t)(f.Snapshot())
		set(t, f, 7, 2)
		closing(t, h)
		is("a closed heap", h.Rollback(s), ErrClosed)
		is("a snapshot of a closed heap", forkErr(s, nil), ErrClosed)
		// The fork's parent is closed: it is completed from what the parent has left.
		ff := have[*Heap](t)(mine.Fork(nil))
		if err := f.Rollback(mine); err != nil {
			t.Fatal(err)
		}
		closing(t, foreign)
		is("a closed snapshot", other.Rollback(foreign), ErrClosed)
		if v := get(t, f, 7); v != 1 {
			t.Errorf("the fork has %d after its rollback", v)
		}
		closing(t, f)
		is("populating a closed fork", f.Populate(t.Context()), nil)
		if v := get(t, ff, 7); v != 1 {
			t.Errorf("the fork of the fork has %d", v)
		}
		closing(t, ff)
	})
}

// A View sees one state from its beginning to its end.
func TestRollbackWaitsForViews(t *testing.T) {
	onGuards(t, func(t *testing.T, guard arena.Guard) {
		h := have[*Heap](t)(New(&Options{Guard: guard, MaxSize: 64 << 20}))
		defer closing(t, h)
		set(t, h, 7, 1)
		s := have[*Snapshot](t)(h.Snapshot())
		set(t, h, 7, 2)
		back := make(chan error, 1)
		if err := h.View(func(m *Mem) error {
			r, err := Root[counters](m, "counters")
			if err != nil {
				return err
			}
			go func() { back <- h.Rollback(s) }()
			time.Sleep(20 * time.Millisecond)
			if v := r.Ptr(m).N[7]; v != 2 || len(back) > 0 {
				t.Errorf("inside a View that began before the rollback: %d", v)
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		if err := <-back; err != nil {
			t.Fatal(err)
		}
		if v := get(t, h, 7); v != 1 {
			t.Errorf("after the rollback %d", v)
		}
	})
}
