package cowheap

import (
	"cmp"
	"errors"
	"fmt"
	"iter"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// ordered is what BTree and BTreeFunc have in common: everything.
type ordered[K, V any] interface {
	Get(m *Mem, k K) (V, bool)
	Ptr(m *Mem, k K) *V
	Slot(m *Mem, k K) (*V, bool, error)
	Set(m *Mem, k K, v V) error
	Delete(m *Mem, k K) (V, bool)
	Len() int
	Clear(m *Mem)
	All(m *Mem) iter.Seq2[K, *V]
	Backward(m *Mem) iter.Seq2[K, *V]
	Ascend(m *Mem, from K) iter.Seq2[K, *V]
	Descend(m *Mem, from K) iter.Seq2[K, *V]
	Keys(m *Mem) iter.Seq[K]
	Values(m *Mem) iter.Seq[*V]
	Min(m *Mem) (K, *V, bool)
	Max(m *Mem) (K, *V, bool)
	Load(m *Mem, entries iter.Seq2[K, V]) error
	typ() *treeType
}

// treeModel drives a tree beside a sorted slice.
type treeModel[K, V any] struct {
	m       *Mem
	b       *testBacking
	t       ordered[K, V]
	h       *treeHeader
	model   []treeModelEntry[K]
	next    uint64
	objects int // allocated with t empty
	rand    *rand.Rand
	keys    int // number of different keys
	most    int // entries to begin with

	make    func(t *rapid.T, m *Mem) (ordered[K, V], *treeHeader)
	compare func(a, b K) int
	key     func(n int) K
	keep    func(K) K // a copy in Go memory
	from    func(tm *treeModel[K, V], id uint64) (V, error)
	id      func(m *Mem, v *V) uint64 // inverse of from
	copied  bool                      // Get may be called
}

type treeModelEntry[K any] struct {
	k  K
	id uint64
}

func (tm *treeModel[K, V]) randomKey() K { return tm.key(tm.rand.IntN(tm.keys)) }

// anyKey is a key that is in the tree every other time.
func (tm *treeModel[K, V]) anyKey() K {
	if n := len(tm.model); n > 0 && tm.rand.IntN(2) == 0 {
		return tm.model[tm.rand.IntN(n)].k
	}
	return tm.randomKey()
}

func (tm *treeModel[K, V]) find(k K) (int, bool) {
	return slices.BinarySearchFunc(tm.model, k, func(e treeModelEntry[K], k K) int { return tm.compare(e.k, k) })
}

func (tm *treeModel[K, V]) noted(k K, id uint64) {
	if i, found := tm.find(k); found {
		tm.model[i].id = id
	} else {
		tm.model = slices.Insert(tm.model, i, treeModelEntry[K]{k, id})
	}
}

func (tm *treeModel[K, V]) set(t *rapid.T, k K) {
	tm.next++
	_, had := tm.find(k)
	v, err := tm.from(tm, tm.next)
	if err != nil {
		t.Fatal(err)
	}
	if tm.copied && tm.rand.IntN(3) == 0 {
		p, existed, err := tm.t.Slot(tm.m, k)
		if err != nil || existed != had {
			t.Fatalf("Slot(%v) existed: %v, want %v (%v)", k, existed, had, err)
		}
		if existed {
			if ti := typeInfoOf[V](); ti.owned != nil {
				tm.m.freeOwned(ti, addr(p))
			}
		}
		*p = v
	} else if err := tm.t.Set(tm.m, k, v); err != nil {
		t.Fatalf("Set(%v): %v", k, err)
	}
	tm.noted(k, tm.next)
}

func (tm *treeModel[K, V]) remove(t *rapid.T, k K) {
	i, has := tm.find(k)
	if _, ok := tm.t.Delete(tm.m, k); ok != has {
		t.Fatalf("Delete(%v) is %v, want %v", k, ok, has)
	}
	if has {
		tm.model = slices.Delete(tm.model, i, i+1)
	}
}

func (tm *treeModel[K, V]) check(t *rapid.T) {
	if err := checkTreeOf(tm.m, tm.h, tm.t.typ(), tm.compare); err != nil {
		t.Fatal(err)
	}
	if tm.t.Len() != len(tm.model) {
		t.Fatalf("Len is %d, want %d", tm.t.Len(), len(tm.model))
	}
}

func (tm *treeModel[K, V]) is(t *rapid.T, what string, k K, v *V, want treeModelEntry[K]) {
	if tm.compare(k, want.k) != 0 || tm.id(tm.m, v) != want.id {
		t.Fatalf("%s: %v with %d, want %v with %d", what, k, tm.id(tm.m, v), want.k, want.id)
	}
}

// sequence compares what a loop produces, up to a random number of entries.
func (tm *treeModel[K, V]) sequence(t *rapid.T, what string, seq iter.Seq2[K, *V], want []treeModelEntry[K], back bool) {
	n, leave := 0, len(want)+1
	if tm.rand.IntN(2) == 0 {
		leave = tm.rand.IntN(leave)
	}
	for k, v := range seq {
		if n == len(want) {
			t.Fatalf("%s: %v is too much", what, k)
		}
		e := want[n]
		if back {
			e = want[len(want)-1-n]
		}
		tm.is(t, what, k, v, e)
		if n++; n > leave {
			return
		}
	}
	if n < len(want) {
		t.Fatalf("%s: %d entries, want %d", what, n, len(want))
	}
}

func (tm *treeModel[K, V]) look(t *rapid.T) {
	m, k := tm.m, tm.anyKey()
	i, has := tm.find(k)
	p := tm.t.Ptr(m, k)
	if (p != nil) != has || has && tm.id(m, p) != tm.model[i].id {
		t.Fatalf("Ptr(%v) is %v, want %v", k, p, has)
	}
	if tm.copied {
		if v, ok := tm.t.Get(m, k); ok != has || has && tm.id(m, &v) != tm.model[i].id {
			t.Fatalf("Get(%v) is %v, %v", k, v, ok)
		}
	}
	upTo := i
	if has {
		upTo++
	}
	tm.sequence(t, "Ascend", tm.t.Ascend(m, k), tm.model[i:], false)
	tm.sequence(t, "Descend", tm.t.Descend(m, k), tm.model[:upTo], true)
	tm.sequence(t, "All", tm.t.All(m), tm.model, false)
	tm.sequence(t, "Backward", tm.t.Backward(m), tm.model, true)
	if n := len(tm.model); n > 0 {
		k, v, ok := tm.t.Min(m)
		tm.is(t, "Min", k, v, tm.model[0])
		k, v, ok2 := tm.t.Max(m)
		tm.is(t, "Max", k, v, tm.model[n-1])
		if !ok || !ok2 {
			t.Fatal("Min or Max of a tree with entries: not ok")
		}
	} else if _, _, ok := tm.t.Min(m); ok {
		t.Fatal("an empty tree has a Min")
	} else if _, _, ok := tm.t.Max(m); ok {
		t.Fatal("an empty tree has a Max")
	}
}

// iterate changes the tree while it goes through it: a loop goes on at the next
// key that is there.
func (tm *treeModel[K, V]) iterate(t *rapid.T) {
	back := tm.rand.IntN(2) == 0
	seq := tm.t.All(tm.m)
	if back {
		seq = tm.t.Backward(tm.m)
	}
	every := 1 + tm.rand.IntN(20)
	clearAt := tm.rand.IntN(4000)
	var last K
	steps := 0
	expect := func() (treeModelEntry[K], bool) {
		i, found := 0, false
		if steps > 0 {
			i, found = tm.find(last)
		}
		switch {
		case back && steps == 0:
			i = len(tm.model) - 1
		case back:
			i--
		case found:
			i++
		}
		if i < 0 || i >= len(tm.model) {
			return treeModelEntry[K]{}, false
		}
		return tm.model[i], true
	}
	for k, v := range seq {
		want, ok := expect()
		if !ok {
			t.Fatalf("%v is produced after the end", k)
		}
		tm.is(t, "loop", k, v, want)
		last = tm.keep(k)
		if steps++; steps > 600 {
			return
		}
		if steps%every == 0 {
			for range 1 + tm.rand.IntN(4) {
				switch tm.rand.IntN(4) {
				case 0:
					tm.remove(t, last)
				case 1:
					tm.remove(t, tm.anyKey())
				default:
					tm.set(t, tm.anyKey())
				}
			}
		}
		if steps == clearAt {
			tm.clear(t)
		}
	}
	if want, ok := expect(); ok {
		t.Fatalf("the loop ends after %v, and %v is there", last, want.k)
	}
}

func (tm *treeModel[K, V]) clear(t *rapid.T) {
	tm.t.Clear(tm.m)
	tm.model = nil
	if n := tm.b.objects(); n != tm.objects {
		t.Fatalf("Clear left %d allocations behind", n-tm.objects)
	}
}

// full runs out of memory, which changes nothing.
func (tm *treeModel[K, V]) full(t *rapid.T) {
	k := tm.anyKey()
	v, err := tm.from(tm, tm.next+1)
	if err != nil {
		t.Fatal(err)
	}
	before, objects := *tm.h, tm.b.objects()
	restore := tm.b.fails(tm.rand.IntN(4))
	err = tm.t.Set(tm.m, k, v)
	restore()
	switch {
	case err == nil:
		tm.next++
		tm.noted(k, tm.next)
	case !errors.Is(err, ErrFull) || *tm.h != before || tm.b.objects() != objects:
		t.Fatalf("%v, want ErrFull; %d more allocations; header %+v, before %+v", err, tm.b.objects()-objects, *tm.h, before)
	default:
		tm.m.freeOwned(typeInfoOf[V](), addr(&v))
	}
}

// load empties the tree and loads it with its entries again.
func (tm *treeModel[K, V]) load(t *rapid.T) {
	model := tm.model
	if len(model) > 0 {
		if err := tm.t.Load(tm.m, func(func(K, V) bool) {}); err == nil {
			t.Fatal("a tree is loaded that is not empty")
		}
	}
	tm.clear(t)
	swap, short := -1, -1
	switch tm.rand.IntN(3) {
	case 0:
		if len(model) > 1 {
			swap = 1 + tm.rand.IntN(len(model)-1)
		}
	case 1:
		short = tm.rand.IntN(20)
	}
	restore := func() {}
	err := tm.t.Load(tm.m, func(yield func(K, V) bool) {
		for i, e := range model {
			v, err := tm.from(tm, e.id)
			if err != nil {
				t.Fatal(err)
			}
			if i == swap {
				e = model[i-tm.rand.IntN(2)]
				e = model[i-1]
			}
			if i == 0 && short >= 0 {
				restore = tm.b.fails(short * (1 + len(model)/20))
			}
			if !yield(e.k, v) {
				return
			}
		}
	})
	restore()
	switch {
	case err == nil && swap < 0:
		tm.model = model
	case err != nil && tm.b.objects() != tm.objects:
		t.Fatalf("%v, and %d allocations left behind", err, tm.b.objects()-tm.objects)
	case errors.Is(err, ErrOrder) && swap >= 0, errors.Is(err, ErrFull) && short >= 0:
	default:
		t.Fatalf("Load: %v; swapped %d, memory %d", err, swap, short)
	}
}

func (tm *treeModel[K, V]) run(t *rapid.T) {
	inUpdate(t, 32<<20, func(m *Mem, b *testBacking) {
		tm.m, tm.b, tm.model = m, b, nil
		tm.t, tm.h = tm.make(t, m)
		tm.objects = b.objects()
		step := func(action func(*rapid.T)) func(*rapid.T) {
			return func(t *rapid.T) {
				tm.rand = rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "random"), 0))
				action(t)
			}
		}
		step(func(t *rapid.T) {
			n := rapid.IntRange(0, tm.most).Draw(t, "entries to begin with")
			order := rapid.SampledFrom([]string{"random", "up", "down"}).Draw(t, "order")
			for i := range n {
				switch order {
				case "up":
					tm.set(t, tm.key(i*(tm.keys/n)))
				case "down":
					tm.set(t, tm.key((n-1-i)*(tm.keys/n)))
				default:
					tm.set(t, tm.randomKey())
				}
			}
		})(t)
		t.Repeat(map[string]func(*rapid.T){
			"":        tm.check,
			"set":     step(func(t *rapid.T) { tm.set(t, tm.anyKey()) }),
			"delete":  step(func(t *rapid.T) { tm.remove(t, tm.anyKey()) }),
			"look":    step(tm.look),
			"iterate": step(tm.iterate),
			"full":    step(tm.full),
			"load":    step(tm.load),
			"set many": step(func(t *rapid.T) {
				for range tm.rand.IntN(300) {
					tm.set(t, tm.randomKey())
				}
			}),
			"delete many": step(func(t *rapid.T) {
				from, n := tm.rand.IntN(len(tm.model)+1), tm.rand.IntN(1000)
				for n > 0 && from < len(tm.model) {
					at := from
					if tm.rand.IntN(3) == 0 {
						at = len(tm.model) - 1
					}
					tm.remove(t, tm.model[at].k)
					n--
				}
			}),
		})
		tm.rand = rand.New(rand.NewPCG(0, 0))
		for len(tm.model) > 0 && tm.rand.IntN(1000) > 0 {
			tm.remove(t, tm.model[tm.rand.IntN(len(tm.model))].k)
		}
		tm.check(t)
		tm.clear(t)
	})
}

// plainTree is a model of a BTree whose values are numbers.
func plainTree[K cmp.Ordered](keys int, key func(int) K, keep func(K) K) *treeModel[K, uint64] {
	return &treeModel[K, uint64]{
		keys: keys, most: 3000, key: key, keep: keep, copied: true, compare: cmp.Compare[K],
		make: func(t *rapid.T, m *Mem) (ordered[K, uint64], *treeHeader) {
			tree := alloc[BTree[K, uint64]](t, m)
			return tree, &tree.treeHeader
		},
		from: func(tm *treeModel[K, uint64], id uint64) (uint64, error) { return id, nil },
		id:   func(m *Mem, v *uint64) uint64 { return *v },
	}
}

func funcTree[K interface{ Compare(K) int }](keys int, key func(int) K, keep func(K) K) *treeModel[K, uint64] {
	return &treeModel[K, uint64]{
		keys: keys, most: 2000, key: key, keep: keep, copied: true, compare: func(a, b K) int { return a.Compare(b) },
		make: func(t *rapid.T, m *Mem) (ordered[K, uint64], *treeHeader) {
			tree := alloc[BTreeFunc[K, uint64]](t, m)
			return tree, &tree.treeHeader
		},
		from: func(tm *treeModel[K, uint64], id uint64) (uint64, error) { return id, nil },
		id:   func(m *Mem, v *uint64) uint64 { return *v },
	}
}

// byScore comes in descending order of Score.
type byScore struct {
	Score int64
	ID    uint64
}

func (k byScore) Compare(l byScore) int {
	return cmp.Or(cmp.Compare(l.Score, k.Score), cmp.Compare(k.ID, l.ID))
}

type byName struct {
	Name string
	Kind uint64
	City string
}

func (k byName) Compare(l byName) int {
	return cmp.Or(strings.Compare(k.Name, l.Name), cmp.Compare(k.Kind, l.Kind), strings.Compare(k.City, l.City))
}

type largeKey [500]byte

func (k largeKey) Compare(l largeKey) int { return slices.Compare(k[:], l[:]) }

func TestBTreeModel(t *testing.T) {
	t.Run("uint64", rapid.MakeCheck(plainTree(20000, numberKey[uint64], same).run))
	t.Run("int8", rapid.MakeCheck(plainTree(256, numberKey[int8], same).run))
	t.Run("int32", rapid.MakeCheck(plainTree(9000, numberKey[int32], same).run))
	t.Run("float64", rapid.MakeCheck(plainTree(6000, func(n int) float64 {
		return []float64{float64(n) / 7, -float64(n), math.NaN(), math.Inf(1), math.Copysign(0, -1), 0, math.Inf(-1)}[n%7]
	}, same).run))
	t.Run("string", rapid.MakeCheck(plainTree(5000, textKeyOf, strings.Clone).run))
	t.Run("by score", rapid.MakeCheck(funcTree(9000, func(n int) byScore { return byScore{int64(n%50 - 25), uint64(n)} }, same).run))
	t.Run("by name", rapid.MakeCheck(funcTree(3000, func(n int) byName {
		return byName{textKeyOf(n % 100), uint64(n / 1000), textKeyOf(n)}
	}, func(k byName) byName { return byName{strings.Clone(k.Name), k.Kind, strings.Clone(k.City)} }).run))
	large := funcTree(1000, func(n int) (k largeKey) { k[0], k[499] = byte(n), byte(n>>8); return k }, same)
	large.most = 300
	t.Run("large", rapid.MakeCheck(large.run))
}

func TestBTreeModelOfValues(t *testing.T) {
	t.Run("padded", rapid.MakeCheck((&treeModel[uint16, padded]{
		keys: 5000, most: 2000, key: numberKey[uint16], keep: same[uint16], copied: true, compare: cmp.Compare[uint16],
		make: func(t *rapid.T, m *Mem) (ordered[uint16, padded], *treeHeader) {
			tree := alloc[BTree[uint16, padded]](t, m)
			return tree, &tree.treeHeader
		},
		from: func(tm *treeModel[uint16, padded], id uint64) (padded, error) { return padded{N: id, A: 1}, nil },
		id:   func(m *Mem, v *padded) uint64 { return v.N },
	}).run))
	t.Run("apart", rapid.MakeCheck((&treeModel[string, [40]uint64]{
		keys: 3000, most: 1000, key: textKeyOf, keep: strings.Clone, copied: true, compare: strings.Compare,
		make: func(t *rapid.T, m *Mem) (ordered[string, [40]uint64], *treeHeader) {
			tree := alloc[BTree[string, [40]uint64]](t, m)
			return tree, &tree.treeHeader
		},
		from: func(tm *treeModel[string, [40]uint64], id uint64) (v [40]uint64, err error) {
			v[0], v[39] = id, id
			return v, nil
		},
		id: func(m *Mem, v *[40]uint64) uint64 { return min(v[0], v[39]) },
	}).run))
	t.Run("text", rapid.MakeCheck((&treeModel[uint64, String]{
		keys: 3000, most: 1000, key: numberKey[uint64], keep: same[uint64], copied: true, compare: cmp.Compare[uint64],
		make: func(t *rapid.T, m *Mem) (ordered[uint64, String], *treeHeader) {
			tree := alloc[BTree[uint64, String]](t, m)
			return tree, &tree.treeHeader
		},
		from: func(tm *treeModel[uint64, String], id uint64) (String, error) {
			defer func(n int) { tm.b.failIn = n }(tm.b.failIn)
			tm.b.failIn = -1
			return NewString(tm.m, fmt.Sprint(id))
		},
		id: func(m *Mem, v *String) (id uint64) { fmt.Sscan(v.Get(m), &id); return id },
	}).run))
}
