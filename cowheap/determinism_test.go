package cowheap

import (
	"bytes"
	"math/rand/v2"
	"runtime"
	"testing"

	"github.com/cowheap/cowheap/arena"
)

// TestBytesDependOnOperationsAlone: the same Updates, one at a time, leave the same bytes,
// whoever runs them and on how many processors; also when what came before ran elsewhere
// and was restored here.
func TestBytesDependOnOperationsAlone(t *testing.T) {
	var want []byte
	for _, processors := range []int{1, 2, 8} {
		for _, moved := range []bool{false, true} {
			got := runOn(t, processors, moved)
			if want == nil {
				want = got
			}
			if !bytes.Equal(got, want) {
				n := min(len(got), len(want))
				at := 0
				for at < n && got[at] == want[at] {
					at++
				}
				t.Errorf("%d processors, moved %v: %d bytes, not %d; the first difference is at %#x", processors, moved, len(got), len(want), at)
			}
		}
	}
}

type determined struct {
	Refs  Vec[Ref[[64]byte]]
	Names Map[uint32, String]
	Big   Vec[[100]byte]
}

// runOn runs Updates, each on a goroutine of its own, and answers all bytes.
func runOn(t *testing.T, processors int, moved bool) []byte {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(processors))
	o := &Options{Guard: arena.GuardCopy, MaxSize: 64 << 20, Seed: 7}
	h, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	r := rand.New(rand.NewPCG(8, 9))
	for i := range 300 {
		done := make(chan error)
		go func() { done <- h.Update(func(m *Mem) error { return allocateAndFree(m, r) }) }()
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		if i == 200 {
			if err := h.Trim(); err != nil {
				t.Fatal(err)
			}
		}
		if moved && i%100 == 50 {
			h = moveTo(t, h, o)
		}
	}
	for err := range h.Check() {
		t.Error(err)
	}
	var all []byte
	if err := h.View(func(m *Mem) error {
		all = bytes.Clone(m.bytes(0, m.space.arena.High()))
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if err := h.Close(); err != nil {
		t.Fatal(err)
	}
	return all
}

// allocateAndFree changes containers, and objects by themselves.
func allocateAndFree(m *Mem, r *rand.Rand) error {
	root, err := Root[determined](m, "determined")
	if err != nil {
		return err
	}
	d := root.Ptr(m)
	for range 50 {
		switch r.IntN(5) {
		case 0, 1:
			ref, err := Alloc[[64]byte](m)
			if err != nil {
				return err
			}
			ref.Ptr(m)[5] = byte(r.Uint32())
			if err := d.Refs.Append(m, ref); err != nil {
				return err
			}
		case 2:
			refs := d.Refs.Slice(m)
			if len(refs) == 0 {
				continue
			}
			at := r.IntN(len(refs))
			if err := Free(m, refs[at]); err != nil {
				return err
			}
			refs[at] = refs[len(refs)-1]
			d.Refs.Truncate(m, len(refs)-1)
		case 3:
			s, err := NewString(m, string(make([]byte, r.IntN(400))))
			if err != nil {
				return err
			}
			if err := d.Names.Set(m, r.Uint32N(500), s); err != nil {
				return err
			}
		default:
			if err := d.Big.Append(m, make([][100]byte, r.IntN(20))...); err != nil {
				return err
			}
		}
	}
	return nil
}

// moveTo goes on in a heap that was restored from a stream.
func moveTo(t *testing.T, h *Heap, o *Options) *Heap {
	t.Helper()
	s, err := h.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if _, err := s.WriteTo(&b); err != nil {
		t.Fatal(err)
	}
	again, err := Restore(&b, o)
	if err != nil {
		t.Fatal(err)
	}
	if err := h.Close(); err != nil {
		t.Fatal(err)
	}
	return again
}

// TestTrimOfAHeap: refused from inside, and what is allocated stays.
func TestTrimOfAHeap(t *testing.T) {
	eachHeapGuard(t, func(t *testing.T, o *Options) {
		h, err := New(o)
		if err != nil {
			t.Fatal(err)
		}
		if err := h.Update(func(m *Mem) error {
			if err := h.Trim(); err != ErrNested {
				t.Errorf("Trim inside Update: %v", err)
			}
			var refs []Ref[[1 << 16]byte]
			for i := range 100 {
				r, err := Alloc[[1 << 16]byte](m)
				if err != nil {
					return err
				}
				r.Ptr(m)[0] = byte(i)
				r.Ptr(m)[5000] = 1
				refs = append(refs, r)
			}
			for _, r := range refs {
				if err := Free(m, r); err != nil {
					return err
				}
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		if err := h.Trim(); err != nil {
			t.Fatal(err)
		}
		if s := h.Stats(); s.Trims != 1 || s.Trimmed < 90*2*4096 {
			t.Errorf("%d trims, %d bytes given back", s.Trims, s.Trimmed)
		}
		if err := h.Close(); err != nil {
			t.Fatal(err)
		}
		if err := h.Trim(); err != ErrClosed {
			t.Errorf("Trim after Close: %v", err)
		}
	})
}
