package cowheap

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// queueModel drives a Queue beside a slice.
type queueModel[T comparable] struct {
	m       *Mem
	b       *testBacking
	q       *Queue[T]
	model   []T
	objects int // allocated with q without a ring
	next    uint64
	make    func(n uint64) T
}

func (qm *queueModel[T]) fresh() T {
	qm.next++
	return qm.make(qm.next)
}

func (qm *queueModel[T]) check(t *rapid.T) {
	q, ti := qm.q, typeInfoOf[T]()
	if q.Len() != len(qm.model) || q.flag.word != 0 {
		t.Fatalf("Len is %d, want %d; flag %d", q.Len(), len(qm.model), q.flag.word)
	}
	var got []T
	for p := range q.All(qm.m) {
		got = append(got, *p)
	}
	if !slices.Equal(got, qm.model) {
		t.Fatalf("All gives %v, want %v", got, qm.model)
	}
	if p := q.Peek(qm.m); (p == nil) != (len(qm.model) == 0) || p != nil && *p != qm.model[0] {
		t.Fatalf("Peek gives %v", p)
	}
	if ti.size == 0 || q.off == 0 {
		return
	}
	if q.n == 0 && q.room*ti.size > keptRing {
		t.Fatalf("an empty Queue keeps %d elements' room", q.room)
	}
	for i := q.n; i < q.room; i++ {
		if spare := rawText(q.at(qm.m, ti, q.first+i), ti.size); strings.Trim(spare, "\x00") != "" {
			t.Fatalf("room that is not in use has %x", spare)
		}
	}
}

// iterate pushes and pops while it goes through the queue.
func (qm *queueModel[T]) iterate(t *rapid.T) {
	want, budget := slices.Clone(qm.model), 40
	for p := range qm.q.All(qm.m) {
		if len(want) == 0 || *p != want[0] {
			t.Fatalf("%v is produced, want %v", *p, want)
		}
		want = want[1:]
		switch rapid.IntRange(0, 5).Draw(t, "change") {
		case 0:
			if budget--; budget > 0 {
				v := qm.fresh()
				must[any](t)(nil, qm.q.Push(qm.m, v))
				qm.model, want = append(qm.model, v), append(want, v)
			}
		case 1:
			qm.q.Pop(qm.m)
			if len(qm.model) == len(want) && len(want) > 0 {
				want = want[1:] // it was still to come
			}
			if len(qm.model) > 0 {
				qm.model = qm.model[1:]
			}
		}
	}
	if len(want) > 0 {
		t.Fatalf("%v are not produced", want)
	}
}

func (qm *queueModel[T]) run(t *rapid.T) {
	inUpdate(t, 16<<20, func(m *Mem, b *testBacking) {
		qm.m, qm.b, qm.q, qm.model = m, b, alloc[Queue[T]](t, m), nil
		qm.objects = b.objects()
		t.Repeat(map[string]func(*rapid.T){
			"": qm.check,
			"push": func(t *rapid.T) {
				for range rapid.IntRange(0, 100).Draw(t, "n") {
					v := qm.fresh()
					must[any](t)(nil, qm.q.Push(m, v))
					qm.model = append(qm.model, v)
				}
			},
			"slot": func(t *rapid.T) {
				p := must[*T](t)(qm.q.Slot(m))
				if *p != *new(T) {
					t.Fatalf("Slot gives %v", *p)
				}
				*p = qm.fresh()
				qm.model = append(qm.model, *p)
			},
			"pop": func(t *rapid.T) {
				for range rapid.IntRange(0, 150).Draw(t, "n") {
					v, ok := qm.q.Pop(m)
					if ok != (len(qm.model) > 0) || ok && v != qm.model[0] {
						t.Fatalf("Pop gives %v %v, want the first of %v", v, ok, qm.model)
					}
					if ok {
						qm.model = qm.model[1:]
					}
				}
			},
			"iterate": qm.iterate,
			"full": func(t *rapid.T) {
				defer b.fails(0)()
				before, v := qm.q.queueHeader, qm.fresh()
				switch err := qm.q.Push(m, v); {
				case err == nil: // there was room
					qm.model = append(qm.model, v)
				case !errors.Is(err, ErrFull) || qm.q.queueHeader != before:
					t.Fatalf("%v; %+v, before %+v", err, qm.q.queueHeader, before)
				}
			},
			"clear": func(t *rapid.T) {
				qm.q.Clear(m)
				qm.model = nil
				if b.objects() != qm.objects {
					t.Fatalf("Clear left %d objects", b.objects()-qm.objects)
				}
			},
		})
	})
}

func TestQueueModel(t *testing.T) {
	t.Run("uint64", rapid.MakeCheck((&queueModel[uint64]{make: func(n uint64) uint64 { return n }}).run))
	t.Run("byte", rapid.MakeCheck((&queueModel[byte]{make: func(n uint64) byte { return byte(n)%250 + 1 }}).run))
	t.Run("empty", rapid.MakeCheck((&queueModel[struct{}]{make: func(uint64) (v struct{}) { return v }}).run))
	t.Run("padded", rapid.MakeCheck((&queueModel[padded]{make: func(n uint64) padded {
		v := padded{N: n, A: 1}
		gapOf(&v)[3] = 0xff
		return v
	}}).run))
	t.Run("large", rapid.MakeCheck((&queueModel[[300]uint64]{make: func(n uint64) (a [300]uint64) { a[0], a[299] = n, n; return a }}).run))
}

// What containers hold goes with the value that holds them, whatever holds that.
func TestContainersInContainersAreFreed(t *testing.T) {
	type inner struct {
		Name String
		Log  Queue[String]
		By   [2]BTree[string, String]
		F    BTreeFunc[byName, Vec[uint64]]
	}
	type outer struct {
		T BTree[uint64, inner]
		F BTreeFunc[byScore, inner]
		Q Queue[inner]
		M Map[uint64, inner]
	}
	inUpdate(t, 16<<20, func(m *Mem, b *testBacking) {
		fill := func(p *inner) {
			for i := range 100 {
				text := fmt.Sprint("a text that is kept apart ", i)
				must[any](t)(nil, p.Name.Set(m, text))
				must[any](t)(nil, must[*String](t)(p.Log.Slot(m)).Set(m, text))
				must[any](t)(nil, p.Log.Push(m, must[String](t)(NewString(m, text))))
				s, _, err := p.By[1].Slot(m, text)
				must[any](t)(nil, err)
				must[any](t)(nil, s.Set(m, text))
				v, _, err := p.F.Slot(m, byName{Name: text, City: text})
				must[any](t)(nil, err)
				must[any](t)(nil, v.Append(m, uint64(i)))
			}
		}
		empty := b.objects()
		r := must[Ref[outer]](t)(Alloc[outer](m))
		o := r.Ptr(m)
		all := func() {
			for i := range uint64(50) {
				p, _, err := o.T.Slot(m, i)
				must[any](t)(nil, err)
				fill(p)
				p, _, err = o.F.Slot(m, byScore{ID: i})
				must[any](t)(nil, err)
				fill(p)
				fill(must[*inner](t)(o.Q.Slot(m)))
				p, _, err = o.M.Slot(m, i)
				must[any](t)(nil, err)
				fill(p)
			}
		}
		for name, op := range map[string]func(){
			"Clear": func() { o.T.Clear(m); o.F.Clear(m); o.Q.Clear(m); o.M.Clear(m) },
			"Delete": func() {
				for i := range uint64(50) {
					if v, ok := o.T.Delete(m, i); !ok || v.Log.Len() != 0 || v.By[1].Len() != 0 || v.Name.Len() != 0 {
						t.Error("Delete returns containers that are not empty")
					}
					o.F.Delete(m, byScore{ID: i})
					if v, ok := o.Q.Pop(m); !ok || v.F.Len() != 0 {
						t.Error("Pop returns containers that are not empty")
					}
					o.M.Delete(m, i)
				}
				o.M.Clear(m)
				o.Q.Clear(m)
			},
			"Set": func() {
				for i := range uint64(50) {
					must[any](t)(nil, o.T.Set(m, i, inner{}))
					must[any](t)(nil, o.F.Set(m, byScore{ID: i}, inner{}))
				}
				o.T.Clear(m)
				o.F.Clear(m)
				o.M.Clear(m)
				o.Q.Clear(m)
			},
		} {
			all()
			op()
			if n := b.objects() - empty - 1; n != 0 {
				t.Fatalf("%s leaves %d objects behind", name, n)
			}
		}
		all()
		for name, op := range map[string]func(){
			"BTree.Get":     func() { o.T.Get(m, 1) },
			"BTreeFunc.Get": func() { o.F.Get(m, byScore{}) },
			"BTree.Set":     func() { o.T.Set(m, 1, copyOf(o.T.Ptr(m, 2))) },
			"BTreeFunc.Set": func() { o.F.Set(m, byScore{}, copyOf(o.T.Ptr(m, 2))) },
			"Queue.Push":    func() { o.Q.Push(m, copyOf(o.T.Ptr(m, 2))) },
		} {
			if got := panics(op); !strings.Contains(got, name) || !strings.Contains(got, "must not be copied") {
				t.Errorf("%s of a value with containers panics with %q", name, got)
			}
		}
		must[any](t)(nil, Free(m, r))
		if n := b.objects() - empty; n != 0 {
			t.Errorf("Free leaves %d objects behind", n)
		}
	})
}

// compareRarely is a key whose Compare panics when told to.
type compareRarely uint64

var comparePanics bool

func (k compareRarely) Compare(l compareRarely) int {
	if comparePanics {
		panic(errTest)
	}
	return int(k) - int(l)
}

func TestBTreeFuncWhoseComparePanicsIsUnchanged(t *testing.T) {
	inUpdate(t, 1<<20, func(m *Mem, b *testBacking) {
		tree := alloc[BTreeFunc[compareRarely, uint64]](t, m)
		for i := range compareRarely(100) {
			must[any](t)(nil, tree.Set(m, i, 1))
		}
		before := tree.treeHeader
		comparePanics = true
		for _, op := range []func(){
			func() { tree.Set(m, 1000, 1) }, func() { tree.Slot(m, 1000) }, func() { tree.Delete(m, 5) },
			func() { tree.Get(m, 5) }, func() { drain(tree.Ascend(m, 5)) },
		} {
			if got := panics(op); got != errTest.Error() {
				t.Errorf("panics with %q", got)
			}
		}
		comparePanics = false
		if tree.treeHeader != before {
			t.Errorf("%+v, before %+v", tree.treeHeader, before)
		}
	})
}
