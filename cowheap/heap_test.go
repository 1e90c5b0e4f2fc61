package cowheap

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cowheap/cowheap/arena"
	"github.com/cowheap/cowheap/checkpoint"
)

// eachHeapGuard runs test with every guard that works here.
func eachHeapGuard(t *testing.T, test func(t *testing.T, o *Options)) {
	for _, p := range arena.Probe() {
		t.Run(p.Guard.String(), func(t *testing.T) {
			if p.Err != nil {
				t.Skip(p.Err)
			}
			test(t, &Options{Guard: p.Guard, MaxSize: 256 << 20})
		})
	}
}

type ledger struct {
	Position uint64 // of the log, frozen with the state
	Names    Map[string, uint64]
	List     Vec[uint64]
}

// post adds n entries.
func post(h *Heap, n int) error {
	return h.Update(func(m *Mem) error {
		r, err := Root[ledger](m, "ledger")
		if err != nil {
			return err
		}
		l := r.Ptr(m)
		for range n {
			l.Position++
			if err := l.Names.Set(m, fmt.Sprint("name ", l.Position), l.Position); err != nil {
				return err
			}
			if err := l.List.Append(m, l.Position); err != nil {
				return err
			}
		}
		return nil
	})
}

// audit checks that h holds exactly n entries.
func audit(t testing.TB, h *Heap, n int) {
	t.Helper()
	err := h.View(func(m *Mem) error {
		r, err := Root[ledger](m, "ledger")
		if err != nil {
			return err
		}
		l := r.Ptr(m)
		if l.Position != uint64(n) || l.Names.Len() != n || l.List.Len() != n {
			return fmt.Errorf("position %d, %d names, %d in the list: want %d", l.Position, l.Names.Len(), l.List.Len(), n)
		}
		for i, v := range l.List.Slice(m) {
			if got, ok := l.Names.Get(m, fmt.Sprint("name ", i+1)); v != uint64(i+1) || !ok || got != v {
				return fmt.Errorf("entry %d: %d in the list, %d (%v) by name", i, v, got, ok)
			}
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	for err := range h.Check() {
		t.Error(err)
	}
}

func have[T any](t testing.TB) func(v T, err error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func closing(t testing.TB, c io.Closer) {
	t.Helper()
	if err := c.Close(); err != nil {
		t.Error(err)
	}
}

func TestCheckpointAndOpen(t *testing.T) {
	eachHeapGuard(t, func(t *testing.T, o *Options) {
		dir := t.TempDir()
		h := have[*Heap](t)(Open(dir, o))
		if info, _ := h.Origin(); info.Path != "" {
			t.Errorf("a new heap says that it comes from %s", info.Path)
		}
		n := 0
		for range 3 {
			if err := post(h, 500); err != nil {
				t.Fatal(err)
			}
			n += 500
			info, err := h.Checkpoint(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			closing(t, h)
			for _, lazy := range []bool{false, true} {
				ro := *o
				ro.Lazy = lazy
				if h, err = Open(dir, &ro); err != nil {
					if lazy && errors.Is(err, ErrNotSupported) && !slices.Contains(lazyGuards, o.Guard) {
						h = have[*Heap](t)(Open(dir, o))
						continue
					}
					t.Fatal(err)
				}
				if got, skipped := h.Origin(); got.ID != info.ID || len(skipped) != 0 {
					t.Errorf("opened %v, skipped %v, want %v", got.ID, skipped, info.ID)
				}
				audit(t, h, n)
				if err := h.Populate(t.Context()); err != nil {
					t.Error(err)
				}
				audit(t, h, n)
				if !lazy {
					closing(t, h)
				}
			}
		}
		closing(t, h)
		if files, _ := filepath.Glob(filepath.Join(dir, "*.cowheap")); len(files) != 2 {
			t.Errorf("%d checkpoints are kept, want 2: %v", len(files), files)
		}
	})
}

func TestSnapshotShowsItsInstantWhileUpdatesGoOn(t *testing.T) {
	eachHeapGuard(t, func(t *testing.T, o *Options) {
		h := have[*Heap](t)(New(o))
		defer closing(t, h)
		var stop atomic.Bool
		var wg sync.WaitGroup
		var mu sync.Mutex
		if err := post(h, 1); err != nil {
			t.Fatal(err)
		}
		for range 3 {
			wg.Go(func() {
				for !stop.Load() {
					err := h.Update(func(m *Mem) error {
						mu.Lock()
						defer mu.Unlock()
						l := have[Ref[ledger]](t)(Root[ledger](m, "ledger")).Ptr(m)
						if l.Position == 20000 { // begin again
							l.Position = 0
							l.Names.Clear(m)
							l.List.Clear(m)
						}
						l.Position++
						return errors.Join(l.List.Append(m, l.Position), l.Names.Set(m, fmt.Sprint("name ", l.Position), l.Position))
					})
					if err != nil {
						t.Error(err)
						return
					}
				}
			})
		}
		for range 20 {
			s := have[*Snapshot](t)(h.Snapshot())
			var buf bytes.Buffer
			if n, err := s.WriteTo(&buf); err != nil || n != int64(buf.Len()) {
				t.Fatalf("%d bytes of %d: %v", n, buf.Len(), err)
			}
			tail := bytes.NewReader(append(buf.Bytes(), "tail"...))
			r := have[*Heap](t)(Restore(tail, o))
			if rest, _ := io.ReadAll(tail); string(rest) != "tail" {
				t.Errorf("%q left on the stream", rest)
			}
			var ref Ref[ledger]
			var n uint64
			if err := r.View(func(m *Mem) (err error) {
				ref, err = Root[ledger](m, "ledger")
				n = ref.Ptr(m).Position
				return err
			}); err != nil {
				t.Fatal(err)
			}
			audit(t, r, int(n))
			if l, err := ref.Load(s); err != nil || l.Position != n {
				t.Errorf("position %d by Load (%v), %d in the restored heap", l.Position, err, n)
			}
			closing(t, r)
			closing(t, s)
		}
		stop.Store(true)
		wg.Wait()
	})
}

func TestNestedCallsAreErrors(t *testing.T) {
	h := have[*Heap](t)(Open(t.TempDir(), nil))
	defer closing(t, h)
	err := h.Update(func(m *Mem) error {
		for name, call := range map[string]func() error{
			"Update":     func() error { return h.Update(func(*Mem) error { return nil }) },
			"View":       func() error { return h.View(func(*Mem) error { return nil }) },
			"Snapshot":   func() error { _, err := h.Snapshot(); return err },
			"Checkpoint": func() error { _, err := h.Checkpoint(context.Background()); return err },
			"Populate":   func() error { return h.Populate(context.Background()) },
			"Close":      h.Close,
			"Check": func() (first error) {
				for err := range h.Check() {
					return err
				}
				return nil
			},
		} {
			if err := call(); !errors.Is(err, ErrNested) {
				t.Errorf("%s inside Update: %v, want ErrNested", name, err)
			}
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

func TestAfterClose(t *testing.T) {
	eachHeapGuard(t, func(t *testing.T, o *Options) {
		h := have[*Heap](t)(Open(t.TempDir(), o))
		if err := post(h, 10); err != nil {
			t.Fatal(err)
		}
		s := have[*Snapshot](t)(h.Snapshot())
		closing(t, h)
		closing(t, h)
		for name, call := range map[string]func() error{
			"Update":     func() error { return h.Update(func(*Mem) error { return nil }) },
			"View":       func() error { return h.View(func(*Mem) error { return nil }) },
			"Snapshot":   func() error { _, err := h.Snapshot(); return err },
			"Checkpoint": func() error { _, err := h.Checkpoint(context.Background()); return err },
			"ReadAt":     func() error { _, err := s.ReadAt(make([]byte, 8), 0); return err },
			"WriteTo":    func() error { _, err := s.WriteTo(io.Discard); return err },
			"Save":       func() error { _, err := s.Save(context.Background()); return err },
		} {
			if err := call(); !errors.Is(err, ErrClosed) {
				t.Errorf("%s after Close: %v, want ErrClosed", name, err)
			}
		}
		_ = h.Stats()
		closing(t, s)
	})
}

func TestCloseEndsAWriteTo(t *testing.T) {
	eachHeapGuard(t, func(t *testing.T, o *Options) {
		h := have[*Heap](t)(New(o))
		defer closing(t, h)
		if err := post(h, 60000); err != nil {
			t.Fatal(err)
		}
		s := have[*Snapshot](t)(h.Snapshot())
		_, err := s.WriteTo(writerFunc(func(p []byte) (int, error) {
			closing(t, s)
			return len(p), nil
		}))
		if !errors.Is(err, ErrClosed) {
			t.Errorf("%v, want ErrClosed", err)
		}
	})
}

type writerFunc func(p []byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

func TestNoDirAndTwoHeapsInOneDirectory(t *testing.T) {
	h := have[*Heap](t)(New(nil))
	defer closing(t, h)
	if _, err := h.Checkpoint(t.Context()); !errors.Is(err, ErrNoDir) {
		t.Errorf("%v, want ErrNoDir", err)
	}
	dir := t.TempDir()
	one := have[*Heap](t)(Open(dir, nil))
	if _, err := Open(dir, nil); !errors.Is(err, ErrLocked) {
		t.Errorf("%v, want ErrLocked", err)
	}
	closing(t, one)
	closing(t, have[*Heap](t)(Open(dir, nil)))
}

func TestFullHeapChangesNothing(t *testing.T) {
	eachHeapGuard(t, func(t *testing.T, o *Options) {
		o.MaxSize = 4 << 20
		h := have[*Heap](t)(New(o))
		defer closing(t, h)
		n := 0
		for {
			err := post(h, 1)
			if errors.Is(err, ErrFull) {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			n++
		}
		for err := range h.Check() {
			t.Error(err)
		}
		s := have[*Snapshot](t)(h.Snapshot())
		if _, err := s.WriteTo(io.Discard); err != nil {
			t.Error(err)
		}
		closing(t, s)
		t.Logf("%d entries in %d bytes", n, h.Stats().Used)
	})
}

func TestOpenFallsBackAndNeverToAnEmptyHeap(t *testing.T) {
	eachHeapGuard(t, func(t *testing.T, o *Options) {
		dir := t.TempDir()
		h := have[*Heap](t)(Open(dir, o))
		var paths []string
		for range 2 {
			if err := post(h, 100); err != nil {
				t.Fatal(err)
			}
			info, err := h.Checkpoint(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			paths = append(paths, info.Path)
		}
		closing(t, h)
		flip(t, paths[1])
		h = have[*Heap](t)(Open(dir, o))
		info, skipped := h.Origin()
		if info.Path != paths[0] || len(skipped) != 1 || !strings.Contains(skipped[0].Error(), filepath.Base(paths[1])) {
			t.Errorf("opened %s, skipped %v", info.Path, skipped)
		}
		audit(t, h, 100)
		closing(t, h)
		flip(t, paths[0])
		if _, err := Open(dir, o); !errors.Is(err, ErrCorrupt) {
			t.Errorf("all damaged: %v, want ErrCorrupt", err)
		}
	})
}

// flip damages a page in the middle of a file.
func flip(t testing.TB, path string) {
	t.Helper()
	b := have[[]byte](t)(os.ReadFile(path))
	b[len(b)/2] ^= 0x10
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestCancelledCheckpointLeavesTheDirectoryAsItWas(t *testing.T) {
	dir := t.TempDir()
	h := have[*Heap](t)(Open(dir, nil))
	defer closing(t, h)
	if err := post(h, 100); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := h.Checkpoint(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("%v, want context.Canceled", err)
	}
	if files, _ := filepath.Glob(filepath.Join(dir, "*.cowheap*")); len(files) != 0 {
		t.Errorf("left behind: %v", files)
	}
	if s := h.Stats(); s.Snapshots != 0 {
		t.Errorf("%d snapshots are still open", s.Snapshots)
	}
}

func TestChangedLayoutIsSpelledOut(t *testing.T) {
	type v1 struct{ A, B uint32 }
	type v2 struct {
		A uint32
		C uint64
	}
	dir := t.TempDir()
	h := have[*Heap](t)(Open(dir, nil))
	if err := h.Update(func(m *Mem) error { _, err := Root[v1](m, "r"); return err }); err != nil {
		t.Fatal(err)
	}
	_ = have[checkpoint.Info](t)(h.Checkpoint(t.Context()))
	closing(t, h)
	h = have[*Heap](t)(Open(dir, nil))
	defer closing(t, h)
	err := h.View(func(m *Mem) error { _, err := Root[v2](m, "r"); return err })
	if !errors.Is(err, ErrLayout) || !strings.Contains(err.Error(), "B") || !strings.Contains(err.Error(), "C") {
		t.Errorf("%v, want ErrLayout that names B and C", err)
	}
}

// After Close mappings, descriptors and goroutines are what they were.
func TestNothingIsLeft(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("reads /proc")
	}
	eachHeapGuard(t, func(t *testing.T, o *Options) {
		round := func() {
			dir := t.TempDir()
			h := have[*Heap](t)(Open(dir, o))
			if err := post(h, 1000); err != nil {
				t.Fatal(err)
			}
			s := have[*Snapshot](t)(h.Snapshot())
			if err := post(h, 1000); err != nil {
				t.Fatal(err)
			}
			if _, err := h.Checkpoint(t.Context()); err != nil {
				t.Fatal(err)
			}
			_ = s // left to Close
			closing(t, h)
			lo := *o
			lo.Lazy = slices.Contains(lazyGuards, o.Guard)
			h = have[*Heap](t)(Open(dir, &lo))
			audit(t, h, 2000)
			// Forks, in all stages, that go before and after what they came from.
			if err := h.Update(grow); err != nil {
				t.Fatal(err)
			}
			s = have[*Snapshot](t)(h.Snapshot())
			touched, whole, of := have[*Heap](t)(s.Fork(nil)), have[*Heap](t)(s.Fork(nil)), have[*Heap](t)(s.Fork(nil))
			if _, err := s.Fork(&Options{Guard: o.Guard, MaxSize: 2 << 20}); !errors.Is(err, ErrFull) {
				t.Errorf("a fork too small for its snapshot: %v", err)
			}
			if err := h.Rollback(s); err != nil {
				t.Fatal(err)
			}
			if err := whole.Populate(t.Context()); err != nil {
				t.Fatal(err)
			}
			_ = have[*Snapshot](t)(of.Snapshot())
			last := have[*Heap](t)(have[*Snapshot](t)(of.Snapshot()).Fork(nil))
			closing(t, touched)
			closing(t, h)
			audit(t, of, 2000)
			closing(t, of)
			audit(t, last, 2000)
			closing(t, whole)
			closing(t, last)
		}
		count := func() (maps, fds, goroutines int) {
			runtime.GC()
			time.Sleep(20 * time.Millisecond) // goroutines that have ended leave
			b := have[[]byte](t)(os.ReadFile("/proc/self/maps"))
			d := have[[]os.DirEntry](t)(os.ReadDir("/proc/self/fd"))
			return bytes.Count(b, []byte("\n")), len(d), runtime.NumGoroutine()
		}
		round() // what the runtime makes once
		m1, f1, g1 := count()
		for range 10 {
			round()
		}
		m2, f2, g2 := count()
		// The Go heap's own mappings may grow by some.
		if m2 > m1+8 || f2 > f1 || g2 > g1 {
			t.Errorf("mappings %d to %d, descriptors %d to %d, goroutines %d to %d", m1, m2, f1, f2, g1, g2)
		}
	})
}

// Populate ends by holding writers off; a writer that it waits for may ask for
// figures.
func TestStatsInsideUpdateWhilePopulateWaits(t *testing.T) {
	dir := t.TempDir()
	h := have[*Heap](t)(Open(dir, nil))
	if err := post(h, 100); err != nil {
		t.Fatal(err)
	}
	if _, err := h.Checkpoint(t.Context()); err != nil {
		t.Fatal(err)
	}
	closing(t, h)
	h = have[*Heap](t)(Open(dir, &Options{Lazy: true, NoPrefetch: true}))
	defer closing(t, h)
	done := make(chan error)
	err := h.Update(func(m *Mem) error {
		go func() { done <- h.Populate(context.Background()) }()
		for range 100 {
			_ = h.Stats()
			time.Sleep(time.Millisecond)
		}
		return nil
	})
	if err := errors.Join(err, <-done); err != nil {
		t.Error(err)
	}
	audit(t, h, 100)
}

func TestResidentIsWhatIsInMemory(t *testing.T) {
	h, err := New(nil)
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	const size = 8 << 20
	var before, after int64
	err = h.Update(func(m *Mem) error {
		var err error
		if before, err = h.Resident(); err != nil {
			return err
		}
		r, err := Alloc[[size]byte](m)
		if err != nil {
			return err
		}
		b := r.Ptr(m)
		for i := range b {
			b[i] = 1
		}
		after, err = h.Resident()
		return err
	})
	if errors.Is(err, errors.ErrUnsupported) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	if after-before < size || after > h.Stats().Used {
		t.Errorf("%d, then %d resident; %d used", before, after, h.Stats().Used)
	}
	if err := h.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := h.Resident(); !errors.Is(err, ErrClosed) {
		t.Errorf("%v after Close", err)
	}
}
