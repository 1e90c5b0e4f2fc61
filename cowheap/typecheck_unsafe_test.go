package cowheap

import (
	"errors"
	"reflect"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
	"unsafe"
)

type (
	goodRow struct {
		ID    uint64
		Score float64
		Done  bool
		Mail  String
		Next  Ref[goodRow]
		Kids  Vec[goodRow]
		Tags  Map[string, Ref[goodRow]]
		Grid  [3][4]int16
		Hits  atomic.Int64
		On    atomic.Bool
		Z     complex128
		None  [0]*int
		_     [8]byte
	}
	badTag struct {
		Name string
		N    int
	}
	badRow struct {
		ID     int
		Tags   Vec[badTag]
		More   [2]badTag
		Notes  map[string]int
		Bytes  []byte
		Lock   sync.Mutex
		Wait   *sync.WaitGroup
		When   time.Time
		Done   chan bool
		Fn     func()
		Any    any
		Addr   uintptr
		Raw    unsafe.Pointer
		Latest atomic.Pointer[int]
		Value  atomic.Value
		Once   struct{ sync.Once }
		Next   Ref[badLeaf]
		Index  Map[badKey, Ref[badRow]]
	}
	badLeaf struct{ Err error }
	badKey  struct {
		A uint8
		B uint64
		F float64
		S String
		_ [4]byte
		C uint32
	}
	loop struct { // leads to itself by every way there is
		R Ref[loop]
		V Vec[loop]
		M Map[int, loop]
		W Vec[Vec[Map[string, Ref[loop]]]]
	}
	looksLikeMap struct { // embedding a container makes no container
		Map[string, int]
		Name string
	}
)

type treeLoop struct { // leads to itself
	T BTree[int, treeLoop]
	F BTreeFunc[byScore, Queue[treeLoop]]
}

type paddedKey struct {
	A uint8
	N uint64
}

func (k paddedKey) Compare(paddedKey) int { return 0 }

// Vec2 can be a type argument for a key as far as the compiler knows.
type Vec2 struct{ V Vec[int] }

func TestTypesThatMayBeInAHeap(t *testing.T) {
	for _, typ := range []reflect.Type{
		reflect.TypeFor[int](), reflect.TypeFor[goodRow](), reflect.TypeFor[loop](), reflect.TypeFor[String](),
		reflect.TypeFor[struct{}](), reflect.TypeFor[[0]string](), reflect.TypeFor[Map[string, int]](),
		reflect.TypeFor[Map[[2]Ref[int], Vec[float64]]](), reflect.TypeFor[Map[mixed, struct{ _ [3]int }]](),
		reflect.TypeFor[BTree[float64, int]](), reflect.TypeFor[BTreeFunc[byName, Queue[String]]](), reflect.TypeFor[everything](),
		reflect.TypeFor[treeLoop](), reflect.TypeFor[struct{ Map[string, int] }](), reflect.TypeFor[atomic.Uintptr](),
	} {
		err := checkType(typ)
		if typ == reflect.TypeFor[atomic.Uintptr]() {
			if err == nil {
				t.Error("atomic.Uintptr is accepted")
			}
			continue
		}
		if err != nil {
			t.Errorf("%v is refused: %v", typ, err)
		}
	}
}

func TestTypesThatAreRefused(t *testing.T) {
	for _, c := range []struct {
		typ  reflect.Type
		want []string // beginnings of the fields' errors
	}{
		{reflect.TypeFor[string](), []string{"string: string (use cowheap.String)"}},
		{reflect.TypeFor[[]int](), []string{"[]int: []int (use cowheap.Vec)"}},
		{reflect.TypeFor[*int](), []string{"*int: *int (use cowheap.Ref)"}},
		{reflect.TypeFor[badTag](), []string{"badTag.Name: string (use cowheap.String)"}},
		{reflect.TypeFor[looksLikeMap](), []string{"looksLikeMap.Name: string (use cowheap.String)"}},
		{reflect.TypeFor[Ref[badTag]](), []string{"Ref[github.com/cowheap/cowheap/cowheap.badTag]->Name: string"}},
		{reflect.TypeFor[sync.WaitGroup](), []string{"WaitGroup: sync.WaitGroup (keep locks"}},
		{reflect.TypeFor[Map[float64, int]](), []string{"Map[float64,int][key]: float64 (equal numbers may differ"}},
		{reflect.TypeFor[Map[String, int]](), []string{"Map[github.com/cowheap/cowheap/cowheap.String,int][key]: cowheap.String (a Map keeps the bytes of its keys itself: use string"}},
		{reflect.TypeFor[Map[struct{ S [2]String }, int]](), []string{"Map[struct { S [2]github.com/cowheap/cowheap/cowheap.String },int][key].S[]: cowheap.String (a Map keeps"}},
		{reflect.TypeFor[Map[uintptr, int]](), []string{"Map[uintptr,int][key]: uintptr (an address"}},
		{reflect.TypeFor[Map[any, int]](), []string{"Map[interface {},int][key]: interface {} (keep it in Go memory"}},
		{reflect.TypeFor[Map[atomic.Value, int]](), []string{"Map[sync/atomic.Value,int][key]: atomic.Value (it holds a Go pointer"}},
		{reflect.TypeFor[Map[[2]Vec2, int]](), []string{"Map[[2]github.com/cowheap/cowheap/cowheap.Vec2,int][key][].V: cowheap.Vec[int] (a container is no key)"}},
		{reflect.TypeFor[BTree[uintptr, int]](), []string{"BTree[uintptr,int][key]: uintptr (an address"}},
		{reflect.TypeFor[struct{ T BTree[int, badTag] }](), []string{"struct { T cowheap.BTree[int,github.com/cowheap/cowheap/cowheap.badTag] }.T[].Name: string (use"}},
		{reflect.TypeFor[struct{ F BTreeFunc[paddedKey, int] }](), []string{"struct { F cowheap.BTreeFunc[github.com/cowheap/cowheap/cowheap.paddedKey,int] }.F[key]: cowheap.paddedKey (7 bytes of padding"}},
		{reflect.TypeFor[Queue[*int]](), []string{"Queue[*int][]: *int (use cowheap.Ref)"}},
		{reflect.TypeFor[Map[[2]struct{ Q Queue[int] }, int]](), []string{"Map[[2]struct { Q github.com/cowheap/cowheap/cowheap.Queue[int] },int][key][].Q: cowheap.Queue[int] (a container is no key)"}},
		{reflect.TypeFor[Map[*int, int]](), []string{"Map[*int,int][key]: *int (use cowheap.Ref)"}},
		{reflect.TypeFor[badRow](), []string{
			"badRow.Tags[].Name: string (use cowheap.String)",
			"badRow.More[].Name: string (use cowheap.String)",
			"badRow.Notes: map[string]int (use cowheap.Map)",
			"badRow.Bytes: []uint8 (use cowheap.Vec)",
			"badRow.Lock: sync.Mutex (keep locks",
			"badRow.Wait: *sync.WaitGroup (use cowheap.Ref)",
			"badRow.When: time.Time (it holds a pointer to its location: store UnixNano",
			"badRow.Done: chan bool (keep it in Go memory",
			"badRow.Fn: func() (keep it in Go memory",
			"badRow.Any: interface {} (keep it in Go memory",
			"badRow.Addr: uintptr (an address means nothing",
			"badRow.Raw: unsafe.Pointer (use cowheap.Ref)",
			"badRow.Latest: atomic.Pointer[int] (it holds a Go pointer",
			"badRow.Value: atomic.Value (it holds a Go pointer",
			"badRow.Once.Once: sync.Once (keep locks",
			"badRow.Next->Err: error (keep it in Go memory",
			"badRow.Index[key]: cowheap.badKey (7 bytes of padding after A",
			"badRow.Index[key].F: float64 (equal numbers",
			"badRow.Index[key].S: cowheap.String (a Map keeps",
			"badRow.Index[key]._: [4]uint8 (== passes over blank fields",
		}},
	} {
		err := checkType(c.typ)
		te, ok := errors.AsType[*TypeError](err)
		if !ok {
			t.Errorf("%v: %v, want a *TypeError", c.typ, err)
			continue
		}
		if te.Type != c.typ.String() {
			t.Errorf("%v: error for type %s", c.typ, te.Type)
		}
		if len(te.Fields) != len(c.want) {
			t.Errorf("%v: %d fields are refused, want %d: %v", c.typ, len(te.Fields), len(c.want), err)
			continue
		}
		for i, want := range c.want {
			if got := te.Fields[i].Error(); !strings.HasPrefix(got, want) {
				t.Errorf("%v: field %d is\n\t%s, want\n\t%s", c.typ, i, got, want)
			}
			if !strings.Contains(te.Error(), want) {
				t.Errorf("%v: the error does not say %q", c.typ, want)
			}
		}
	}
}

func TestTypeErrorIsFoundOnceAndEverywhere(t *testing.T) {
	inUpdate(t, 1<<20, func(m *Mem, b *testBacking) {
		objects := b.objects()
		_, first := Alloc[badRow](m)
		_, second := Alloc[badRow](m)
		_, third := Root[badRow](m, "row")
		if first == nil || first != second || second != third {
			t.Errorf("Alloc says %v, then %v, and Root %v: want the same error", first, second, third)
		}
		if err := Free(m, Ref[badRow]{off: 4096}); err != first {
			t.Errorf("Free says %v", err)
		}
		if b.objects() != objects {
			t.Error("something was allocated")
		}
	})
}

// A type that is refused in very many places gives an error of bounded length.
func TestTypeErrorIsBounded(t *testing.T) {
	type l0 struct{ A, B, C, D string }
	type l1 struct{ A, B, C, D Ref[l0] }
	type l2 struct{ A, B, C, D Vec[l1] }
	type l3 struct{ A, B, C, D [2]l2 }
	te, ok := errors.AsType[*TypeError](checkType(reflect.TypeFor[l3]()))
	if !ok || len(te.Fields) != maxFieldErrors {
		t.Errorf("%d fields are refused, want %d", len(te.Fields), maxFieldErrors)
	}
}

func TestTypeTableFindsWhatWasAdded(t *testing.T) {
	var table typeTable[int]
	if table.get(8) != nil {
		t.Error("an empty table finds something")
	}
	var wg sync.WaitGroup
	for g := range 4 {
		wg.Go(func() {
			for i := 1; i <= 2000; i++ {
				v := g
				if got := table.add(uintptr(i*64), &v); got != table.get(uintptr(i*64)) {
					t.Errorf("add(%d) returns another than get", i)
				}
			}
		})
	}
	wg.Wait()
	for i := 1; i <= 2000; i++ {
		if table.get(uintptr(i*64)) == nil {
			t.Errorf("%d is lost", i)
		}
	}
	if table.get(1<<30) != nil {
		t.Error("finds what was not added")
	}
	if s := table.now.Load(); s.used != 2000 || len(s.slots) != 4096 {
		t.Errorf("%d of %d slots used, want 2000 of 4096", s.used, len(s.slots))
	}
}

func TestTypeWordsDiffer(t *testing.T) {
	words := map[uintptr]string{}
	for name, w := range map[string]uintptr{
		"int": typeWord[int](), "int64": typeWord[int64](), "Ref[int]": typeWord[Ref[int]](),
		"Ref[int64]": typeWord[Ref[int64]](), "Map": typeWord[Map[int, int]](), "any": typeWord[any](),
		"badTag": typeWord[badTag](), "struct": typeWord[struct {
			Name string
			N    int
		}](),
	} {
		if w == 0 || words[w] != "" {
			t.Errorf("%s and %s have word %#x", name, words[w], w)
		}
		words[w] = name
	}
	if first, again := typeWord[goodRow](), typeWord[goodRow](); first != again {
		t.Error("one type has two words")
	}
}

func TestGapsAreAllBytesBetweenFields(t *testing.T) {
	type inner struct {
		A uint8
		B uint32
		C uint8
	}
	type outer struct {
		X  uint16
		In [2]inner
		S  String
		Y  uint8
	}
	ti := typeInfoOf[outer]()
	var v outer
	all := bytesOf(&v)
	for i := range all {
		all[i] = 0xff
	}
	ti.clearGaps(addr(&v))
	clean := outer{}
	clean.X, clean.Y = ^clean.X, ^clean.Y
	for i := range clean.In {
		clean.In[i] = inner{0xff, 0xffffffff, 0xff}
	}
	clean.S = String{^uint64(0), ^uint64(0)}
	want := make([]byte, len(all))
	mark := func(off, n uintptr) {
		for i := range n {
			want[off+i] = 0xff
		}
	}
	mark(unsafe.Offsetof(v.X), 2)
	mark(unsafe.Offsetof(v.S), 16)
	mark(unsafe.Offsetof(v.Y), 1)
	for i := range uintptr(2) {
		in := unsafe.Offsetof(v.In) + i*unsafe.Sizeof(inner{})
		mark(in, 1)
		mark(in+4, 4)
		mark(in+8, 1)
	}
	if string(all) != string(want) {
		t.Errorf("gaps cleared:\n\t%x, want\n\t%x", all, want)
	}
	if typeInfoOf[goodKey]().gaps != nil || !typeInfoOf[goodKey]().plain() {
		t.Error("a type without padding has gaps")
	}
}

type goodKey struct {
	A, B uint32
	C    [8]byte
}
