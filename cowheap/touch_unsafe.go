package cowheap

import "unsafe"

// touch is called by containers before they write the n bytes at p, which lie in the
// heap. Without a snapshot it is two loads; with one it spares the first write to a
// page its fault, most of which is the kernel delivering a signal. It is only ever a
// hint: whoever writes without it is right, and slower.
//
// Preconditions: m comes from an Update.
func (m *Mem) touch(p unsafe.Pointer, n uint64) {
	if m.frozen.Load() {
		m.touchFrozen(p, n)
	}
}

// touchFrozen is apart so that touch is inlined.
//
//go:noinline
func (m *Mem) touchFrozen(p unsafe.Pointer, n uint64) {
	m.space.leaser.Touch(uint64(uintptr(p))-uint64(uintptr(m.base)), n)
}

// touchSlot touches all that changes when a slot of a table is filled or emptied.
func (m *Mem) touchSlot(mt *mapType, t *mapTable, group *ctrlWord, slot unsafe.Pointer) {
	m.touch(unsafe.Pointer(t), uint64(unsafe.Sizeof(*t)))
	m.touch(unsafe.Pointer(group), ctrlSize)
	m.touch(slot, mt.slotSize)
}
