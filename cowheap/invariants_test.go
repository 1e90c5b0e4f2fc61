//go:build invariants

package cowheap

import (
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"

	"github.com/cowheap/cowheap/arena"
)

func TestMemAfterItsFunctionPanics(t *testing.T) {
	s, _ := newTestSpace(t, 1<<20)
	e := filledEverything(t, s)
	var kept *Mem
	var r Ref[everything]
	must[any](t)(nil, s.update(func(m *Mem) (err error) {
		kept = m
		r, err = Root[everything](m, "everything")
		return err
	}))
	uses := readingMethods(kept, e)
	uses["Ref.Ptr"] = func() { r.Ptr(kept) }
	uses["Alloc"] = func() { Alloc[int](kept) }
	uses["Free"] = func() { Free(kept, r) }
	uses["String.Get"] = func() { e.S.Get(kept) }
	for name, write := range changingMethods(kept, e) {
		uses[name] = func() { write() }
	}
	must[any](t)(nil, s.update(func(*Mem) error { // though another is inside
		for name, use := range uses {
			if got := panics(use); !strings.Contains(got, "after its Update or View has returned") ||
				!strings.Contains(got, "invariants_test.go:") {
				t.Errorf("%s panics with %q", name, got)
			}
		}
		return nil
	}))
}

func TestRefOfAnotherHeapPanics(t *testing.T) {
	inUpdate(t, 1<<20, func(m *Mem, b *testBacking) {
		if got := panics(func() { Ref[int]{off: 1 << 19}.Ptr(m) }); !strings.Contains(got, "of another heap") {
			t.Errorf("panics with %q", got)
		}
	})
}

// line is where its caller is, as messages have it.
func line(plus int) string {
	_, _, n, _ := runtime.Caller(1)
	return fmt.Sprintf("cowheap/invariants_test.go:%d", n+plus)
}

type invHolder struct {
	N    int64
	List Vec[uint64]
	Name String
	Next Ref[invHolder]
}

func inInvariantHeap(t *testing.T, fn func(h *Heap, m *Mem)) {
	h := must[*Heap](t)(New(&Options{MaxSize: 64 << 20, Guard: arena.GuardCopy}))
	defer h.Close()
	must[any](t)(nil, h.Update(func(m *Mem) error { fn(h, m); return nil }))
}

func wantPanic(t *testing.T, use func(), parts ...string) {
	t.Helper()
	got := panics(use)
	for _, part := range parts {
		if !strings.Contains(got, part) {
			t.Errorf("panics with %q, want %q", got, part)
		}
	}
}

func TestStaleRefNamesWhereItWasAllocatedAndFreed(t *testing.T) {
	inInvariantHeap(t, func(h *Heap, m *Mem) {
		r := must[Ref[invHolder]](t)(Alloc[invHolder](m))
		allocated := line(-1)
		p := r.Ptr(m)
		must[any](t)(nil, p.List.Append(m, 1, 2, 3))
		must[any](t)(nil, Free(m, r))
		freed := line(-1)
		wantPanic(t, func() { r.Ptr(m) }, "Ref.Ptr of a cowheap.invHolder", "was freed", "allocated at "+allocated, "freed at "+freed)
		wantPanic(t, func() { p.List.Slice(m) }, "Vec.Slice", "was freed", "a cowheap.invHolder, allocated at "+allocated, "freed at "+freed)
		if b := bytesOf(p); b[0] != poison || b[len(b)-1] != poison {
			t.Errorf("freed memory is %x", b)
		}
		wantPanic(t, func() { p.Next.Ptr(m) }, "read from memory that was freed")
	})
}

func TestRefToSomethingElsePanics(t *testing.T) {
	inInvariantHeap(t, func(h *Heap, m *Mem) {
		type other struct{ A, B, C, D, E, F, G, H uint64 }
		type same struct { // recorded alike
			N    int64
			List Vec[uint64]
			Name String
			Next Ref[same]
		}
		r := must[Ref[invHolder]](t)(Alloc[invHolder](m))
		must[any](t)(nil, Free(m, r))
		freed := line(-1)
		o := must[Ref[other]](t)(Alloc[other](m))
		allocated := line(-1)
		if o.off != r.off {
			t.Fatalf("%#x was not given out again, but %#x", r.off, o.off)
		}
		if b := bytesOf(o.Ptr(m)); strings.Trim(string(b), "\x00") != "" {
			t.Errorf("allocated memory is %x", b)
		}
		wantPanic(t, func() { r.Ptr(m) }, "something else is there", "a cowheap.other, allocated at "+allocated,
			"where a cowheap.invHolder", "freed at "+freed)
		must[any](t)(nil, Free(m, o))
		s := must[Ref[same]](t)(Alloc[same](m))
		if (Ref[invHolder]{off: s.off}).Ptr(m) == nil {
			t.Error("a type that is recorded alike")
		}
		must[any](t)(nil, s.Ptr(m).List.Append(m, 1))
		wantPanic(t, func() { Ref[uint64]{off: s.Ptr(m).List.off}.Ptr(m) }, "something else is there: memory of a container")
		wantPanic(t, func() { Ref[uint64]{off: s.off + 8}.Ptr(m) }, "no beginning of an allocation")
	})
}

func TestContainerWhoseMemoryWasFreedPanics(t *testing.T) {
	inInvariantHeap(t, func(h *Heap, m *Mem) {
		r := must[Ref[invHolder]](t)(Alloc[invHolder](m))
		p := r.Ptr(m)
		must[any](t)(nil, p.List.Append(m, 1, 2, 3))
		must[any](t)(nil, p.Name.Set(m, "some text"))
		must[any](t)(nil, Free(m, Ref[[4]uint64]{off: p.List.off}))
		freed := line(-1)
		must[any](t)(nil, Free(m, Ref[[4]uint64]{off: p.Name.off}))
		wantPanic(t, func() { p.List.Slice(m) }, "was freed", "freed at "+freed)
		wantPanic(t, func() { p.Name.Get(m) }, "a String", "was freed")
	})
}

// What is not known is not judged.
func TestSitesFollowRollbackForkAndRestore(t *testing.T) {
	h := must[*Heap](t)(New(&Options{MaxSize: 64 << 20, Guard: arena.GuardCopy}))
	defer h.Close()
	var r, young Ref[invHolder]
	must[any](t)(nil, h.Update(func(m *Mem) error {
		r = must[Ref[invHolder]](t)(Alloc[invHolder](m))
		return r.Ptr(m).List.Append(m, 7)
	}))
	s := must[*Snapshot](t)(h.Snapshot())
	must[any](t)(nil, h.Update(func(m *Mem) error {
		must[any](t)(nil, Free(m, r))
		o := must[Ref[[64]byte]](t)(Alloc[[64]byte](m)) // in its place
		young = Ref[invHolder]{off: o.off}
		return nil
	}))
	fork := must[*Heap](t)(s.Fork(nil))
	defer fork.Close()
	must[any](t)(nil, h.Rollback(s))
	for _, h := range []*Heap{h, fork} {
		must[any](t)(nil, h.Update(func(m *Mem) error {
			if got := r.Ptr(m).List.Slice(m); len(got) != 1 || got[0] != 7 {
				t.Errorf("got %v", got)
			}
			_ = young.Ptr(m) // there is something as large
			must[any](t)(nil, Free(m, r))
			wantPanic(t, func() { r.Ptr(m) }, "was freed", "allocated at an unknown place and freed at cowheap/invariants_test.go")
			return nil
		}))
	}
}

func TestNestedGatesNameTheOuterOne(t *testing.T) {
	h := must[*Heap](t)(New(&Options{MaxSize: 1 << 20, Guard: arena.GuardCopy}))
	defer h.Close()
	outer := "entered at " + line(+1)
	must[any](t)(nil, h.Update(func(*Mem) error {
		_, snapshot := h.Snapshot()
		for name, err := range map[string]error{
			"Update": h.Update(func(*Mem) error { return nil }), "View": h.View(func(*Mem) error { return nil }),
			"Snapshot": snapshot, "Close": h.Close(),
		} {
			if !errors.Is(err, ErrNested) || !strings.Contains(err.Error(), outer) {
				t.Errorf("%s inside Update: %v", name, err)
			}
		}
		return nil
	}))
}
