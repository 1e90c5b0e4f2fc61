package cowheap

import (
	"errors"
	"iter"
	"math/bits"
	"runtime"
	"strings"
	"sync"
	"testing"
)

func TestUpdateOpensTheGateWhateverItsFunctionDoes(t *testing.T) {
	s, _ := newTestSpace(t, 1<<20)
	for name, run := range map[string]func(func(*Mem) error) error{"update": s.update, "view": s.view} {
		if err := run(func(*Mem) error { return errTest }); err != errTest {
			t.Errorf("%s: %v, want the function's error", name, err)
		}
		if got := panics(func() { run(func(*Mem) error { panic("of the test") }) }); got != "of the test" {
			t.Errorf("%s: the panic came out as %q", name, got)
		}
		var wg sync.WaitGroup
		wg.Go(func() { run(func(*Mem) error { runtime.Goexit(); return nil }) })
		wg.Wait()
	}
	mustClose(t, s.gate, gateNobody) // nobody was left inside
	s.gate.open()
}

func TestUpdateInsideUpdateIsRefused(t *testing.T) {
	s, _ := newTestSpace(t, 1<<20)
	other, _ := newTestSpace(t, 1<<20)
	for _, outer := range []func(func(*Mem) error) error{s.update, s.view} {
		must[any](t)(nil, outer(func(*Mem) error {
			for _, inner := range []func(func(*Mem) error) error{s.update, s.view} {
				if err := inner(func(*Mem) error { t.Error("it ran"); return nil }); !errors.Is(err, ErrNested) {
					t.Errorf("%v, want ErrNested", err)
				}
			}
			return other.update(func(*Mem) error { return nil }) // another heap's gate is another gate
		}))
	}
}

// Every goroutine has a Mem of its own, also beyond the number of slots.
func TestMemsAreNotShared(t *testing.T) {
	s, _ := newTestSpace(t, 1<<20)
	n := 3 * s.gate.slots()
	var mu sync.Mutex
	mems := map[*Mem]bool{}
	var wg, inside sync.WaitGroup
	inside.Add(n)
	for i := range n {
		run := s.update
		if i%2 == 0 {
			run = s.view
		}
		wg.Go(func() {
			run(func(m *Mem) error {
				mu.Lock()
				if mems[m] {
					t.Error("two goroutines have the same Mem")
				}
				mems[m] = true
				mu.Unlock()
				inside.Done()
				inside.Wait()
				if m.view != (i%2 == 0) || m.base != s.base || m.secrets != s.secrets {
					t.Errorf("Mem is %+v", m)
				}
				return nil
			})
		})
	}
	wg.Wait()
}

// everything is a value with one of each container, filled.
type everything struct {
	M Map[string, uint64]
	B BTree[string, uint64]
	F BTreeFunc[byName, uint64]
	Q Queue[uint64]
	V Vec[uint64]
	S String
}

func filledEverything(t *testing.T, s *space) (e *everything) {
	t.Helper()
	must[any](t)(nil, s.update(func(m *Mem) error {
		e = must[Ref[everything]](t)(Root[everything](m, "everything")).Ptr(m)
		must[any](t)(nil, e.M.Set(m, "key", 1))
		must[any](t)(nil, e.V.Append(m, 1, 2))
		must[any](t)(nil, e.S.Set(m, "text"))
		must[any](t)(nil, e.B.Set(m, "key", 1))
		must[any](t)(nil, e.F.Set(m, byName{Name: "key"}, 1))
		must[any](t)(nil, e.Q.Push(m, 1))
		return nil
	}))
	return e
}

func drain[A, B any](seq iter.Seq2[A, B]) {
	for range seq {
	}
}

func drain1[A any](seq iter.Seq[A]) {
	for range seq {
	}
}

// readingMethods and changingMethods are all methods of the containers that touch the heap.
func readingMethods(m *Mem, e *everything) map[string]func() {
	return map[string]func(){
		"Map.Get":    func() { e.M.Get(m, "key") },
		"Map.Ptr":    func() { e.M.Ptr(m, "key") },
		"Map.All":    func() { drain(e.M.All(m)) },
		"Map.Keys":   func() { drain1(e.M.Keys(m)) },
		"Map.Values": func() { drain1(e.M.Values(m)) },
		"Vec.Slice":  func() { e.V.Slice(m) },

		"BTree.Get":      func() { e.B.Get(m, "key") },
		"BTree.Ptr":      func() { e.B.Ptr(m, "key") },
		"BTree.All":      func() { drain(e.B.All(m)) },
		"BTree.Backward": func() { drain(e.B.Backward(m)) },
		"BTree.Ascend":   func() { drain(e.B.Ascend(m, "a")) },
		"BTree.Descend":  func() { drain(e.B.Descend(m, "z")) },
		"BTree.Min":      func() { e.B.Min(m) },
		"BTree.Max":      func() { e.B.Max(m) },

		"BTreeFunc.Get":      func() { e.F.Get(m, byName{Name: "key"}) },
		"BTreeFunc.Ptr":      func() { e.F.Ptr(m, byName{Name: "key"}) },
		"BTreeFunc.All":      func() { drain(e.F.All(m)) },
		"BTreeFunc.Backward": func() { drain(e.F.Backward(m)) },
		"BTreeFunc.Ascend":   func() { drain(e.F.Ascend(m, byName{})) },
		"BTreeFunc.Descend":  func() { drain(e.F.Descend(m, byName{Name: "z"})) },
		"BTreeFunc.Min":      func() { e.F.Min(m) },
		"BTreeFunc.Max":      func() { e.F.Max(m) },

		"Queue.Peek": func() { e.Q.Peek(m) },
		"Queue.All":  func() { drain1(e.Q.All(m)) },
	}
}

func changingMethods(m *Mem, e *everything) map[string]func() error {
	return map[string]func() error{
		"Map.Set":      func() error { return e.M.Set(m, "other", 1) },
		"Map.Slot":     func() error { _, _, err := e.M.Slot(m, "other"); return err },
		"Map.Delete":   func() error { e.M.Delete(m, "key"); return nil },
		"Map.Clear":    func() error { e.M.Clear(m); return nil },
		"Vec.Append":   func() error { return e.V.Append(m, 1) },
		"Vec.Truncate": func() error { e.V.Truncate(m, 0); return nil },
		"Vec.Clear":    func() error { e.V.Clear(m); return nil },

		"BTree.Set":    func() error { return e.B.Set(m, "other", 1) },
		"BTree.Slot":   func() error { _, _, err := e.B.Slot(m, "other"); return err },
		"BTree.Delete": func() error { e.B.Delete(m, "key"); return nil },
		"BTree.Clear":  func() error { e.B.Clear(m); return nil },

		"BTreeFunc.Set":    func() error { return e.F.Set(m, byName{}, 1) },
		"BTreeFunc.Slot":   func() error { _, _, err := e.F.Slot(m, byName{}); return err },
		"BTreeFunc.Delete": func() error { e.F.Delete(m, byName{Name: "key"}); return nil },
		"BTreeFunc.Clear":  func() error { e.F.Clear(m); return nil },

		"Queue.Push":  func() error { return e.Q.Push(m, 1) },
		"Queue.Slot":  func() error { _, err := e.Q.Slot(m); return err },
		"Queue.Pop":   func() error { e.Q.Pop(m); return nil },
		"Queue.Clear": func() error { e.Q.Clear(m); return nil },
	}
}

func container(method string) string {
	name, _, _ := strings.Cut(method, ".")
	return name
}

func TestViewChangesNothing(t *testing.T) {
	s, b := newTestSpace(t, 1<<20)
	e := filledEverything(t, s)
	objects := b.objects()
	must[any](t)(nil, s.view(func(m *Mem) error {
		for name, read := range readingMethods(m, e) {
			if got := panics(read); got != "" {
				t.Errorf("%s panics with %q", name, got)
			}
		}
		for name, write := range changingMethods(m, e) {
			var err error
			got := panics(func() { err = write() })
			if !errors.Is(err, ErrReadOnly) && !strings.Contains(got, name+" inside View") {
				t.Errorf("%s: error %v, panic %q; want ErrReadOnly, or a panic that says so", name, err, got)
			}
		}
		if _, err := Alloc[int](m); !errors.Is(err, ErrReadOnly) {
			t.Errorf("Alloc: %v", err)
		}
		if err := Free(m, Ref[int]{off: 8}); !errors.Is(err, ErrReadOnly) {
			t.Errorf("Free: %v", err)
		}
		if _, err := NewString(m, "x"); !errors.Is(err, ErrReadOnly) {
			t.Errorf("NewString: %v", err)
		}
		if err := e.S.Set(m, "x"); !errors.Is(err, ErrReadOnly) {
			t.Errorf("String.Set: %v", err)
		}
		if got := panics(func() { e.S.Clear(m) }); !strings.Contains(got, "inside View") {
			t.Errorf("String.Clear panics with %q", got)
		}
		if err := m.PrepareWrite(m.bytes(4096, 8)); !errors.Is(err, ErrReadOnly) {
			t.Errorf("PrepareWrite: %v", err)
		}
		if e.M.Len() != 1 || e.B.Len() != 1 || e.F.Len() != 1 || e.Q.Len() != 1 || e.V.Len() != 2 || !e.S.Equal(m, "text") || b.objects() != objects {
			t.Error("something has changed")
		}
		return nil
	}))
}

// pinning is a backing that counts what is pinned.
type pinning struct {
	backing
	pins int
}

func (p *pinning) Pin(off, n uint64) (unpin func(), err error) {
	p.pins++
	return func() { p.pins-- }, nil
}

func TestPreparedPagesArePinnedUntilTheUpdateReturns(t *testing.T) {
	s, _ := newTestSpace(t, 1<<20)
	p := &pinning{backing: s.arena}
	s.arena = p
	for _, end := range []func() error{func() error { return nil }, func() error { return errTest }, func() error { panic("of the test") }} {
		panics(func() {
			s.update(func(m *Mem) error {
				for n := range 3 {
					if err := m.PrepareWrite(m.bytes(4096*uint64(n+1), 8)); err != nil {
						t.Error(err)
					}
				}
				if p.pins != 3 {
					t.Errorf("%d ranges are pinned inside, want 3", p.pins)
				}
				return end()
			})
		})
		if p.pins != 0 {
			t.Errorf("%d ranges are pinned after the Update", p.pins)
		}
	}
}

func TestContainersOutsideOfTheHeapPanic(t *testing.T) {
	s, _ := newTestSpace(t, 1<<20)
	other, _ := newTestSpace(t, 1<<20)
	foreign := filledEverything(t, other)
	must[any](t)(nil, s.update(func(m *Mem) error {
		for where, e := range map[string]*everything{"in Go memory": {}, "in another heap": foreign} {
			for name, read := range readingMethods(m, e) {
				if got := panics(read); !strings.Contains(got, "not in this Mem's heap") {
					t.Errorf("%s %s panics with %q", name, where, got)
				}
			}
			for name, write := range changingMethods(m, e) {
				if got := panics(func() { write() }); !strings.Contains(got, "not in this Mem's heap") {
					t.Errorf("%s %s panics with %q", name, where, got)
				}
			}
		}
		return nil
	}))
	if foreign.M.Len() != 1 || foreign.B.Len() != 1 || foreign.F.Len() != 1 || foreign.Q.Len() != 1 || foreign.V.Len() != 2 {
		t.Error("the other heap has changed")
	}
}

func TestTwoWritersAtOncePanic(t *testing.T) {
	s, _ := newTestSpace(t, 1<<20)
	e := filledEverything(t, s)
	must[any](t)(nil, s.update(func(m *Mem) error {
		// As if another goroutine were in the middle of a change.
		e.M.flag.begin(mapName)
		e.V.flag.begin(vecName)
		e.B.flag.begin(btreeName)
		e.F.flag.begin(btreeFuncName)
		e.Q.flag.begin(queueName)
		for name, read := range readingMethods(m, e) {
			if got := panics(read); !strings.Contains(got, "concurrent read and write of a "+container(name)+":") {
				t.Errorf("%s beside a writer panics with %q", name, got)
			}
		}
		for name, write := range changingMethods(m, e) {
			if got := panics(func() { write() }); !strings.Contains(got, "concurrent writes to a "+container(name)+":") {
				t.Errorf("%s beside a writer panics with %q", name, got)
			}
		}
		e.M.flag.end(mapName)
		e.V.flag.end(vecName)
		e.B.flag.end(btreeName)
		e.F.flag.end(btreeFuncName)
		e.Q.flag.end(queueName)
		if e.M.Len() != 1 || e.B.Len() != 1 || e.F.Len() != 1 || e.Q.Len() != 1 || e.V.Len() != 2 {
			t.Error("something has changed")
		}
		for k := range e.M.Keys(m) { // a loop notices a writer that comes later
			e.M.flag.begin(mapName)
			defer e.M.flag.end(mapName)
			_ = k
			break
		}
		return nil
	}))
	must[any](t)(nil, s.update(func(m *Mem) error {
		got := panics(func() {
			for range e.M.All(m) {
				e.M.flag.begin(mapName)
			}
		})
		if !strings.Contains(got, "concurrent read and write of a Map") {
			t.Errorf("a loop beside a writer panics with %q", got)
		}
		return nil
	}))
}

func TestPrepareTellsTheArenaWhere(t *testing.T) {
	inUpdate(t, 1<<20, func(m *Mem, b *testBacking) {
		r := must[Ref[[100]byte]](t)(Alloc[[100]byte](m))
		p := r.Ptr(m)[10:30]
		if err := m.PrepareRead(p); err != (errPrepared{r.off + 10, 20, false}) {
			t.Errorf("PrepareRead: %+v", err)
		}
		if err := m.PrepareWrite(p); err != (errPrepared{r.off + 10, 20, true}) {
			t.Errorf("PrepareWrite: %+v", err)
		}
		if m.PrepareRead(nil) != nil || m.PrepareWrite(p[:0]) != nil {
			t.Error("no bytes are prepared")
		}
		if err := m.PrepareRead(make([]byte, 10)); err == nil || !strings.Contains(err.Error(), "not in this heap") {
			t.Errorf("bytes elsewhere: %v", err)
		}
	})
}

func TestMemsAndSlotsFillCacheLines(t *testing.T) {
	var m Mem
	var g gate
	if bits.UintSize != 64 {
		t.Skip("laid out for 64-bit processors")
	}
	if n := len(bytesOf(&m)); n != 128 {
		t.Errorf("a Mem has %d bytes, want 128", n)
	}
	if n := len(bytesOf(&window{})); n != 64 {
		t.Errorf("a window has %d bytes, want 64", n)
	}
	state, first, closers := uintptr(addr(&g.state)), uintptr(addr(&g.first)), uintptr(addr(&g.closers))
	if first-state < 64 || closers-first < 64 {
		t.Errorf("state, slot 0 and the rest are %d and %d bytes apart, want 64", first-state, closers-first)
	}
}
