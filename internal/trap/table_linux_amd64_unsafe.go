//go:build linux && amd64

package trap

import (
	"fmt"
	"iter"
	"unsafe"

	"github.com/cowheap/cowheap/internal/vm"
)

// NewTable maps a Table for a snapshot of so many pages. It costs address
// space; memory only where entries are set (4 bytes a page).
func NewTable(seq, pages uint64) (*Table, error) {
	m, err := vm.Map(roundUp(tableHeader + pages*4))
	if err != nil {
		return nil, fmt.Errorf("mapping a table of %d pages: %w", pages, err)
	}
	t := (*Table)(m.Base())
	t.seq, t.pages, t.size, t.state = seq, pages, m.Size(), stateOpen
	return t, nil
}

// Unmap gives the Table's memory back.
// Preconditions: it is not published, no resolver that saw it is inside, and
// nobody reads it.
func (t *Table) Unmap() error {
	return vm.Adopt(unsafe.Pointer(t), t.size).Unmap()
}

// Seq is the number of the snapshot, ascending.
func (t *Table) Seq() uint64 { return t.seq }

// Pages is the number of pages of the snapshot.
func (t *Table) Pages() uint64 { return t.pages }

// SetPages lowers or raises the number of pages up to what NewTable was given.
// Preconditions: the Table has not been published.
func (t *Table) SetPages(n uint64) error {
	if roundUp(tableHeader+n*4) > t.size {
		return fmt.Errorf("%d pages in a table of %d bytes", n, t.size)
	}
	t.pages = n
	return nil
}

// SetBelow says that t has no snapshot of its own and stands on below: what that
// one has is not preserved again. Before below is unmapped there must be another
// SetBelow, and then a Drain.
func (t *Table) SetBelow(below *Table) { store64(&t.below, below.addr()) }

// SetAbove says which Table is the next newer one, nil: none. It comes before that
// one is published, and after what the ones left out held has been merged.
func (t *Table) SetAbove(above *Table) { store64(&t.above, above.addr()) }

// Raise marks the Table as going up: a write fault from now on tears it.
func (t *Table) Raise() { store64(&t.state, stateRaising) }

// Settle ends Raise. It answers the write that tore the snapshot, if any.
func (t *Table) Settle() (page, pc uint64, torn bool) {
	store64(&t.state, stateOpen)
	return t.Torn()
}

// Torn answers the write that tore the snapshot, if any.
func (t *Table) Torn() (page, pc uint64, torn bool) {
	switch load64(&t.torn) {
	case 0:
		return 0, 0, false
	case 1: // claimed, its writer is about to fill it in
		return 0, 0, true
	}
	return t.page, t.pc, true
}

// Preserved is the number of pages preserved in this Table.
func (t *Table) Preserved() uint64 { return load64(&t.count) }

// Faults is the number of write faults resolved for this Table.
func (t *Table) Faults() uint64 { return load64(&t.faults) }

// Slot answers which slot holds page's content as of this Table, if one does.
// A page that was given back early (Tombstone) has none and must not be asked for.
func (t *Table) Slot(page uint64) (slot uint64, ok bool) {
	if page >= t.pages {
		return 0, false
	}
	e := load32(t.entry(page))
	if e == entryNone || e == entryTomb {
		return 0, false
	}
	return uint64(e) - 1, true
}

// Entries iterates over the pages that t has, in no order.
// Preconditions: no resolver publishes in t.
func (h *Handle) Entries(t *Table) iter.Seq[uint64] {
	return func(yield func(page uint64) bool) {
		for _, page := range h.entries(t) {
			if !yield(page) {
				return
			}
		}
	}
}

// entries iterates over the slots published in t and their pages.
// Preconditions: no resolver publishes in t any more. The body may take slots
// out of t's list (Handle.FreeSlot, Handle.moveSlot).
func (h *Handle) entries(t *Table) iter.Seq2[uint64, uint64] {
	return func(yield func(slot, page uint64) bool) {
		for s := load64(&t.list) & 0xffffffff; s != 0; {
			slot := s - 1
			next := uint64(load32(word32(h.r.links + slot*linkSize)))
			if !yield(slot, uint64(load32(h.r.slotPage(slot)))) {
				return
			}
			s = next
		}
	}
}

// FreeSlots returns every slot of t to the pool.
// Preconditions: no resolver publishes in t any more, and whoever reads its
// slots either has finished or will look at a mark that voids what it read.
func (h *Handle) FreeSlots(t *Table) {
	for slot := range h.entries(t) {
		h.r.give(slot)
	}
	store64(&t.list, 0)
	store64(&t.count, 0)
}

// Merge moves the slots of newer, which nobody needs by itself, into older,
// the next one down. Those of pages that older has already, or does not cover, stay
// in newer, for FreeSlots once the readers that may have found them there have left:
// two resolvers may have preserved a page, one in each (see save), and a reader that looked
// at older before the one had published takes what the other has. newer
// keeps its entries for readers that are walking it.
// Preconditions: no resolver publishes in either any more.
func (h *Handle) Merge(older, newer *Table) {
	twice := uint64(0) // the list of those that stay
	for slot, page := range h.entries(newer) {
		if page < older.pages && cas32(older.entry(page), entryNone, uint32(slot+1)) {
			h.r.push(&older.list, slot)
			add64(&older.count, 1)
		} else {
			h.r.push(&twice, slot)
		}
	}
	store64(&newer.list, twice)
}

// Tombstone ends the need for the pages [first, first+n): those that are still
// protected are lifted, in one call. Their content as of t is lost.
// Preconditions: t is newest and no older snapshot is open; arming is locked
// out; n is at most a block.
func (h *Handle) Tombstone(t *Table, first, n uint64) {
	end := min(first+n, t.pages)
	lo, hi := end, first
	for p := first; p < end; p++ {
		if cas32(t.entry(p), entryNone, entryTomb) {
			lo, hi = min(lo, p), p+1
		}
	}
	if lo < hi {
		h.r.liftEither(lo, hi-lo)
	}
}

// addr is t's address, 0 for nil.
func (t *Table) addr() uint64 { return uint64(uintptr(unsafe.Pointer(t))) }
