//go:build linux

package arena

import (
	"unsafe"

	"github.com/cowheap/cowheap/internal/vm"
)

// slotTable is a slot number for each page of an arena, in memory that is reserved
// for the largest one: it grows without being copied, which could be in a pause.
type slotTable struct {
	mem       vm.Mapping
	slots     []uint32 // all of them; only the committed ones may be touched
	committed uint64   // bytes
}

// tableChunk is what is committed at a time, in bytes: the entries of 1 GiB.
const tableChunk = 1 << 20

func newSlotTable(pages uint64) (t slotTable, err error) {
	size := (pages*4 + tableChunk - 1) &^ (tableChunk - 1)
	if t.mem, err = vm.Reserve(size, pageSize); err != nil {
		return slotTable{}, err
	}
	t.slots = unsafe.Slice((*uint32)(t.mem.Base()), pages)
	return t, nil
}

// cover makes the entries of [0, pages) usable; new ones are 0.
func (t *slotTable) cover(pages uint64) error {
	need := (pages*4 + tableChunk - 1) &^ (tableChunk - 1)
	if need <= t.committed {
		return nil
	}
	if err := t.mem.Commit(t.committed, need-t.committed); err != nil {
		return err
	}
	t.committed = need
	return nil
}
