package cowheap

import (
	"errors"
	"testing"

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
