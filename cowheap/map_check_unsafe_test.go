package cowheap

import (
	"errors"
	"fmt"
	"strings"
	"unsafe"
)

// checkMap returns what is wrong with the tables of a map.
func checkMap(m *Mem, h *mapHeader, mt *mapType) error {
	if h.dir == 0 {
		if h.count != 0 || h.depth != 0 {
			return fmt.Errorf("no table, but %d entries and depth %d", h.count, h.depth)
		}
		return nil
	}
	if h.flag.word != 0 {
		return errors.New("the writer's flag was left behind")
	}
	places, entries := uint64(1)<<h.depth, uint64(0)
	if h.depth > 0 && places > 64+h.count && places > 64+2*h.count {
		return fmt.Errorf("%d places in the directory for %d entries", places, h.count)
	}
	for at := uint64(0); ; {
		ref := h.ref(m, at)
		off := ref.off()
		t := (*mapTable)(m.at(off))
		if t.depth > h.depth {
			return fmt.Errorf("table of depth %d in a directory of depth %d", t.depth, h.depth)
		}
		for i := range uint64(1) << (h.depth - t.depth) {
			if h.depth > 0 && h.ref(m, at+i<<(64-h.depth)) != ref {
				return fmt.Errorf("place %d for hash %#x leads elsewhere", i, at)
			}
		}
		groups := uint64(t.mask) + 1
		if n := uint64(ref & manyGroups); n != manyGroups && 1<<n != groups || n == manyGroups && groups < 1<<manyGroups {
			return fmt.Errorf("reference %#x to a table of %d groups", ref, groups)
		}
		if size, err := m.space.arena.SizeOf(off); err != nil || size < mt.tableSize(groups) {
			return fmt.Errorf("table of %d groups: %d bytes (%v)", groups, size, err)
		}
		used, deleted := uint64(0), uint64(0)
		for g := range groups {
			c := *t.group(mt, g)
			for i := range uint64(groupSlots) {
				slot := mt.slot(t.group(mt, g), i)
				switch b := c >> (8 * i) & 0xff; {
				case b == ctrlDeleted:
					deleted++
					fallthrough
				case b == ctrlEmpty:
					if strings.Trim(rawText(slot, mt.slotSize), "\x00") != "" {
						return fmt.Errorf("slot without an entry is %q", rawText(slot, mt.slotSize))
					}
				case b&ctrlFull != 0:
					used++
					hash := mt.hashStored(m, slot)
					if tagOf(hash) != uint64(b)&0x7f {
						return fmt.Errorf("tag %#x for hash %#x", b, hash)
					}
					if t.depth > 0 && dirIndex(hash, t.depth) != dirIndex(at, t.depth) {
						return fmt.Errorf("hash %#x is in the table for %#x of depth %d", hash, at, t.depth)
					}
				default:
					return fmt.Errorf("control byte %#x", b)
				}
			}
		}
		if uint64(t.used) != used {
			return fmt.Errorf("table says %d entries, has %d", t.used, used)
		}
		if uint64(t.left)+used+deleted != maxLoad(groups) {
			return fmt.Errorf("%d groups: %d left, %d used, %d deleted", groups, t.left, used, deleted)
		}
		entries += used
		if at += spanOf(t.depth); at == 0 {
			break
		}
	}
	if entries != h.count {
		return fmt.Errorf("count is %d, tables have %d", h.count, entries)
	}
	return nil
}

func gapOf(p *padded) []byte {
	return unsafe.Slice((*byte)(unsafe.Add(unsafe.Pointer(p), 1)), 7)
}

func textAt(m *Mem, k *textKey) string { return m.textOf(unsafe.Pointer(k)) }

func textAtIs(m *Mem, k *textKey, s string) bool { return m.textIs(unsafe.Pointer(k), s) }

func ptrAdd(p unsafe.Pointer, n uint64) unsafe.Pointer { return unsafe.Add(p, n) }
