package cowheap

import (
	"bytes"
	"context"
	"errors"
	"testing"
	"time"

	"github.com/cowheap/cowheap/arena"
)

func TestRollbackGoesBackAndClosesWhatIsNewer(t *testing.T) {
	eachHeapGuard(t, func(t *testing.T, o *Options) {
		h := have[*Heap](t)(New(o))
		defer closing(t, h)
		check(t, post(h, 1000))
		old := have[*Snapshot](t)(h.Snapshot())
		check(t, post(h, 10))
		newer := have[*Snapshot](t)(h.Snapshot())
		for range 3 { // back to the same one, from further and further away
			check(t, post(h, 5000))
			check(t, h.Rollback(old))
			audit(t, h, 1000)
			if n := h.Stats().Used; n != old.Size() {
				t.Fatalf("%d bytes are in use after the rollback, were %d", n, old.Size())
			}
		}
		for err := range h.Check() {
			t.Error(err)
		}
		if _, err := newer.ReadAt(make([]byte, 1), 0); !errors.Is(err, ErrClosed) {
			t.Errorf("reading a newer snapshot after the rollback: %v, want ErrClosed", err)
		}
		if _, err := newer.WriteTo(new(bytes.Buffer)); !errors.Is(err, ErrClosed) {
			t.Errorf("writing it: %v, want ErrClosed", err)
		}
		if err := h.Rollback(newer); !errors.Is(err, ErrClosed) {
			t.Errorf("rolling back to it: %v, want ErrClosed", err)
		}
		if s := h.Stats(); s.Rollbacks != 3 || s.RolledBack == 0 || s.WorstRollback == 0 {
			t.Errorf("%d rollbacks of %d pages, at worst %v", s.Rollbacks, s.RolledBack, s.WorstRollback)
		}
	})
}

// What lies beyond the snapshot is zero after a rollback, however it was emptied.
func TestRollbackShrinksTheHeap(t *testing.T) {
	eachHeapGuard(t, func(t *testing.T, o *Options) {
		h := have[*Heap](t)(New(o))
		defer closing(t, h)
		check(t, post(h, 10))
		s := have[*Snapshot](t)(h.Snapshot())
		for _, size := range []int{3 << 20, 40 << 20} {
			for range 2 {
				check(t, h.Update(func(m *Mem) error {
					off, err := m.alloc(uint64(size), 4096)
					if err != nil {
						return err
					}
					b := m.bytes(off, uint64(size))
					if i := bytes.IndexFunc(b, func(r rune) bool { return r != 0 }); i >= 0 {
						t.Fatalf("byte %d of fresh memory is not zero", i)
					}
					for i := range b {
						b[i] = 0xaa
					}
					return nil
				}))
				later := have[*Snapshot](t)(h.Snapshot()) // protects it all
				check(t, post(h, 10))
				closing(t, later)
				check(t, h.Rollback(s))
				audit(t, h, 10)
			}
		}
	})
}

func TestRollbackRefuses(t *testing.T) {
	eachHeapGuard(t, func(t *testing.T, o *Options) {
		h, other := have[*Heap](t)(New(o)), have[*Heap](t)(New(o))
		s, foreign := have[*Snapshot](t)(h.Snapshot()), have[*Snapshot](t)(other.Snapshot())
		if err := h.Rollback(foreign); !errors.Is(err, ErrForeign) {
			t.Errorf("to a foreign snapshot: %v, want ErrForeign", err)
		}
		for name, inside := range map[string]func(func(*Mem) error) error{"Update": h.Update, "View": h.View} {
			check(t, inside(func(*Mem) error {
				if err := h.Rollback(s); !errors.Is(err, ErrNested) {
					t.Errorf("Rollback inside %s: %v, want ErrNested", name, err)
				}
				if _, err := s.Fork(nil); !errors.Is(err, ErrNested) {
					t.Errorf("Fork inside %s: %v, want ErrNested", name, err)
				}
				return nil
			}))
		}
		closing(t, other)
		closing(t, h)
		if err := h.Rollback(s); !errors.Is(err, ErrClosed) {
			t.Errorf("of a closed heap: %v, want ErrClosed", err)
		}
		if _, err := s.Fork(nil); !errors.Is(err, ErrClosed) {
			t.Errorf("a fork of a closed heap's snapshot: %v, want ErrClosed", err)
		}
	})
}

func TestForksGoTheirOwnWay(t *testing.T) {
	eachHeapGuard(t, func(t *testing.T, o *Options) {
		h := have[*Heap](t)(New(o))
		check(t, post(h, 1000))
		s := have[*Snapshot](t)(h.Snapshot())
		check(t, post(h, 500))
		var told int64
		fo := *o
		fo.Progress = func(done, total int64) { told = done }
		f := have[*Heap](t)(s.Fork(&fo))
		defer closing(t, f)
		closing(t, s)
		check(t, post(h, 500))
		audit(t, h, 2000)
		closing(t, h)
		check(t, post(f, 1)) // from where s was, with its parent closed
		audit(t, f, 1001)
		check(t, f.Populate(t.Context()))
		if told == 0 {
			t.Error("nobody was told of the progress")
		}
		if n := f.Stats().Forks; n != 0 {
			t.Errorf("the fork has %d forks", n)
		}
		fs := have[*Snapshot](t)(f.Snapshot())
		ff := have[*Heap](t)(fs.Fork(nil))
		defer closing(t, ff)
		check(t, post(f, 100))
		check(t, post(ff, 1))
		audit(t, ff, 1002)
		check(t, f.Rollback(fs))
		audit(t, f, 1001)
		audit(t, ff, 1002)
	})
}

// A fork of a fork completes its parent first, and may outlive it.
func TestForkOfAFork(t *testing.T) {
	eachHeapGuard(t, func(t *testing.T, o *Options) {
		h := have[*Heap](t)(New(o))
		check(t, post(h, 1000))
		var all []*Heap
		for range 5 {
			s := have[*Snapshot](t)(h.Snapshot())
			f := have[*Heap](t)(s.Fork(nil))
			all = append(all, h)
			h = f
		}
		for _, h := range all {
			check(t, post(h, 10))
			closing(t, h)
		}
		audit(t, h, 1000)
		closing(t, h)
	})
}

func TestForkWithAnotherGuard(t *testing.T) {
	eachHeapGuard(t, func(t *testing.T, o *Options) {
		h := have[*Heap](t)(New(o))
		defer closing(t, h)
		check(t, post(h, 1000))
		s := have[*Snapshot](t)(h.Snapshot())
		check(t, post(h, 1))
		for _, g := range []arena.Guard{arena.GuardAuto, arena.GuardCopy} {
			f := have[*Heap](t)(s.Fork(&Options{Guard: g}))
			audit(t, f, 1000)
			closing(t, f)
		}
		check(t, h.Update(func(m *Mem) error {
			_, err := m.alloc(3<<20, 8)
			return err
		}))
		large := have[*Snapshot](t)(h.Snapshot())
		if _, err := large.Fork(&Options{Guard: o.Guard, MaxSize: 4096}); !errors.Is(err, ErrFull) {
			t.Errorf("a fork with too small a MaxSize: %v, want ErrFull", err)
		}
		audit(t, h, 1001)
	})
}

func TestPopulateOfAForkCanBeCancelled(t *testing.T) {
	eachHeapGuard(t, func(t *testing.T, o *Options) {
		h := have[*Heap](t)(New(o))
		defer closing(t, h)
		check(t, post(h, 1000))
		s := have[*Snapshot](t)(h.Snapshot())
		f := have[*Heap](t)(s.Fork(nil))
		defer closing(t, f)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := f.Populate(ctx); f.lazy != nil && !errors.Is(err, context.Canceled) {
			t.Errorf("populating with a cancelled context: %v", err)
		}
		check(t, f.Populate(t.Context()))
		audit(t, f, 1000)
	})
}

func TestRollbackWaitsForViews(t *testing.T) {
	eachHeapGuard(t, func(t *testing.T, o *Options) {
		h := have[*Heap](t)(New(o))
		defer closing(t, h)
		check(t, post(h, 10))
		s := have[*Snapshot](t)(h.Snapshot())
		check(t, post(h, 1))
		back := make(chan error, 1)
		check(t, h.View(func(m *Mem) error {
			r, err := Root[ledger](m, "ledger")
			if err != nil {
				return err
			}
			go func() { back <- h.Rollback(s) }()
			time.Sleep(20 * time.Millisecond) // it has come to the gate by then, or will not be noticed
			if n := r.Ptr(m).Position; n != 11 || len(back) > 0 {
				t.Errorf("inside a View that began before the rollback: position %d", n)
			}
			return nil
		}))
		check(t, <-back)
		audit(t, h, 10)
	})
}

// grow makes a heap larger than the smallest there is.
func grow(m *Mem) error {
	_, err := Alloc[[3 << 20]byte](m)
	return err
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
