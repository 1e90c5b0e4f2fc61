package cowheap

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// mapModel drives a Map beside a Go map.
type mapModel[K comparable, V any] struct {
	s        *space
	b        *testBacking
	m        *Mem
	t        *Map[K, V]
	model    map[K]uint64 // -> what the value was made from
	next     uint64
	objects  int        // allocated with t empty
	rand     *rand.Rand // seeded by what rapid draws, which is slow for each key
	keys     int        // number of different keys
	key      func(n int) K
	keep     func(K) K // a copy in Go memory
	put      func(t *rapid.T, mm *mapModel[K, V], k K, id uint64) error
	value    func(m *Mem, v *V) uint64 // what it was made from
	copyable bool
}

func (mm *mapModel[K, V]) randomKey() K { return mm.key(mm.rand.IntN(mm.keys)) }

// step makes an action start from a number that rapid can shrink and repeat.
func (mm *mapModel[K, V]) step(action func(*rapid.T)) func(*rapid.T) {
	return func(t *rapid.T) {
		mm.rand = rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "random"), 0))
		action(t)
	}
}

// anyKey is a key that is in the map every other time.
func (mm *mapModel[K, V]) anyKey() K {
	if len(mm.model) > 0 && mm.rand.IntN(2) == 0 {
		n := mm.rand.IntN(min(len(mm.model), 20))
		for k := range mm.t.Keys(mm.m) {
			if n--; n < 0 {
				return mm.keep(k)
			}
		}
	}
	return mm.randomKey()
}

func (mm *mapModel[K, V]) set(t *rapid.T, k K) {
	mm.next++
	if err := mm.put(t, mm, k, mm.next); err != nil {
		t.Fatalf("setting %v: %v", k, err)
	}
	mm.model[k] = mm.next
}

func (mm *mapModel[K, V]) check(t *rapid.T) {
	if err := checkMap(mm.m, &mm.t.mapHeader, mapTypeOf[K, V]()); err != nil {
		t.Fatal(err)
	}
	if mm.t.Len() != len(mm.model) {
		t.Fatalf("Len is %d, want %d", mm.t.Len(), len(mm.model))
	}
}

func (mm *mapModel[K, V]) checkAll(t *rapid.T) {
	got := make(map[K]uint64)
	for k, v := range mm.t.All(mm.m) {
		if _, twice := got[k]; twice {
			t.Fatalf("%v is produced twice", k)
		}
		got[mm.keep(k)] = mm.value(mm.m, v)
	}
	if !maps.Equal(got, mm.model) {
		t.Fatalf("iterating gives %d entries %v, want %d %v", len(got), got, len(mm.model), mm.model)
	}
}

func (mm *mapModel[K, V]) lookUp(t *rapid.T, k K) {
	want, has := mm.model[k]
	p := mm.t.Ptr(mm.m, k)
	if (p != nil) != has || has && mm.value(mm.m, p) != want {
		t.Fatalf("Ptr(%v) is %v, want %v %v", k, p, want, has)
	}
	if !mm.copyable {
		return
	}
	v, ok := mm.t.Get(mm.m, k)
	if ok != has || has && mm.value(mm.m, &v) != want {
		t.Fatalf("Get(%v) is %v %v, want %v %v", k, v, ok, want, has)
	}
}

func (mm *mapModel[K, V]) remove(t *rapid.T, k K) {
	_, has := mm.model[k]
	if _, ok := mm.t.Delete(mm.m, k); ok != has {
		t.Fatalf("Delete(%v) is %v, want %v", k, ok, has)
	}
	delete(mm.model, k)
}

// iterate ranges over the map and changes it meanwhile, by Go's rule.
func (mm *mapModel[K, V]) iterate(t *rapid.T) {
	stayed := maps.Clone(mm.model) // entries that were there all the time
	produced := make(map[uint64]K) // ids tell entries of one key apart
	budget := rapid.IntRange(0, 3000).Draw(t, "insertions while iterating")
	leave := rapid.IntRange(1, 5000).Draw(t, "leave after")
	burst := rapid.SampledFrom([]int{1, 1, 2, 50, 400}).Draw(t, "insertions in a row")
	clearAt := rapid.SampledFrom([]int{0, 0, 0, 3, 500}).Draw(t, "clear after")
	steps := 0
	for k, v := range mm.t.All(mm.m) {
		k = mm.keep(k)
		id, has := mm.model[k]
		if !has {
			t.Fatalf("%v is produced, which is not in the map", k)
		}
		if got := mm.value(mm.m, v); got != id {
			t.Fatalf("%v is produced with value %d, want %d", k, got, id)
		}
		if _, twice := produced[id]; twice {
			t.Fatalf("%v is produced twice", k)
		}
		produced[id] = k
		delete(stayed, k)
		if steps++; steps == leave {
			return
		}
		if steps%7 == 0 {
			gone := mm.anyKey()
			mm.remove(t, gone)
			delete(stayed, gone)
		}
		if steps%3 == 0 && budget > 0 {
			for range burst {
				budget--
				fresh := mm.randomKey()
				if _, has := mm.model[fresh]; has {
					continue // its id would change
				}
				mm.set(t, fresh)
			}
		}
		if steps == clearAt {
			mm.t.Clear(mm.m)
			clear(mm.model)
			clear(stayed)
		}
	}
	if len(stayed) > 0 {
		t.Fatalf("%d entries were there all the time and were not produced: %v", len(stayed), stayed)
	}
	mm.check(t)
}

func (mm *mapModel[K, V]) full(t *rapid.T) {
	k := mm.anyKey()
	before := mm.t.mapHeader
	defer mm.b.fails(rapid.IntRange(0, 3).Draw(t, "allocations that succeed"))()
	objects := mm.b.objects()
	err := mm.put(t, mm, k, mm.next+1)
	switch {
	case err == nil:
		mm.next++
		mm.model[k] = mm.next
	case !errors.Is(err, ErrFull):
		t.Fatalf("out of memory: %v, want ErrFull", err)
	case mm.t.mapHeader != before:
		t.Fatalf("ErrFull changed the header from %+v to %+v", before, mm.t.mapHeader)
	case mm.b.objects() != objects:
		t.Fatalf("ErrFull left %d allocations behind", mm.b.objects()-objects)
	}
}

func (mm *mapModel[K, V]) run(t *rapid.T) {
	s, b := newTestSpace(t, 64<<20)
	if err := s.update(func(m *Mem) error {
		mm.s, mm.b, mm.m, mm.model = s, b, m, map[K]uint64{}
		mm.t = must[Ref[Map[K, V]]](t)(Alloc[Map[K, V]](m)).Ptr(m)
		mm.objects = b.objects()
		mm.step(func(t *rapid.T) {
			for range rapid.IntRange(0, 3000).Draw(t, "entries to begin with") {
				mm.set(t, mm.randomKey())
			}
		})(t)
		actions := map[string]func(*rapid.T){
			"":        mm.check,
			"set":     mm.step(func(t *rapid.T) { mm.set(t, mm.anyKey()) }),
			"look up": mm.step(func(t *rapid.T) { mm.lookUp(t, mm.anyKey()) }),
			"delete":  mm.step(func(t *rapid.T) { mm.remove(t, mm.anyKey()) }),
			"iterate": mm.step(mm.iterate),
			"full":    mm.step(mm.full),
			"all":     mm.checkAll,
			"delete many": func(t *rapid.T) {
				n := rapid.IntRange(0, 1000).Draw(t, "how many")
				for k := range mm.t.Keys(m) {
					if n--; n < 0 {
						break
					}
					mm.remove(t, mm.keep(k))
				}
			},
			"clear": func(t *rapid.T) {
				if rapid.IntRange(0, 5).Draw(t, "really") > 0 {
					return
				}
				mm.t.Clear(m)
				clear(mm.model)
				if b.objects() != mm.objects {
					t.Fatalf("Clear left %d allocations behind", b.objects()-mm.objects)
				}
			},
		}
		t.Repeat(actions)
		mm.checkAll(t)
		mm.t.Clear(m)
		if b.objects() != mm.objects {
			t.Fatalf("Clear left %d allocations behind", b.objects()-mm.objects)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
}

func same[K any](k K) K { return k }

// plainModel is a model of a Map whose values are numbers.
func plainModel[K comparable](keys int, key func(int) K, keep func(K) K) *mapModel[K, uint64] {
	return &mapModel[K, uint64]{
		keys: keys, key: key, keep: keep, copyable: true,
		put:   func(t *rapid.T, mm *mapModel[K, uint64], k K, id uint64) error { return mm.t.Set(mm.m, k, id) },
		value: func(m *Mem, v *uint64) uint64 { return *v },
	}
}

type pair struct {
	A uint32
	B int16
	C [2]bool
}

type mixed struct {
	Kind uint64
	Name string
	Tags [2]string
}

// textKeyOf is short, of the longest that slots keep, or long.
func textKeyOf(n int) string {
	switch n % 4 {
	case 0:
		return strings.Repeat("\x00", n%5) + fmt.Sprint(n)
	case 1:
		return fmt.Sprintf("%015d", n)
	case 2:
		return fmt.Sprintf("%016d", n)
	}
	return fmt.Sprint("a key of some length, number ", n)
}

func numberKey[K ~uint64 | ~uint32 | ~uint16 | ~int8 | ~int32](n int) K { return K(n) }

func TestMapModel(t *testing.T) {
	t.Run("uint64", rapid.MakeCheck(plainModel(5000, numberKey[uint64], same).run))
	t.Run("int8", rapid.MakeCheck(plainModel(256, numberKey[int8], same).run))
	t.Run("uint16", rapid.MakeCheck(plainModel(3000, numberKey[uint16], same).run))
	t.Run("int32", rapid.MakeCheck(plainModel(3000, numberKey[int32], same).run))
	t.Run("bool", rapid.MakeCheck(plainModel(2, func(n int) bool { return n == 1 }, same).run))
	t.Run("empty", rapid.MakeCheck(plainModel(1, func(int) struct{} { return struct{}{} }, same).run))
	t.Run("string", rapid.MakeCheck(plainModel(5000, textKeyOf, strings.Clone).run))
	t.Run("pair", rapid.MakeCheck(plainModel(2000, func(n int) pair {
		return pair{A: uint32(n / 4), B: int16(-n), C: [2]bool{n%2 == 0, n%3 == 0}}
	}, same).run))
	t.Run("array", rapid.MakeCheck(plainModel(4000, func(n int) (a [3]uint64) {
		a[n%3] = uint64(n)
		return a
	}, same).run))
	t.Run("large", rapid.MakeCheck(plainModel(600, func(n int) (a [700]byte) {
		a[n], a[0] = 1, byte(n)
		return a
	}, same).run))
	t.Run("mixed", rapid.MakeCheck(plainModel(4000, func(n int) mixed {
		return mixed{Kind: uint64(n % 3), Name: textKeyOf(n / 3), Tags: [2]string{textKeyOf(n % 7), ""}}
	}, func(k mixed) mixed {
		return mixed{k.Kind, strings.Clone(k.Name), [2]string{strings.Clone(k.Tags[0]), strings.Clone(k.Tags[1])}}
	}).run))
}

// Keys that all have the same hash are slow, and nothing else.
func TestMapModelWithoutHash(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		mm := plainModel(1500, numberKey[uint64], same)
		put := mm.put
		mm.put = func(t *rapid.T, mm *mapModel[uint64, uint64], k, id uint64) error {
			mm.m.secrets = secrets{}
			return put(t, mm, k, id)
		}
		mm.run(t)
	})
}

type padded struct {
	A uint8
	N uint64
	B uint16
}

type record struct {
	Name String
	List Vec[uint64]
	More [2]Map[uint32, String]
	N    uint64
	_    [9]byte
}

func TestMapModelOfValues(t *testing.T) {
	t.Run("padded", rapid.MakeCheck((&mapModel[uint64, padded]{
		keys: 2000, key: numberKey[uint64], keep: same[uint64], copyable: true,
		put: func(t *rapid.T, mm *mapModel[uint64, padded], k, id uint64) error {
			v := padded{N: id, A: byte(id), B: uint16(id)}
			gapOf(&v)[0] = 0xff
			if err := mm.t.Set(mm.m, k, v); err != nil {
				return err
			}
			if gapOf(mm.t.Ptr(mm.m, k))[0] != 0 {
				t.Fatal("padding was copied into the heap")
			}
			return nil
		},
		value: func(m *Mem, v *padded) uint64 { return v.N },
	}).run))
	t.Run("apart", rapid.MakeCheck((&mapModel[string, [200]uint64]{
		keys: 2000, key: textKeyOf, keep: strings.Clone, copyable: true,
		put: func(t *rapid.T, mm *mapModel[string, [200]uint64], k string, id uint64) error {
			p, _, err := mm.t.Slot(mm.m, k)
			if err != nil {
				return err
			}
			p[0], p[199] = id, id
			return nil
		},
		value: func(m *Mem, v *[200]uint64) uint64 { return min(v[0], v[199]) },
	}).run))
	t.Run("text", rapid.MakeCheck((&mapModel[uint64, String]{
		keys: 2000, key: numberKey[uint64], keep: same[uint64], copyable: true,
		put: func(t *rapid.T, mm *mapModel[uint64, String], k, id uint64) error {
			v, err := NewString(mm.m, fmt.Sprint(id))
			if err != nil {
				return err
			}
			if err := mm.t.Set(mm.m, k, v); err != nil {
				v.Clear(mm.m)
				return err
			}
			return nil
		},
		value: func(m *Mem, v *String) (id uint64) { fmt.Sscan(v.Get(m), &id); return id },
	}).run))
	t.Run("containers", rapid.MakeCheck((&mapModel[uint64, record]{
		keys: 500, key: numberKey[uint64], keep: same[uint64],
		put: func(t *rapid.T, mm *mapModel[uint64, record], k, id uint64) error {
			m := mm.m
			if err := mm.t.Set(m, k, record{N: id}); err != nil { // frees what was there
				return err
			}
			again := mm.b.fails(-1) // from here on a failure would be one of the test
			defer again()
			p := mm.t.Ptr(m, k)
			if err := p.Name.Set(m, fmt.Sprint("name ", id)); err != nil {
				return err
			}
			if err := p.List.Append(m, id, id+1); err != nil {
				return err
			}
			s, err := p.More[1].Slot2(m, uint32(id))
			if err != nil {
				return err
			}
			return s.Set(m, "more")
		},
		value: func(m *Mem, v *record) uint64 {
			l := v.List.Slice(m)
			if !v.Name.Equal(m, fmt.Sprint("name ", v.N)) || l[0] != v.N || l[1] != v.N+1 ||
				v.More[0].Len() != 0 || !v.More[1].Ptr(m, uint32(v.N)).Equal(m, "more") {
				return 0
			}
			return v.N
		},
	}).run))
}

// Slot2 is Slot for a caller who does not ask whether it existed.
func (t *Map[K, V]) Slot2(m *Mem, k K) (*V, error) {
	p, _, err := t.Slot(m, k)
	return p, err
}
