package cowheap

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/cowheap/cowheap/arena"
)

func TestAllocIsZeroedAndAligned(t *testing.T) {
	h := must[*Heap](t)(New(nil))
	defer h.Close()
	must[any](t)(nil, h.Update(func(m *Mem) error {
		for range 100 {
			var refs []Ref[goodRow]
			for range 50 {
				r := must[Ref[goodRow]](t)(Alloc[goodRow](m))
				b := bytesOf(r.Ptr(m))
				if r.IsNil() || len(bytes.Trim(b, "\x00")) > 0 || r.off%8 != 0 {
					t.Fatalf("%#x holds %x", r.off, b)
				}
				for i := range b {
					b[i] = 0xee
				}
				refs = append(refs, r)
			}
			for _, r := range refs {
				clear(bytesOf(r.Ptr(m))) // what is no container may not be freed as one
				must[any](t)(nil, Free(m, r))
			}
		}
		return nil
	}))
}

func TestNilRef(t *testing.T) {
	inUpdate(t, 1<<20, func(m *Mem, b *testBacking) {
		var r Ref[goodRow]
		if r.Ptr(m) != nil || !r.IsNil() || Free(m, r) != nil {
			t.Errorf("the nil Ref: %v %v", r.Ptr(m), r.IsNil())
		}
	})
}

func TestFreeOfWhatIsNotAllocated(t *testing.T) {
	h := must[*Heap](t)(New(nil))
	defer h.Close()
	type small struct{ N int64 }
	must[any](t)(nil, h.Update(func(m *Mem) error {
		plain := must[Ref[[64]byte]](t)(Alloc[[64]byte](m))
		row := must[Ref[goodRow]](t)(Alloc[goodRow](m))
		tiny := must[Ref[small]](t)(Alloc[small](m))
		must[any](t)(nil, Free(m, plain))
		must[any](t)(nil, Free(m, row))
		for _, err := range []error{
			Free(m, plain), Free(m, row),
			Free(m, Ref[goodRow]{off: row.off + 16}), Free(m, Ref[goodRow]{off: 1 << 50}),
		} {
			if _, ok := errors.AsType[*arena.FreeError](err); !ok {
				t.Errorf("%v, want an *arena.FreeError", err)
			}
		}
		if err := Free(m, Ref[goodRow]{off: tiny.off}); err == nil || !strings.Contains(err.Error(), "stale") {
			t.Errorf("freeing as a larger type: %v", err)
		}
		for err := range h.a.Check() {
			t.Error(err)
		}
		return Free(m, tiny)
	}))
}

func TestFreeFreesContainersAndNoRefs(t *testing.T) {
	inUpdate(t, 8<<20, func(m *Mem, b *testBacking) {
		empty := b.objects()
		type part struct {
			Names [3]String
			By    Map[string, Vec[String]]
		}
		type whole struct {
			Parts [2]part
			More  Vec[part]
			Other Ref[uint64]
		}
		other := must[Ref[uint64]](t)(Alloc[uint64](m))
		r := must[Ref[whole]](t)(Alloc[whole](m))
		w := r.Ptr(m)
		w.Other = other
		must[any](t)(nil, w.More.Append(m, part{}, part{}))
		for i := range 4 {
			p := &w.Parts[i%2]
			if i >= 2 {
				p = &w.More.Slice(m)[i%2]
			}
			for j := range p.Names {
				must[any](t)(nil, p.Names[j].Set(m, "a name"))
			}
			for n := range 2000 {
				v, _, err := p.By.Slot(m, textKeyOf(n))
				must[any](t)(nil, err)
				must[any](t)(nil, v.Append(m, must[String](t)(NewString(m, "text"))))
			}
		}
		must[any](t)(nil, Free(m, r))
		if b.objects() != empty+1 {
			t.Errorf("%d objects left, want 1", b.objects()-empty)
		}
		must[any](t)(nil, Free(m, other))
	})
}

// Inlining is what makes Ptr an addition: see the assembly of this.
func BenchmarkPtr(b *testing.B) {
	benchmarkInUpdate(b, func(m *Mem) {
		r, _ := Alloc[uint64](m)
		for b.Loop() {
			*r.Ptr(m)++
		}
	})
}

func BenchmarkAllocFree(b *testing.B) {
	benchmarkInUpdate(b, func(m *Mem) {
		for b.Loop() {
			r, err := Alloc[goodKey](m)
			if err != nil {
				b.Fatal(err)
			}
			if err := Free(m, r); err != nil {
				b.Fatal(err)
			}
		}
	})
}
