package cowheap

import (
	"fmt"
	"strings"
	"unsafe"
)

// checkTree returns what is wrong with the nodes of a tree. less compares the
// entries at two places.
func checkTree(m *Mem, h *treeHeader, tt *treeType, less func(a, b unsafe.Pointer) bool) error {
	if h.flag.word != 0 {
		return fmt.Errorf("the writer's flag was left behind")
	}
	if h.root == 0 {
		if h.count != 0 || h.height != 0 {
			return fmt.Errorf("no root, but %d entries and %d levels", h.count, h.height)
		}
		return nil
	}
	c := treeCheck{m: m, tt: tt, less: less}
	if err := c.node(h.root, h.height-1, true, true); err != nil {
		return err
	}
	if c.count != h.count {
		return fmt.Errorf("count is %d, nodes have %d", h.count, c.count)
	}
	return nil
}

type treeCheck struct {
	m     *Mem
	tt    *treeType
	less  func(a, b unsafe.Pointer) bool
	last  unsafe.Pointer // key
	count uint64
}

func (c *treeCheck) node(off uint64, level uint32, root, rightmost bool) error {
	n, s := c.m.node(off), c.tt.shapeAt(level)
	size, err := c.m.space.arena.SizeOf(off)
	switch {
	case err != nil || size < s.size:
		return fmt.Errorf("node of %d bytes in %d: %w", s.size, size, err)
	case n.level != level:
		return fmt.Errorf("node of level %d at level %d", n.level, level)
	case n.n == 0 || n.n > s.room || n.n < s.least && !root && !rightmost:
		return fmt.Errorf("node of level %d has %d entries, room for %d, at least %d", level, n.n, s.room, s.least)
	}
	for i := range n.n + 1 {
		if level > 0 {
			if err := c.node(*c.tt.child(n, i), level-1, false, rightmost && i == n.n); err != nil {
				return err
			}
		}
		if i < n.n {
			k := c.tt.key(n, i)
			if c.last != nil && !c.less(c.last, k) {
				return fmt.Errorf("entry %d at level %d does not ascend", i, level)
			}
			c.last = k
			c.count++
		}
	}
	spare := rawText(c.tt.key(n, n.n), uint64(s.room-n.n)*c.tt.keySize) + rawText(c.tt.kept(n, n.n), uint64(s.room-n.n)*c.tt.valSize)
	if level > 0 && n.n < s.room {
		spare += rawText(unsafe.Pointer(c.tt.child(n, n.n+1)), 8*uint64(s.room-n.n))
	}
	if strings.Trim(spare, "\x00") != "" {
		return fmt.Errorf("unused room of a node of level %d has %x", level, spare)
	}
	return nil
}

// loadKeyAt is the key at p.
func loadKeyAt[K any](m *Mem, tt *treeType, p unsafe.Pointer) (k K) {
	tt.loadKey(m, p, unsafe.Pointer(&k))
	return k
}

func checkTreeOf[K any](m *Mem, h *treeHeader, tt *treeType, compare func(a, b K) int) error {
	return checkTree(m, h, tt, func(a, b unsafe.Pointer) bool {
		return compare(loadKeyAt[K](m, tt, a), loadKeyAt[K](m, tt, b)) < 0
	})
}
