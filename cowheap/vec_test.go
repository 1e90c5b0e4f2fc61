package cowheap

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/cowheap/cowheap/arena"
)

// vecModel drives a Vec beside a slice.
type vecModel[T any] struct {
	m       *Mem
	b       *testBacking
	v       *Vec[T]
	model   []T
	objects int
	elem    *rapid.Generator[T]
	equal   func(a, b T) bool
}

func (vm *vecModel[T]) check(t *rapid.T) {
	if !slices.EqualFunc(vm.v.Slice(vm.m), vm.model, vm.equal) {
		t.Fatalf("Slice is %v, want %v", vm.v.Slice(vm.m), vm.model)
	}
	if vm.v.Len() != len(vm.model) || vm.v.flag.word != 0 {
		t.Fatalf("Len is %d, want %d; flag %d", vm.v.Len(), len(vm.model), vm.v.flag.word)
	}
	if s := vm.v.Slice(vm.m); cap(s) != len(s) {
		t.Fatalf("Slice has room for %d, and %d elements: append would write over what is behind", cap(s), len(s))
	}
	if n := uint64(typeInfoOf[T]().size); n > 0 && vm.v.room > 0 {
		size := must[uint64](t)(vm.b.SizeOf(vm.v.off))
		if vm.v.n > vm.v.room || vm.v.room*n > size {
			t.Fatalf("%d elements, room for %d, in %d bytes", vm.v.n, vm.v.room, size)
		}
		if spare := vm.m.bytes(vm.v.off+vm.v.n*n, (vm.v.room-vm.v.n)*n); strings.Trim(string(spare), "\x00") != "" {
			t.Fatalf("room that is not in use has %x", spare)
		}
	}
}

func (vm *vecModel[T]) run(t *rapid.T) {
	s, b := newTestSpace(t, 16<<20)
	must[any](t)(nil, s.update(func(m *Mem) error {
		vm.m, vm.b, vm.v, vm.model = m, b, alloc[Vec[T]](t, m), nil
		vm.objects = b.objects()
		elems := func(t *rapid.T) []T { return rapid.SliceOfN(vm.elem, 0, 40).Draw(t, "elements") }
		t.Repeat(map[string]func(*rapid.T){
			"": vm.check,
			"append": func(t *rapid.T) {
				es := elems(t)
				must[any](t)(nil, vm.v.Append(m, es...))
				vm.model = append(vm.model, es...)
			},
			"append itself": func(t *rapid.T) {
				if n := uint64(len(vm.model)); n > 5000 || n*typeInfoOf[T]().size > 1<<20 {
					return
				}
				must[any](t)(nil, vm.v.Append(m, vm.v.Slice(m)...))
				vm.model = append(vm.model, vm.model...)
			},
			"write": func(t *rapid.T) {
				if len(vm.model) == 0 {
					return
				}
				i := rapid.IntRange(0, len(vm.model)-1).Draw(t, "i")
				e := vm.elem.Draw(t, "element")
				vm.v.Slice(m)[i], vm.model[i] = e, e
			},
			"truncate": func(t *rapid.T) {
				n := rapid.IntRange(0, len(vm.model)).Draw(t, "n")
				vm.v.Truncate(m, n)
				vm.model = vm.model[:n]
			},
			"full": func(t *rapid.T) {
				defer b.fails(0)()
				before := vm.v.vecHeader
				es := elems(t)
				switch err := vm.v.Append(m, es...); {
				case err == nil: // there was room
					vm.model = append(vm.model, es...)
				case !errors.Is(err, ErrFull) || vm.v.vecHeader != before:
					t.Fatalf("%v; %+v, before %+v", err, vm.v.vecHeader, before)
				}
			},
			"clear": func(t *rapid.T) {
				vm.v.Clear(m)
				vm.model = nil
				if b.objects() != vm.objects || vm.v.vecHeader != (vecHeader{}) {
					t.Fatalf("Clear left %d objects and %+v", b.objects()-vm.objects, vm.v.vecHeader)
				}
			},
		})
		return nil
	}))
}

func TestVecModel(t *testing.T) {
	t.Run("uint32", rapid.MakeCheck((&vecModel[uint32]{elem: rapid.Uint32(), equal: func(a, b uint32) bool { return a == b }}).run))
	t.Run("byte", rapid.MakeCheck((&vecModel[byte]{elem: rapid.Byte(), equal: func(a, b byte) bool { return a == b }}).run))
	t.Run("empty", rapid.MakeCheck((&vecModel[struct{}]{elem: rapid.Just(struct{}{}), equal: func(a, b struct{}) bool { return true }}).run))
	t.Run("padded", rapid.MakeCheck((&vecModel[padded]{
		elem: rapid.Custom(func(t *rapid.T) padded {
			return padded{A: rapid.Byte().Draw(t, "a"), N: rapid.Uint64().Draw(t, "n")}
		}),
		equal: func(a, b padded) bool { return a == b },
	}).run))
	t.Run("large", rapid.MakeCheck((&vecModel[[300]uint64]{
		elem:  rapid.Map(rapid.Uint64(), func(n uint64) (a [300]uint64) { a[0], a[299] = n, n; return a }),
		equal: func(a, b [300]uint64) bool { return a == b },
	}).run))
}

func TestVecPaddingIsNotCopied(t *testing.T) {
	inUpdate(t, 1<<20, func(m *Mem, b *testBacking) {
		v := alloc[Vec[padded]](t, m)
		elems := make([]padded, 3)
		for i := range elems {
			copy(gapOf(&elems[i]), "garbage")
		}
		must[any](t)(nil, v.Append(m, elems...))
		for i := range v.Slice(m) {
			if g := gapOf(&v.Slice(m)[i]); string(g) != "\x00\x00\x00\x00\x00\x00\x00" {
				t.Errorf("padding of element %d is %q", i, g)
			}
		}
	})
}

func TestVecOfContainersFreesThem(t *testing.T) {
	inUpdate(t, 1<<20, func(m *Mem, b *testBacking) {
		type tree struct {
			Name String
			Kids Vec[tree]
		}
		v := alloc[Vec[tree]](t, m)
		empty := b.objects()
		var grow func(v *Vec[tree], depth int)
		grow = func(v *Vec[tree], depth int) {
			for i := range 3 {
				name := must[String](t)(NewString(m, fmt.Sprint("node ", i)))
				must[any](t)(nil, v.Append(m, tree{Name: name}))
				if depth > 0 {
					grow(&v.Slice(m)[i].Kids, depth-1)
				}
			}
		}
		grow(v, 3)
		if got := v.Slice(m)[2].Kids.Slice(m)[1].Kids.Slice(m)[0].Name.Get(m); got != "node 0" {
			t.Errorf("grandchild is called %q", got)
		}
		if got := panics(func() { v.Append(m, copyOf(&v.Slice(m)[0])) }); !strings.Contains(got, "must not be copied") {
			t.Errorf("appending a copy of a container panics with %q", got)
		}
		if v.Len() != 3 || v.flag.word != 0 {
			t.Errorf("Len is %d, flag %d", v.Len(), v.flag.word)
		}
		before := b.objects()
		v.Truncate(m, 2)
		if got, want := b.objects(), before-(before-empty-1)/3; got != want {
			t.Errorf("%d objects after one of three trees was dropped, want %d", got, want)
		}
		v.Clear(m)
		if b.objects() != empty {
			t.Errorf("%d objects left", b.objects()-empty)
		}
	})
}

func TestVecTruncateOutOfRangePanics(t *testing.T) {
	inUpdate(t, 1<<20, func(m *Mem, b *testBacking) {
		v := alloc[Vec[int]](t, m)
		must[any](t)(nil, v.Append(m, 1, 2, 3))
		for _, n := range []int{-1, 4, math.MaxInt} {
			if panics(func() { v.Truncate(m, n) }) == "" {
				t.Errorf("Truncate(%d) of 3 elements does not panic", n)
			}
		}
		if v.Len() != 3 {
			t.Errorf("Len is %d, want 3", v.Len())
		}
	})
}

func TestVecTooLargeIsFull(t *testing.T) {
	inUpdate(t, 1<<20, func(m *Mem, b *testBacking) {
		v := alloc[Vec[[0x8000]byte]](t, m)
		elems := make([][0x8000]byte, 40)
		if err := v.Append(m, elems...); !errors.Is(err, ErrFull) || v.Len() != 0 {
			t.Errorf("%v with %d elements, want ErrFull with none", err, v.Len())
		}
	})
}

// TestLargeVecGrowsInPlace: with nothing behind it, a large Vec is not copied each time.
func TestLargeVecGrowsInPlace(t *testing.T) {
	h, err := New(&Options{Guard: arena.GuardCopy, MaxSize: 256 << 20})
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	if err := h.Update(func(m *Mem) error {
		r, err := Alloc[Vec[[1000]byte]](m)
		if err != nil {
			return err
		}
		// The allocator's tables grow now, and not at the end of the Vec.
		off, err := m.alloc(128<<20, 16)
		if err != nil {
			return err
		}
		m.release(off)
		v, moves := r.Ptr(m), 0
		for i := range 20_000 {
			old := v.off
			if err := v.Append(m, [1000]byte{1, byte(i), 999: 2}); err != nil {
				return err
			}
			if old != 0 && old != v.off && i > 1000 {
				moves++
			}
		}
		if moves != 0 {
			t.Errorf("a Vec of more than a mebibyte was copied %d times", moves)
		}
		for i, e := range v.Slice(m) {
			if e[1] != byte(i) || e[0] != 1 || e[999] != 2 {
				t.Fatalf("element %d is damaged", i)
			}
		}
		v.Clear(m)
		return Free(m, r)
	}); err != nil {
		t.Fatal(err)
	}
	for err := range h.Check() {
		t.Error(err)
	}
}
