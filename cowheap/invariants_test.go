//go:build invariants

package cowheap

import (
	"strings"
	"testing"
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
			if got := panics(use); !strings.Contains(got, "after its Update or View has returned") {
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
