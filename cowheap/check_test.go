package cowheap

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/cowheap/cowheap/arena"
)

// checked is a root with one of everything that Check knows.
type checked struct {
	Name   String
	Head   Ref[checkedNode]
	Nums   Vec[uint64]
	Texts  Vec[String]
	Ring   Queue[uint32]
	Words  Map[uint64, uint64]
	Texted Map[string, String]
	Apart  Map[uint32, [200]byte]
	Deep   Map[uint64, Vec[String]]
	Few    Map[uint64, uint32]
	Order  BTree[int64, uint64]
	Alpha  BTree[string, uint64]
	Own    BTreeFunc[checkedKey, uint32]
	Pair   [2]checkedPair
}

type checkedNode struct {
	Next Ref[checkedNode]
	Tags Vec[uint16]
}

type checkedPair struct {
	A uint32
	S String
}

type checkedKey struct{ A, B uint32 }

func (k checkedKey) Compare(l checkedKey) int {
	if k.A != l.A {
		return int(int64(l.A) - int64(k.A)) // descending
	}
	return int(int64(k.B) - int64(l.B))
}

// newChecked makes a heap with a healthy root "checked" and runs fn in an Update.
func newChecked(t tester, fn func(m *Mem, c *checked)) *Heap {
	h := must[*Heap](t)(New(&Options{MaxSize: 8 << 20, Guard: arena.GuardCopy, Seed: 7}))
	must[any](t)(nil, h.Update(func(m *Mem) error {
		r := must[Ref[checked]](t)(Root[checked](m, "checked"))
		c := r.Ptr(m)
		ok := func(err error) { must[any](t)(nil, err) }
		ok(c.Name.Set(m, "a name that is not kept in place"))
		first := must[Ref[checkedNode]](t)(Alloc[checkedNode](m))
		second := must[Ref[checkedNode]](t)(Alloc[checkedNode](m))
		first.Ptr(m).Next, second.Ptr(m).Next = second, first // a circle
		c.Head = first
		ok(second.Ptr(m).Tags.Append(m, 1, 2, 3))
		for i := range uint64(5000) {
			ok(c.Words.Set(m, i, i*i))
			if i < 100 {
				ok(c.Nums.Append(m, i))
				ok(c.Texts.Append(m, must[String](t)(NewString(m, fmt.Sprint("text ", i)))))
				ok(c.Ring.Push(m, uint32(i)))
				ok(c.Texted.Set(m, fmt.Sprint("a key that is not short ", i), must[String](t)(NewString(m, fmt.Sprint("value ", i)))))
				ok(c.Apart.Set(m, uint32(i), [200]byte{1}))
				p, _, err := c.Deep.Slot(m, i)
				ok(err)
				ok(p.Append(m, must[String](t)(NewString(m, fmt.Sprint("deep ", i)))))
			}
			if i < 3 {
				ok(c.Few.Set(m, i, 1))
				c.Ring.Pop(m)
			}
			ok(c.Order.Set(m, int64(i*7919%5000)-2500, i))
			ok(c.Alpha.Set(m, fmt.Sprintf("%020d", i*7919%5000), i))
			ok(c.Own.Set(m, checkedKey{uint32(i % 10), uint32(i)}, 0))
		}
		for i := range uint64(1000) {
			c.Words.Delete(m, i)
			c.Order.Delete(m, int64(i))
		}
		ok(c.Pair[1].S.Set(m, "in an array"))
		if fn != nil {
			fn(m, c)
		}
		return nil
	}))
	return h
}

func violations(h *Heap) (errs []error) {
	for err := range h.Check() {
		errs = append(errs, err)
	}
	return errs
}

func TestCheckOfAHealthyHeapIsSilent(t *testing.T) {
	h := newChecked(t, nil)
	defer h.Close()
	for _, err := range violations(h) {
		t.Error(err)
	}
	h.sp.known.Store(nil) // as if this program had not opened the root
	for _, err := range violations(h) {
		t.Error("by the layout alone:", err)
	}
}

// leafOf is the leftmost node of a tree.
func leafOf(m *Mem, h *treeHeader, tt *treeType) (off uint64, n *treeNode) {
	off = h.root
	for level := h.height - 1; level > 0; level-- {
		off = *tt.child(m.node(off), 0)
	}
	return off, m.node(off)
}

// firstEntry is the group and slot of an entry of a Map.
func firstEntry(m *Mem, h *mapHeader, mt *mapType) (*mapTable, *ctrlWord, uint64) {
	t := h.table(m, 0)
	for g := range uint64(t.mask) + 1 {
		if full := t.group(mt, g).full(); full != 0 {
			return t, t.group(mt, g), full.first()
		}
	}
	panic("no entry")
}

func TestCheckNamesTheDamage(t *testing.T) {
	word := func(m *Mem, off uint64) *uint64 { return (*uint64)(m.at(off)) }
	words, texted := mapTypeOf[uint64, uint64](), mapTypeOf[string, String]()
	order := treeTypeOf[BTree[int64, uint64], int64, uint64]()
	alpha := treeTypeOf[BTree[string, uint64], string, uint64]()
	for name, d := range map[string]struct {
		do   func(m *Mem, c *checked)
		want []string // all in one error
	}{
		"a Ref to freed memory": {func(m *Mem, c *checked) {
			r, _ := Alloc[checkedNode](m)
			c.Head.Ptr(m).Next = r
			_ = Free(m, r)
		}, []string{`root "checked": checked.Head->Next`, "Ref[struct cowheap.checkedNode", "memory that was freed"}},
		"a Ref into the middle": {func(m *Mem, c *checked) { c.Head.off += 16 },
			[]string{"checked.Head at", "the middle of an allocation"}},
		"a Ref out of the heap": {func(m *Mem, c *checked) { c.Head.off = 1 << 40 },
			[]string{"checked.Head at", "out of the heap"}},
		"a Ref to the allocator": {func(m *Mem, c *checked) { c.Head.off = 4096 },
			[]string{"checked.Head at", "the allocator's own memory"}},
		"a Ref to what a Vec has": {func(m *Mem, c *checked) { c.Head.off = c.Nums.off },
			[]string{"checked.Head at", "belongs to root", "checked.Nums"}},
		"a Ref to less than a T": {func(m *Mem, c *checked) {
			r, _ := Alloc[uint8](m)
			c.Head.off = r.off
		}, []string{"checked.Head at", "40 bytes", "16 are allocated"}},
		"a String that was copied": {func(m *Mem, c *checked) { c.Pair[0].S = c.Name },
			[]string{"checked.Pair[].S", "two owners", "checked.Name"}},
		"a String of freed text": {func(m *Mem, c *checked) { m.release(c.Name.off) },
			[]string{"checked.Name at", "String: the text", "freed"}},
		"a String too long": {func(m *Mem, c *checked) { c.Name.n = 1000 },
			[]string{"checked.Name at", "1000 bytes", "allocated"}},
		"an empty String with an offset": {func(m *Mem, c *checked) { c.Name.n = 0 },
			[]string{"checked.Name at", "of no bytes"}},
		"a Vec with more than its room": {func(m *Mem, c *checked) { c.Nums.n = c.Nums.room + 1 },
			[]string{"checked.Nums at", "Vec[uint64]", "room for"}},
		"a Vec with more room than memory": {func(m *Mem, c *checked) { c.Nums.room *= 64 },
			[]string{"checked.Nums at", "are allocated"}},
		"a Vec with room for all there is": {func(m *Mem, c *checked) { c.Nums.room = 1 << 62 },
			[]string{"checked.Nums at", "room for 4611686018427387904 elements"}},
		"a Vec without room": {func(m *Mem, c *checked) { c.Nums.room = 0 },
			[]string{"checked.Nums at", "100 elements of 8 bytes, room for 0"}},
		"a Vec that was copied": {func(m *Mem, c *checked) {
			b := m.bytes(c.Head.Ptr(m).Next.off+8, 32)
			copy(m.bytes(c.Head.off+8, 32), b)
		}, []string{"checked.Head->Tags", "two owners"}},
		"unused room of a Vec": {func(m *Mem, c *checked) { c.Nums.n-- },
			[]string{"checked.Nums at", "not zero"}},
		"a writer's flag": {func(m *Mem, c *checked) { c.Nums.flag.word = 1 },
			[]string{"checked.Nums at", "flag"}},
		"the text of an element": {func(m *Mem, c *checked) { c.Texts.Slice(m)[5].off += 8 },
			[]string{"checked.Texts[] at", "String", "the middle of an allocation"}},
		"a Queue's room": {func(m *Mem, c *checked) { c.Ring.room = 100 },
			[]string{"checked.Ring at", "no power of two"}},
		"a Queue's count": {func(m *Mem, c *checked) { c.Ring.n -= 5 },
			[]string{"checked.Ring at", "not zero where no element is"}},
		"a Map's count": {func(m *Mem, c *checked) { c.Few.count = 4 },
			[]string{"checked.Few at", "count 4, the tables have 3 entries"}},
		"a table's count": {func(m *Mem, c *checked) { c.Few.table(m, 0).used = 4 },
			[]string{"checked.Few at", "Map[uint64,uint32]: table at", "count 4, entries 3"}},
		"a table's free slots": {func(m *Mem, c *checked) { c.Few.table(m, 0).left-- },
			[]string{"checked.Few at", "may still be taken"}},
		"a table's groups": {func(m *Mem, c *checked) { c.Few.table(m, 0).mask = 1 << 20 },
			[]string{"checked.Few at", "groups"}},
		"a table's size in the reference": {func(m *Mem, c *checked) { c.Few.dir++ },
			[]string{"checked.Few at", "referred to as one of"}},
		"a table's depth": {func(m *Mem, c *checked) { c.Words.table(m, 0).depth-- },
			[]string{"checked.Words at", "places"}},
		"a directory's depth": {func(m *Mem, c *checked) { c.Words.depth = 60 },
			[]string{"checked.Words at", "depth 60"}},
		"a directory's place": {func(m *Mem, c *checked) { *word(m, c.Words.dir) += 64 },
			[]string{"checked.Words at", "a table"}},
		"a key": {func(m *Mem, c *checked) {
			_, g, i := firstEntry(m, &c.Words.mapHeader, words)
			*(*uint64)(words.slot(g, i))++
		}, []string{"checked.Words at", "hashes to"}},
		"a control byte's tag": {func(m *Mem, c *checked) {
			_, g, i := firstEntry(m, &c.Words.mapHeader, words)
			*g ^= 1 << (8 * i)
		}, []string{"checked.Words at", "control byte"}},
		"a control byte of no meaning": {func(m *Mem, c *checked) {
			_, g, i := firstEntry(m, &c.Words.mapHeader, words)
			*g = g.with(i, 7)
		}, []string{"checked.Words at", "control byte 0x7"}},
		"an entry where no search comes by": {func(m *Mem, c *checked) {
			t, g, i := firstEntry(m, &c.Texted.mapHeader, texted)
			from := texted.slot(g, i)
			b := *g >> (8 * i) & 0xff
			for other := range uint64(t.mask) + 1 {
				at := t.group(texted, other)
				if s := at.empty(); at != g && s != 0 && t.group(texted, homeOf(texted.hashStored(m, from))&uint64(t.mask)).empty() != 0 {
					moveBytes(texted.slot(at, s.first()), from, texted.slotSize)
					*at = at.with(s.first(), b)
					*g = g.with(i, ctrlEmpty)
					clear(m.bytes(uint64(uintptr(from))-uint64(uintptr(m.base)), texted.slotSize))
					return
				}
			}
			panic("no group to move an entry to")
		}, []string{"checked.Texted at", "a search for its key"}},
		"a key's text": {func(m *Mem, c *checked) {
			_, g, i := firstEntry(m, &c.Texted.mapHeader, texted)
			m.release((*textKey)(texted.slot(g, i)).lo)
		}, []string{"checked.Texted at", "the text of a key", "freed"}},
		"a value's allocation": {func(m *Mem, c *checked) {
			mt := mapTypeOf[uint32, [200]byte]()
			_, g, i := firstEntry(m, &c.Apart.mapHeader, mt)
			m.release(*(*uint64)(ptrAdd(mt.slot(g, i), mt.valAt)))
		}, []string{"checked.Apart at", "a value", "freed"}},
		"a container in a value": {func(m *Mem, c *checked) { c.Deep.Ptr(m, 5).Slice(m)[0].off = 64 },
			[]string{"checked.Deep[][] at", "String"}},
		"a slot without an entry": {func(m *Mem, c *checked) {
			_, g, i := firstEntry(m, &c.Few.mapHeader, mapTypeOf[uint64, uint32]())
			*g = g.with(i, ctrlEmpty)
		}, []string{"checked.Few at", "not zero"}},
		"a tree's count": {func(m *Mem, c *checked) { c.Order.count++ },
			[]string{"checked.Order at", "the nodes have"}},
		"a tree's height": {func(m *Mem, c *checked) { c.Order.height++ },
			[]string{"checked.Order at", "level"}},
		"a tree's root": {func(m *Mem, c *checked) { c.Order.root = 0 },
			[]string{"checked.Order at", "root at 0x0"}},
		"a node's level": {func(m *Mem, c *checked) {
			_, n := leafOf(m, &c.Order.treeHeader, order)
			n.level = 3
		}, []string{"checked.Order at", "of level 3 at level 0"}},
		"a node's count": {func(m *Mem, c *checked) {
			_, n := leafOf(m, &c.Order.treeHeader, order)
			n.n = 1
		}, []string{"checked.Order at", "has 1 entries"}},
		"a node's child": {func(m *Mem, c *checked) { *order.child(m.node(c.Order.root), 1) = c.Order.root },
			[]string{"checked.Order at", "two owners"}},
		"keys out of order": {func(m *Mem, c *checked) {
			_, n := leafOf(m, &c.Order.treeHeader, order)
			*(*int64)(order.key(n, 1)) = 1 << 40
		}, []string{"checked.Order at", "does not come after"}},
		"texts out of order": {func(m *Mem, c *checked) {
			_, n := leafOf(m, &c.Alpha.treeHeader, alpha)
			k := (*textKey)(alpha.key(n, 1))
			m.bytes(k.lo, 1)[0] = 'z'
		}, []string{"checked.Alpha at", "does not come after"}},
		"an order of one's own": {func(m *Mem, c *checked) {
			tt := treeTypeOf[BTreeFunc[checkedKey, uint32], checkedKey, uint32]()
			_, n := leafOf(m, &c.Own.treeHeader, tt)
			*(*checkedKey)(tt.key(n, 1)) = checkedKey{99, 0}
		}, []string{"checked.Own at", "does not come after"}},
		"a superblock": {func(m *Mem, c *checked) { *word(m, m.space.arena.Root()) = 1 },
			[]string{"no superblock"}},
		"a root record": {func(m *Mem, c *checked) {
			super, _ := readSuperblock(m.space.live(), m.space.arena.Root())
			*word(m, super.first+recordTargetAt) += 8
		}, []string{"checked at", "the value"}},
		"root records in a circle": {func(m *Mem, c *checked) {
			super, _ := readSuperblock(m.space.live(), m.space.arena.Root())
			*word(m, super.first) = super.first
			*word(m, m.space.arena.Root()+superCountAt) = 100
		}, []string{"in a circle"}},
		"a recorded layout": {func(m *Mem, c *checked) {
			super, _ := readSuperblock(m.space.live(), m.space.arena.Root())
			b := m.bytes(*word(m, super.first+recordLayoutAt), 1500)
			at := strings.Index(string(b), "\x05Queue") // the kind
			copy(b[at+1:], "Quack")
		}, []string{"layout is damaged"}},
	} {
		t.Run(name, func(t *testing.T) {
			h := newChecked(t, d.do)
			defer h.Close()
			errs := violations(h)
			if !slices.ContainsFunc(errs, func(err error) bool {
				for _, want := range d.want {
					if !strings.Contains(err.Error(), want) {
						return false
					}
				}
				return errors.Is(err, ErrCorrupt)
			}) {
				t.Errorf("want an error with %q, got %d:", d.want, len(errs))
				for _, err := range errs[:min(10, len(errs))] {
					t.Log(err)
				}
			}
		})
	}
}

func TestCheckEndsWhenTheConsumerStops(t *testing.T) {
	h := newChecked(t, func(m *Mem, c *checked) {
		for i := range c.Texts.Slice(m) {
			c.Texts.Slice(m)[i].n = 0
		}
	})
	defer h.Close()
	seen := 0
	for range h.Check() {
		if seen++; seen == 3 {
			break
		}
	}
	if seen != 3 {
		t.Errorf("%d errors after the consumer stopped at 3", seen)
	}
	must[any](t)(nil, h.Update(func(*Mem) error { return nil })) // the gate is open again
}

func TestCheckHoldsUpdatesOffAndAnswersErrNestedInside(t *testing.T) {
	h := newChecked(t, func(m *Mem, c *checked) { c.Name.n = 0 })
	defer h.Close()
	for range h.Check() {
		if err := h.Update(func(*Mem) error { return nil }); !errors.Is(err, ErrNested) {
			t.Errorf("Update inside Check: %v", err)
		}
		if _, err := h.Snapshot(); !errors.Is(err, ErrNested) {
			t.Errorf("Snapshot inside Check: %v", err)
		}
	}
	must[any](t)(nil, h.View(func(*Mem) error {
		for err := range h.Check() {
			if !errors.Is(err, ErrNested) {
				t.Errorf("Check inside View: %v", err)
			}
		}
		return nil
	}))
}

// long lists, and Vecs in Vecs in Vecs, take no stack.
func TestCheckOfDeepHeaps(t *testing.T) {
	type nest struct{ In Vec[nest] }
	type link struct{ Next Ref[link] }
	h := must[*Heap](t)(New(&Options{MaxSize: 64 << 20, Guard: arena.GuardCopy}))
	defer h.Close()
	must[any](t)(nil, h.Update(func(m *Mem) error {
		v := must[Ref[nest]](t)(Root[nest](m, "nest")).Ptr(m)
		at := &must[Ref[Ref[link]]](t)(Root[Ref[link]](m, "list")).Ptr(m).off
		for range 20000 {
			must[any](t)(nil, v.In.Append(m, nest{}))
			v = &v.In.Slice(m)[0]
			r := must[Ref[link]](t)(Alloc[link](m))
			*at, at = r.off, &r.Ptr(m).Next.off
		}
		return nil
	}))
	for _, err := range violations(h) {
		t.Error(err)
	}
	must[any](t)(nil, h.Update(func(m *Mem) error {
		v := must[Ref[nest]](t)(Root[nest](m, "nest")).Ptr(m)
		for v.In.Len() > 0 {
			v = &v.In.Slice(m)[0]
		}
		v.In.n = 1
		return nil
	}))
	errs := violations(h)
	if len(errs) != 1 || !strings.Contains(errs[0].Error(), `root "nest": nest.In at`) {
		t.Errorf("got %v", errs)
	}
}

// FuzzCheck wants that Check comes to an end, whatever the heap holds, and reads
// nothing that it should not.
func FuzzCheck(f *testing.F) {
	h := newChecked(f, nil)
	f.Cleanup(func() { _ = h.Close() })
	live := h.sp.live()
	healthy := make([]byte, live.size)
	_ = must[int](f)(live.ReadAt(healthy, 0))
	at := h.sp.arena.Root()
	f.Add([]byte{})
	f.Add([]byte{byte(at), byte(at >> 8), byte(at >> 16), 24, 0xff})
	f.Add([]byte("\x00\x10\x00\x01\x05\x00\x20\x00\x02\x80\x00\x60\x01\x03\x01"))
	f.Fuzz(func(t *testing.T, flips []byte) {
		memory := (&Mem{base: h.sp.base}).bytes(0, uint64(live.size))
		defer copy(memory, healthy)
		for n := 0; len(flips) >= 5 && n < 64; flips, n = flips[5:], n+1 {
			off := uint64(flips[0]) | uint64(flips[1])<<8 | uint64(flips[2])<<16
			memory[(off+uint64(flips[3]))%uint64(live.size)] ^= flips[4]
		}
		n := 0
		for err := range h.Check() {
			if n++; err.Error() == "" || n == 100000 {
				t.Fatal("no end of errors")
			}
		}
	})
}
