package cowheap

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"maps"
	"math"
	"math/bits"
	"testing"
)

// byText reads a heap by docs/HEAP.md alone: it shares no code with the package.
type byText struct {
	b      []byte
	s0, s1 uint64
}

const (
	textK0 = 0xBB67AE8584CAA73B
	textK1 = 0x3C6EF372FE94F82B
	textK2 = 0xA54FF53A5F1D36F1
	textK3 = 0x510E527FADE682D1
)

func (r *byText) u64(off uint64) uint64 { return binary.LittleEndian.Uint64(r.b[off:]) }
func (r *byText) u32(off uint64) uint32 { return binary.LittleEndian.Uint32(r.b[off:]) }

func textFold(a, b uint64) uint64 {
	hi, lo := bits.Mul64(a, b)
	return hi ^ lo
}

func textMix(x uint64) uint64 {
	x ^= x >> 30
	x *= 0xBF58476D1CE4E5B9
	x ^= x >> 27
	x *= 0x94D049BB133111EB
	return x ^ x>>31
}

func (r *byText) number(x uint64) uint64 {
	return textFold(textFold(x^r.s0, r.s1)^textK0, textK1)
}

func (r *byText) bytes(from uint64, p []byte) uint64 {
	r4 := func(i int) uint64 { return uint64(binary.LittleEndian.Uint32(p[i:])) }
	r8 := func(i int) uint64 { return binary.LittleEndian.Uint64(p[i:]) }
	n, at := len(p), 0
	var a, b uint64
	switch {
	case n > 16:
		if n > 48 {
			x, y, z := from, from^textK2, from^textK3
			for ; n-at > 48; at += 48 {
				x = textFold(r8(at)^r.s1, r8(at+8)^x)
				y = textFold(r8(at+16)^textK2, r8(at+24)^y)
				z = textFold(r8(at+32)^textK3, r8(at+40)^z)
			}
			from = x ^ y ^ z
		}
		for ; n-at > 16; at += 16 {
			from = textFold(r8(at)^r.s1, r8(at+8)^from)
		}
		a, b = r8(n-16), r8(n-8)
	case n >= 4:
		m := n / 8 * 4
		a, b = r4(0)<<32|r4(m), r4(n-4)<<32|r4(n-4-m)
	case n >= 1:
		a = uint64(p[0])<<16 | uint64(p[n/2])<<8 | uint64(p[n-1])
	}
	hi, lo := bits.Mul64(a^r.s1, b^from)
	return textFold(lo^textK0^uint64(n), hi^textK1)
}

// roots returns the offsets of the roots by their names.
func (r *byText) roots(super uint64) map[string]uint64 {
	if !bytes.Equal(r.b[super:super+8], []byte{0x43, 0x57, 0x48, 0x45, 0x41, 0x50, 0x0D, 0x0A}) || r.u32(super+8) != 1 {
		panic("no superblock")
	}
	r.s0 = textMix(r.u64(super+16) + textK0)
	r.s1 = textMix(r.s0+textK1) | 1
	found := map[string]uint64{}
	for off := r.u64(super + 24); off != 0; off = r.u64(off) {
		found[string(r.b[off+32:][:r.u32(off+28)])] = r.u64(off + 8)
	}
	if uint64(len(found)) != r.u64(super+32) {
		panic("number of roots")
	}
	return found
}

func (r *byText) text(slot uint64) string {
	switch n := r.b[slot+15]; n {
	case 0xff:
		return string(r.b[r.u64(slot):][:r.u64(slot+8)&(1<<56-1)])
	default:
		return string(r.b[slot:][:n])
	}
}

// entries calls visit with each slot of the map at off.
func (r *byText) entries(off, slotSize uint64, hash func(slot uint64) uint64, visit func(slot uint64)) {
	dir, count, depth := r.u64(off), r.u64(off+8), r.u32(off+28)
	if dir == 0 {
		return
	}
	seen := uint64(0)
	for i := uint64(0); i < 1<<depth; {
		table := dir
		if depth > 0 {
			table = r.u64(dir + 8*i)
		}
		groupsLog := table % 16
		table -= groupsLog
		groups, local := uint64(r.u32(table+8))+1, r.u32(table+12)
		if groups != 1<<groupsLog {
			panic("number of groups")
		}
		groupSize := (8 + 8*slotSize + 7) / 8 * 8
		entries, deleted := uint64(0), uint64(0)
		for g := range groups {
			group := table + 16 + g*groupSize
			for s := range uint64(8) {
				slot, ctrl := group+8+s*slotSize, r.b[group+s]
				if ctrl < 0x80 {
					deleted += uint64(ctrl)
					if len(bytes.Trim(r.b[slot:slot+slotSize], "\x00")) > 0 {
						panic("a slot without an entry is not zero")
					}
					continue
				}
				h := hash(slot)
				if uint64(ctrl) != 0x80+h%128 || depth > 0 && h>>(64-depth)>>(depth-local) != i>>(depth-local) {
					panic(fmt.Sprintf("entry with hash %#x in table %d of depth %d", h, i, local))
				}
				at := h >> 7 % groups // the search must come by
				for step := uint64(1); at != g; step++ {
					if ctrls := r.b[table+16+at*groupSize:][:8]; bytes.IndexByte(ctrls, 0) >= 0 || step > groups {
						panic("a search would not find the entry")
					}
					at = (at + step) % groups
				}
				entries++
				visit(slot)
			}
		}
		room := 7 * groups
		if groups == 1 {
			room = 8
		}
		if uint64(r.u32(table)) != entries || uint64(r.u32(table+4)) != room-entries-deleted {
			panic("a table's numbers")
		}
		seen += entries
		i += 1 << (depth - local)
	}
	if seen != count {
		panic("number of entries")
	}
}

// tree calls visit with each entry of the tree at off, in order.
func (r *byText) tree(off, keySize, valSize, valAlign uint64, visit func(key, val uint64)) {
	root, count, levels := r.u64(off), r.u64(off+8), r.u32(off+24)
	seen := uint64(0)
	var walk func(node uint64, level uint32)
	walk = func(node uint64, level uint32) {
		child := uint64(0)
		if level > 0 {
			child = 8
		}
		room := max(8, (1016-child)/max(1, keySize+child+valSize))
		n := uint64(r.u32(node))
		if n == 0 || n > room || r.u32(node+4) != level {
			panic(fmt.Sprintf("node of %d entries at level %d", n, level))
		}
		at := 8 + room*keySize
		children := (at + 7) / 8 * 8
		if level > 0 {
			at = children + 8*(room+1)
		}
		vals := (at + valAlign - 1) / valAlign * valAlign
		spare := bytes.Join([][]byte{r.b[node+8+n*keySize : node+8+room*keySize], r.b[node+vals+n*valSize : node+vals+room*valSize]}, nil)
		for i := range n {
			if level > 0 {
				walk(r.u64(node+children+8*i), level-1)
			}
			visit(node+8+i*keySize, node+vals+i*valSize)
			seen++
		}
		if level > 0 {
			walk(r.u64(node+children+8*n), level-1)
			spare = append(spare, r.b[node+children+8*(n+1):node+children+8*(room+1)]...)
		}
		if len(bytes.Trim(spare, "\x00")) > 0 {
			panic("room that is not in use is not zero")
		}
	}
	if root != 0 {
		walk(root, levels-1)
	}
	if seen != count {
		panic("number of entries of a tree")
	}
}

func TestTreesAndQueuesAreReadByTheirSpecification(t *testing.T) {
	type state struct {
		Texts  BTree[string, [40]uint32]
		Floats BTree[float64, uint16]
		Bytes  BTree[int8, struct{}]
		Scores BTreeFunc[byScore, uint64]
		Queue  Queue[uint32]
	}
	s, b := newTestSpace(t, 16<<20)
	must[any](t)(nil, s.update(func(m *Mem) error {
		st := must[Ref[state]](t)(Root[state](m, "state")).Ptr(m)
		for i := range 5000 {
			must[any](t)(nil, st.Texts.Set(m, textKeyOf(i), [40]uint32{39: uint32(i)}))
			must[any](t)(nil, st.Floats.Set(m, float64((i*7919)%5000)/4-100, uint16(i)))
			must[any](t)(nil, st.Bytes.Set(m, int8(i), struct{}{}))
			must[any](t)(nil, st.Scores.Set(m, byScore{int64(i % 70), uint64(i)}, uint64(i)))
			must[any](t)(nil, st.Queue.Push(m, uint32(i)))
		}
		for i := range 2000 {
			st.Texts.Delete(m, textKeyOf(i))
			st.Queue.Pop(m)
		}
		return nil
	}))
	r := byText{b: b.bytes(0, b.high)}
	at := r.roots(b.root)["state"]
	texts, last, n := 0, "", 0
	r.tree(at, 16, 8, 8, func(key, val uint64) {
		k := r.text(key)
		if k <= last && texts > 0 || textKeyOf(int(r.u32(r.u64(val)+39*4))) != k {
			t.Errorf("text %q after %q", k, last)
		}
		last = k
		texts++
	})
	r.tree(at+32, 8, 2, 2, func(key, val uint64) {
		i := int(binary.LittleEndian.Uint16(r.b[val:]))
		if f := math.Float64frombits(r.u64(key)); f != float64(n)/4-100 || i*7919%5000 != n {
			t.Errorf("float %v with %d", f, i)
		}
		n++
	})
	numbers := -128
	r.tree(at+64, 1, 0, 1, func(key, val uint64) {
		if int8(r.b[key]) != int8(numbers) {
			t.Errorf("int8 %d, want %d", int8(r.b[key]), numbers)
		}
		numbers++
	})
	var before byScore
	r.tree(at+96, 16, 8, 8, func(key, val uint64) {
		k := byScore{int64(r.u64(key)), r.u64(key + 8)}
		if before != (byScore{}) && before.Compare(k) >= 0 || r.u64(val) != k.ID {
			t.Errorf("%v after %v", k, before)
		}
		before = k
	})
	if texts != 3000 || n != 5000 || numbers != 128 {
		t.Errorf("%d texts, %d floats, int8 up to %d", texts, n, numbers)
	}
	q := at + 128
	ring, room, first := r.u64(q), r.u64(q+8), r.u64(q+16)
	if first != 2000 || r.u64(q+24) != 3000 {
		t.Fatalf("a Queue of %d, %d taken out", r.u64(q+24), first)
	}
	for i := range uint64(3000) {
		if v := r.u32(ring + 4*((first+i)%room)); v != uint32(first+i) {
			t.Fatalf("element %d is %d", i, v)
		}
	}
}

func TestHeapIsReadByItsSpecification(t *testing.T) {
	type state struct {
		Names Map[string, uint32]
		IDs   Map[uint64, [40]uint32]
		Pairs Map[pair, struct{}]
		Mixed Map[mixed, uint8]
		List  Vec[uint16]
		Text  String
		Self  Ref[int32]
	}
	s, b := newTestSpace(t, 16<<20)
	names, ids, pairs, mixes := map[string]uint32{}, map[uint64]uint32{}, map[pair]bool{}, map[mixed]uint8{}
	must[any](t)(nil, s.update(func(m *Mem) error {
		must[Ref[int]](t)(Root[int](m, "other"))
		st := must[Ref[state]](t)(Root[state](m, "state")).Ptr(m)
		for i := range 6000 {
			k, drop := textKeyOf(i), i%5 == 0
			id, p := uint64(i)*0x1234567, pair{A: uint32(i), B: int16(i)}
			mx := mixed{uint64(i), k, [2]string{"", textKeyOf(i + 1)}}
			must[any](t)(nil, st.Names.Set(m, k, uint32(i)))
			must[any](t)(nil, st.IDs.Set(m, id, [40]uint32{39: uint32(i)}))
			must[any](t)(nil, st.Pairs.Set(m, p, struct{}{}))
			must[any](t)(nil, st.Mixed.Set(m, mx, uint8(i)))
			names[k], ids[id], pairs[p], mixes[mx] = uint32(i), uint32(i), true, uint8(i)
			if drop {
				st.Names.Delete(m, k)
				st.IDs.Delete(m, id)
				delete(names, k)
				delete(ids, id)
			}
			must[any](t)(nil, st.List.Append(m, uint16(i)))
		}
		must[any](t)(nil, st.Text.Set(m, "some text"))
		st.Self = must[Ref[int32]](t)(Alloc[int32](m))
		*st.Self.Ptr(m) = -5
		return nil
	}))

	r := byText{b: b.bytes(0, b.high)}
	at := r.roots(b.root)["state"]
	gotNames, gotIDs, gotPairs, gotMixes := map[string]uint32{}, map[uint64]uint32{}, map[pair]bool{}, map[mixed]uint8{}
	r.entries(at, 24, func(slot uint64) uint64 { return r.bytes(r.s0, []byte(r.text(slot))) }, func(slot uint64) {
		gotNames[r.text(slot)] = r.u32(slot + 16)
	})
	r.entries(at+32, 16, func(slot uint64) uint64 { return r.number(r.u64(slot)) }, func(slot uint64) {
		gotIDs[r.u64(slot)] = r.u32(r.u64(slot+8) + 39*4)
	})
	r.entries(at+64, 8, func(slot uint64) uint64 { return r.number(r.u64(slot)) }, func(slot uint64) {
		gotPairs[pair{A: r.u32(slot), B: int16(r.u32(slot + 4))}] = true
	})
	r.entries(at+96, 64, func(slot uint64) uint64 {
		h := r.bytes(r.s0, r.b[slot:slot+8])
		for i := range uint64(3) {
			h = r.bytes(h, []byte(r.text(slot+8+16*i)))
		}
		return h
	}, func(slot uint64) {
		gotMixes[mixed{r.u64(slot), r.text(slot + 8), [2]string{r.text(slot + 24), r.text(slot + 40)}}] = r.b[slot+56]
	})
	if !maps.Equal(gotNames, names) || !maps.Equal(gotIDs, ids) || !maps.Equal(gotPairs, pairs) || !maps.Equal(gotMixes, mixes) {
		t.Errorf("read %d names, %d ids, %d pairs, %d mixed keys; want %d, %d, %d, %d", len(gotNames), len(gotIDs), len(gotPairs), len(gotMixes), len(names), len(ids), len(pairs), len(mixes))
	}
	list := at + 128
	if n := r.u64(list + 8); n != 6000 || binary.LittleEndian.Uint16(r.b[r.u64(list)+2*5999:]) != 5999 {
		t.Errorf("a Vec of %d elements", n)
	}
	text := list + 32
	if got := string(r.b[r.u64(text):][:r.u64(text+8)]); got != "some text" {
		t.Errorf("a String of %q", got)
	}
	if got := int32(r.u32(r.u64(text + 16))); got != -5 {
		t.Errorf("a Ref to %d", got)
	}
}
