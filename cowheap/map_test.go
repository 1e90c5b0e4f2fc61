package cowheap

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
)

// Whatever allocation of an insertion fails: nothing has changed, nothing is
// left behind, and the next attempt succeeds.
func TestMapOutOfMemoryAtEveryAllocation(t *testing.T) {
	t.Run("uint64", func(t *testing.T) { testMapOutOfMemory[uint64, uint64](t, 8000, numberKey) })
	t.Run("string", func(t *testing.T) { testMapOutOfMemory[string, uint8](t, 4000, textKeyOf) })
	t.Run("apart", func(t *testing.T) { testMapOutOfMemory[uint32, [50]uint64](t, 4000, numberKey) })
	t.Run("mixed", func(t *testing.T) {
		testMapOutOfMemory[mixed, struct{}](t, 4000, func(n int) mixed {
			return mixed{Name: textKeyOf(n), Tags: [2]string{textKeyOf(n), textKeyOf(n + 1)}}
		})
	})
}

func testMapOutOfMemory[K comparable, V any](t *testing.T, n int, key func(int) K) {
	inUpdate(t, 64<<20, func(m *Mem, b *testBacking) {
		mp := alloc[Map[K, V]](t, m)
		empty, most := b.objects(), 0
		for i := range n {
			for after := 0; ; after++ {
				header, objects := mp.mapHeader, b.objects()
				restore := b.fails(after)
				_, existed, err := mp.Slot(m, key(i))
				restore()
				if err == nil {
					if existed {
						t.Fatalf("key %d was there before", i)
					}
					most = max(most, after)
					break
				}
				if !errors.Is(err, ErrFull) {
					t.Fatal(err)
				}
				if mp.mapHeader != header || b.objects() != objects || mp.Ptr(m, key(i)) != nil {
					t.Fatalf("ErrFull at allocation %d of key %d: header %+v, before %+v; %d objects, before %d", after, i, mp.mapHeader, header, b.objects(), objects)
				}
			}
		}
		if most < 3 {
			t.Fatalf("no insertion made more than %d allocations: no directory was doubled", most)
		}
		if err := checkMap(m, &mp.mapHeader, mapTypeOf[K, V]()); err != nil {
			t.Fatal(err)
		}
		mp.Clear(m)
		if b.objects() != empty {
			t.Fatalf("Clear left %d objects", b.objects()-empty)
		}
	})
}

func TestMapTablesStaySmallAndTheDirectoryToo(t *testing.T) {
	inUpdate(t, 64<<20, func(m *Mem, b *testBacking) {
		mp := alloc[Map[uint64, uint64]](t, m)
		mt := mapTypeOf[uint64, uint64]()
		const n = 300_000
		for i := range uint64(n) {
			if err := mp.Set(m, i, i); err != nil {
				t.Fatal(err)
			}
		}
		if err := checkMap(m, &mp.mapHeader, mt); err != nil {
			t.Fatal(err)
		}
		tables, slots := 0, uint64(0)
		for at := uint64(0); ; {
			table := mp.table(m, at)
			tables++
			slots += (uint64(table.mask) + 1) * groupSlots
			if groups := uint64(table.mask) + 1; groups > mt.maxGroups {
				t.Errorf("a table has %d groups, at most %d are meant to be", groups, mt.maxGroups)
			}
			if at += spanOf(table.depth); at == 0 {
				break
			}
		}
		if places := 1 << mp.depth; places > 8*tables {
			t.Errorf("%d places in the directory for %d tables", places, tables)
		}
		if slots > 2*n {
			t.Errorf("%d slots for %d entries", slots, n)
		}
	})
}

func TestMapKeepsItsSizeWhileKeysComeAndGo(t *testing.T) {
	inUpdate(t, 16<<20, func(m *Mem, b *testBacking) {
		mp := alloc[Map[uint64, uint64]](t, m)
		for i := range uint64(200_000) {
			if err := mp.Set(m, i, i); err != nil {
				t.Fatal(err)
			}
			if i >= 500 {
				mp.Delete(m, i-500)
			}
		}
		if mp.depth != 0 || mp.table(m, 0).mask > 127 {
			t.Errorf("500 entries at a time made a map of depth %d, first table %+v", mp.depth, *mp.table(m, 0))
		}
	})
}

func TestMapClearEndsIterations(t *testing.T) {
	for _, refill := range []bool{false, true} {
		inUpdate(t, 64<<20, func(m *Mem, b *testBacking) {
			mp := alloc[Map[uint64, uint64]](t, m)
			for i := range uint64(20_000) {
				must[struct{}](t)(struct{}{}, mp.Set(m, i, i))
			}
			n := 0
			for k := range mp.All(m) {
				if n++; n == 9000 {
					mp.Clear(m)
					if refill {
						for i := range uint64(5000) {
							must[struct{}](t)(struct{}{}, mp.Set(m, i, i))
						}
					}
				}
				if n > 9000 && (!refill || k >= 5000) {
					t.Fatalf("%d is produced after Clear", k)
				}
			}
		})
	}
}

// What a map of containers gives back, and what it frees.
func TestMapOfContainers(t *testing.T) {
	inUpdate(t, 1<<20, func(m *Mem, b *testBacking) {
		type nested struct {
			Name  String
			Inner Map[string, Vec[String]]
			N     int
		}
		mp := alloc[Map[string, nested]](t, m)
		empty := b.objects()
		fill := func(k string) {
			p, _, err := mp.Slot(m, k)
			must[*nested](t)(p, err)
			must[any](t)(nil, p.Name.Set(m, "name of "+k))
			p.N = len(k)
			v, _, err := p.Inner.Slot(m, "inner key that is long")
			must[any](t)(nil, err)
			must[any](t)(nil, v.Append(m, must[String](t)(NewString(m, "text"))))
		}
		fill("a")
		fill("b")
		if got := panics(func() { mp.Get(m, "a") }); !strings.Contains(got, "Map.Ptr") {
			t.Errorf("Get of a value with containers panics with %q, want a hint at Map.Ptr", got)
		}
		if got := panics(func() { mp.Set(m, "c", copyOf(mp.Ptr(m, "a"))) }); !strings.Contains(got, "must not be copied") {
			t.Errorf("Set of a copied container panics with %q", got)
		}
		if got := panics(func() { mp.Set(m, "d", nested{}) }); got != "" {
			t.Errorf("Set of empty containers panics with %q", got)
		}
		old, ok := mp.Delete(m, "a")
		if !ok || old.N != 1 || old.Name.Len() != 0 || old.Inner.Len() != 0 {
			t.Errorf("Delete returns N=%d, name of %d bytes, %d inner entries, %v: want N=1 and empty containers", old.N, old.Name.Len(), old.Inner.Len(), ok)
		}
		must[any](t)(nil, mp.Set(m, "b", nested{N: 7})) // frees what b had
		mp.Delete(m, "d")
		if mp.Delete(m, "b"); mp.Len() != 0 {
			t.Errorf("Len is %d, want 0", mp.Len())
		}
		if b.objects() != empty+1 { // the table
			t.Errorf("%d objects are left over", b.objects()-empty-1)
		}
	})
}

// A String may be got, and set again under the same key or within the value.
func TestMapSetKeepsStringsThatStay(t *testing.T) {
	type two struct{ A, B String }
	inUpdate(t, 1<<20, func(m *Mem, b *testBacking) {
		mp := alloc[Map[int, two]](t, m)
		v := two{must[String](t)(NewString(m, "first")), must[String](t)(NewString(m, "second"))}
		must[any](t)(nil, mp.Set(m, 1, v))
		objects := b.objects()
		got, _ := mp.Get(m, 1)
		got.A, got.B = got.B, got.A
		must[any](t)(nil, mp.Set(m, 1, got))
		p := mp.Ptr(m, 1)
		if p.A.Get(m) != "second" || p.B.Get(m) != "first" || b.objects() != objects {
			t.Errorf("swapped: %q %q with %d objects, want second first with %d", p.A.Get(m), p.B.Get(m), b.objects(), objects)
		}
		got.B = String{}
		must[any](t)(nil, mp.Set(m, 1, got))
		if p := mp.Ptr(m, 1); p.A.Get(m) != "second" || p.B.Get(m) != "" || b.objects() != objects-1 {
			t.Errorf("one dropped: %q %q with %d objects, want second and one less than %d", p.A.Get(m), p.B.Get(m), b.objects(), objects)
		}
	})
}

// Arrays of containers are containers, too.
func TestMapOfArraysOfContainers(t *testing.T) {
	type value struct {
		Texts [2][2]String
		Vecs  [3]Vec[int]
		N     int
	}
	inUpdate(t, 1<<20, func(m *Mem, b *testBacking) {
		mp := alloc[Map[int, value]](t, m)
		texts := alloc[Map[int, [2][2]String]](t, m)
		empty := b.objects()
		p, _, err := mp.Slot(m, 1)
		must[any](t)(nil, err)
		must[any](t)(nil, p.Texts[1][0].Set(m, "text"))
		must[any](t)(nil, p.Vecs[2].Append(m, 1, 2))
		if got := panics(func() { mp.Set(m, 2, copyOf(mp.Ptr(m, 1))) }); !strings.Contains(got, "must not be copied") {
			t.Errorf("Set of a copied array of containers panics with %q", got)
		}
		must[any](t)(nil, mp.Set(m, 1, value{N: 3}))
		if b.objects() != empty+2 { // the table and the value, which is apart
			t.Errorf("%d objects after Set of an empty value", b.objects()-empty)
		}
		must[any](t)(nil, mp.Ptr(m, 1).Vecs[0].Append(m, 1))
		if old, ok := mp.Delete(m, 1); !ok || old.N != 3 || old.Vecs[0].Len() != 0 {
			t.Errorf("Delete returns N=%d with a Vec of %d, want 3 and 0", old.N, old.Vecs[0].Len())
		}

		a := must[String](t)(NewString(m, "a"))
		must[any](t)(nil, texts.Set(m, 1, [2][2]String{{a}}))
		must[any](t)(nil, texts.Set(m, 1, [2][2]String{1: {1: a}}))
		if got := texts.Ptr(m, 1)[1][1].Get(m); got != "a" {
			t.Errorf("a String that was moved within its value is %q, want a", got)
		}
		must[any](t)(nil, texts.Set(m, 1, [2][2]String{}))
		mp.Clear(m)
		texts.Clear(m)
		if b.objects() != empty {
			t.Errorf("%d objects are left over", b.objects()-empty)
		}
	})
}

func TestMapLoopsEndEarly(t *testing.T) {
	inUpdate(t, 1<<20, func(m *Mem, b *testBacking) {
		mp := alloc[Map[int, int]](t, m)
		for range mp.All(m) {
			t.Error("an empty map produces something")
		}
		for i := range 100 {
			must[any](t)(nil, mp.Set(m, i, 2*i))
		}
		var keys []int
		for k := range mp.Keys(m) {
			if keys = append(keys, k); len(keys) == 3 {
				break
			}
		}
		sum := 0
		for v := range mp.Values(m) {
			sum += *v
			*v = 0
		}
		if len(keys) != 3 || sum != 9900 {
			t.Errorf("%d keys before break, values add up to %d, want 3 and 9900", len(keys), sum)
		}
		for k := range mp.Keys(m) { // every entry while it is the current one
			mp.Delete(m, k)
		}
		if mp.Len() != 0 {
			t.Errorf("%d entries are left", mp.Len())
		}
	})
}

func TestShortTextMatchesItsBytes(t *testing.T) {
	inUpdate(t, 1<<20, func(m *Mem, b *testBacking) {
		p := alloc[textKey](t, m)
		var all []textKey
		for n := range 18 {
			s := patternedKey(n)
			k, err := m.keepText(s)
			must[any](t)(nil, err)
			*p = k
			if got := textAt(m, p); got != s {
				t.Errorf("text of %d bytes comes back as %q, want %q", n, got, s)
			}
			if k.long() != (n > maxShortText) {
				t.Errorf("text of %d bytes: long is %v", n, k.long())
			}
			if slices.Contains(all, k) {
				t.Errorf("text of %d bytes equals a shorter one", n)
			}
			all = append(all, k)
			for i := range n { // every byte counts
				c := []byte(s)
				c[i]++
				if textAtIs(m, p, string(c)) {
					t.Errorf("text of %d bytes equals one that differs in byte %d", n, i)
				}
			}
			if textAtIs(m, p, s+"\x00") || !textAtIs(m, p, s) {
				t.Errorf("text of %d bytes: wrong length is equal, or right one is not", n)
			}
		}
	})
}

func TestMapSlotSizes(t *testing.T) {
	for _, c := range []struct {
		mt                       *mapType
		class                    keyClass
		valAt, slotSize, maximum uint64
	}{
		{mapTypeOf[uint64, uint64](), keyWord8, 8, 16, 128},
		{mapTypeOf[[8]byte, bool](), keyWord8, 8, 9, 128},
		{mapTypeOf[int32, struct{}](), keyWord4, 4, 4, 128},
		{mapTypeOf[bool, uint64](), keyWord1, 8, 16, 128},
		{mapTypeOf[uint8, uint16](), keyWord1, 2, 4, 128},
		{mapTypeOf[string, uint64](), keyText, 16, 24, 128},
		{mapTypeOf[Ref[int], uint64](), keyWord8, 8, 16, 128},
		{mapTypeOf[[3]byte, uint8](), keyBytes, 3, 4, 128},
		{mapTypeOf[uint64, [128]byte](), keyWord8, 8, 136, 32},
		{mapTypeOf[uint64, [129]byte](), keyWord8, 8, 16, 128},
		{mapTypeOf[mixed, uint8](), keyMixed, 56, 64, 64},
		{mapTypeOf[[1000]byte, uint64](), keyBytes, 1000, 1008, 8},
		{mapTypeOf[[4000]byte, uint64](), keyBytes, 4000, 4008, 4},
		{mapTypeOf[struct{}, struct{}](), keyBytes, 0, 1, 128},
	} {
		if c.mt.class != c.class || c.mt.valAt != c.valAt || c.mt.slotSize != c.slotSize || c.mt.maxGroups != c.maximum {
			t.Errorf("class %d, value at %d, slot of %d, at most %d groups; the format says %d, %d, %d, %d",
				c.mt.class, c.mt.valAt, c.mt.slotSize, c.mt.maxGroups, c.class, c.valAt, c.slotSize, c.maximum)
		}
	}
}

// The arena's bytes depend on the operations alone, whoever runs them.
func TestMapIsDeterministic(t *testing.T) {
	run := func(spawn bool) []uint64 {
		s, b := newTestSpace(t, 4<<20)
		var mp Ref[Map[string, padded]]
		step := func(fn func(m *Mem) error) {
			done := make(chan error, 1)
			if spawn {
				go func() { done <- s.update(fn) }()
			} else {
				done <- s.update(fn)
			}
			must[any](t)(nil, <-done)
		}
		step(func(m *Mem) (err error) { mp, err = Root[Map[string, padded]](m, "map"); return err })
		for i := range 3000 {
			step(func(m *Mem) error {
				if i%3 == 2 {
					mp.Ptr(m).Delete(m, fmt.Sprint("key number ", i/2))
					return nil
				}
				v := padded{A: 1, N: uint64(i)}
				if spawn {
					copy(gapOf(&v), "garbage")
				}
				return mp.Ptr(m).Set(m, fmt.Sprint("key number ", i), v)
			})
		}
		return b.mem
	}
	if !slices.Equal(run(false), run(true)) {
		t.Error("the same operations left different bytes")
	}
}

// Tables may grow beyond what a reference can say of their size.
func TestMapTableOfVeryManyGroups(t *testing.T) {
	inUpdate(t, 32<<20, func(m *Mem, b *testBacking) {
		mp := alloc[Map[uint64, uint64]](t, m)
		mt := mapTypeOf[uint64, uint64]()
		mp.dir = uint64(must[tableRef](t)(m.newTable(mt, 1<<16, 0)))
		if mp.ref(m, 0)&manyGroups != manyGroups || mp.table(m, 0).mask != 1<<16-1 {
			t.Fatalf("reference %#x to %+v", mp.dir, *mp.table(m, 0))
		}
		for i := range uint64(300_000) {
			must[any](t)(nil, mp.Set(m, i, i))
		}
		for i := range uint64(300_001) {
			if v, ok := mp.Get(m, i); ok != (i < 300_000) || ok && v != i {
				t.Fatalf("Get(%d) is %d %v", i, v, ok)
			}
		}
		if err := checkMap(m, &mp.mapHeader, mt); err != nil {
			t.Fatal(err)
		}
	})
}
