package cowheap

import (
	"cmp"
	"fmt"
	"reflect"
	"strings"
	"unsafe"
)

// treeScan is one tree as it is looked at.
type treeScan struct {
	*checker
	h       *treeHeader
	tt      *treeType
	w       *rootWalk
	t       *walkType
	at      *place
	compare func(a, b uint64) int // the keys at two offsets; nil: not to be known
	last    uint64                // offset of the key before, if it can be read
	count   uint64
	whole   bool
}

func (c *checker) orderedMap(w *rootWalk, t *walkType, off uint64, at *place) {
	h := asTree(c.m.at(off))
	c.flag(&h.flag, off, at)
	if h.root == 0 || h.height == 0 || h.height > maxTreeHeight {
		if h.root != 0 || h.height != 0 || h.count != 0 {
			c.report(at, off, "root at %#x, %d levels, count %d", h.root, h.height, h.count)
		}
		return
	}
	tt, wrong := w.treeType(t)
	if wrong != "" {
		c.report(at, off, "the recorded layout is damaged: %s", wrong)
		return
	}
	if tt == nil {
		return // see Check
	}
	s := treeScan{checker: c, h: h, tt: tt, w: w, t: t, at: at, whole: true}
	if t.Kind == kindTree {
		s.compare = c.natural(w.types[t.Key].Kind)
	} else if w.opened != nil {
		s.compare = c.method(tt, w.opened[t.Key])
	}
	s.node(h.root, h.height-1, true, true)
	if s.whole && s.count != h.count && !c.stopped {
		c.report(at, off, "count %d, the nodes have %d entries", h.count, s.count)
	}
}

// node looks at a node and what is below it.
func (s *treeScan) node(off uint64, level uint32, root, rightmost bool) {
	shape := s.tt.shapeAt(level)
	if s.stopped || !s.claim(off, shape.size, s.at, fmt.Sprintf("a node of level %d", level)) {
		s.whole = false
		return
	}
	n := s.m.node(off)
	switch {
	case n.level != level:
		s.report(s.at, off, "node at %#x of level %d at level %d", off, n.level, level)
		s.whole = false
		return
	case n.n == 0 || n.n > shape.room || n.n < shape.least && !root && !rightmost:
		s.report(s.at, off, "node at %#x of level %d has %d entries, room for %d, and at least %d", off, level, n.n, shape.room, shape.least)
		if n.n > shape.room {
			s.whole = false
			return
		}
	}
	s.unused(n, off, shape)
	for i := uint32(0); i <= n.n && !s.stopped; i++ {
		if level > 0 {
			s.node(*s.tt.child(n, i), level-1, false, rightmost && i == n.n)
		}
		if i < n.n {
			s.entry(off, n, i)
		}
	}
}

// entry looks at entry i of a node.
func (s *treeScan) entry(node uint64, n *treeNode, i uint32) {
	s.count++
	key := node + nodeHeadSize + uint64(i)*s.tt.keySize
	if s.keyTexts(&s.tt.keyType, key, s.at) && s.compare != nil {
		if s.last != 0 && s.compare(s.last, key) >= 0 {
			s.report(s.at, key, "the key of entry %d of the node at %#x does not come after the one before it, at %#x", i, node, s.last)
		}
		s.last = key
	}
	s.key(s.w, s.t, key, s.at)
	s.keptValue(s.t, s.tt.apart, s.tt.val.size, node+s.tt.shapeAt(n.level).valAt+uint64(i)*s.tt.valSize, s.at)
}

// unused looks at the room of a node that no entry is in.
func (s *treeScan) unused(n *treeNode, off uint64, shape *nodeShape) {
	rest := uint64(shape.room - n.n)
	used := uint64(n.n)
	if !s.zeros(off+nodeHeadSize+used*s.tt.keySize, rest*s.tt.keySize) ||
		!s.zeros(off+shape.valAt+used*s.tt.valSize, rest*s.tt.valSize) ||
		n.level > 0 && !s.zeros(off+shape.childAt+8*(used+1), 8*rest) {
		s.report(s.at, off, "node at %#x is not zero behind its %d entries", off, n.n)
	}
}

// natural compares keys of a kind as a BTree does.
func (c *checker) natural(kind string) func(a, b uint64) int {
	switch kind {
	case "string":
		return func(a, b uint64) int { return strings.Compare(c.m.textOf(c.m.at(a)), c.m.textOf(c.m.at(b))) }
	case "int8":
		return compareAs[int8](c)
	case "int16":
		return compareAs[int16](c)
	case "int32":
		return compareAs[int32](c)
	case "int64", "int":
		return compareAs[int64](c)
	case "uint8":
		return compareAs[uint8](c)
	case "uint16":
		return compareAs[uint16](c)
	case "uint32":
		return compareAs[uint32](c)
	case "uint64", "uint":
		return compareAs[uint64](c)
	case "float32":
		return compareAs[float32](c)
	case "float64":
		return compareAs[float64](c)
	}
	return nil
}

func compareAs[K cmp.Ordered](c *checker) func(a, b uint64) int {
	return func(a, b uint64) int { return cmp.Compare(*(*K)(c.m.at(a)), *(*K)(c.m.at(b))) }
}

// method compares keys by their method Compare. One that panics has met a key that it
// did not make.
func (c *checker) method(tt *treeType, key reflect.Type) func(a, b uint64) int {
	if key == nil {
		return nil
	}
	load := func(off uint64) reflect.Value {
		k := reflect.New(key)
		tt.loadKey(c.m, c.m.at(off), unsafe.Pointer(k.Pointer()))
		return k.Elem()
	}
	if _, ok := key.MethodByName("Compare"); !ok {
		return nil
	}
	return func(a, b uint64) (order int) {
		defer func() {
			if recover() != nil {
				order = -1
			}
		}()
		return int(load(a).MethodByName("Compare").Call([]reflect.Value{load(b)})[0].Int())
	}
}
