package arena

import (
	"fmt"
	"math/bits"

	"github.com/cowheap/cowheap/internal/vm"
)

// slotPool is the memory that pages are copied to, in slots of a page each. Slots
// are given out from the lowest one up: pages that follow each other get slots
// that do, so that they are copied at once, and the memory in use stays together.
// (A stack of free slots would return them in the order in which they became
// free, which after a while is no order.) Slot 0 is none: a page of zeros.
//
// All but bytes is for who holds Arena.mu.
type slotPool struct {
	mem  vm.Mapping
	free []uint64 // a bit for each committed slot: nobody holds it
	low  int      // no word below it has a bit set
	used uint64   // slots that somebody holds
	// shared is how many hold a slot besides the first: only after a rollback
	// below a snapshot that a fork needs.
	shared map[uint32]uint32
}

// slotsChunk is how many slots are committed at least at a time: 4 MiB.
const slotsChunk = 1024

// newSlotPool reserves so many slots, as far as 32 bits can number them.
func newSlotPool(slots uint64) (*slotPool, error) {
	slots = min((slots+slotsChunk)&^(slotsChunk-1), 1<<32-slotsChunk)
	mem, err := vm.Reserve(slots*pageSize, pageSize)
	if err != nil {
		return nil, err
	}
	return &slotPool{mem: mem}, nil
}

// bytes is the memory of n slots.
func (p *slotPool) bytes(first, n uint32) []byte {
	return p.mem.Bytes(uint64(first)*pageSize, uint64(n)*pageSize)
}

// take gives out at most want slots that follow each other, the lowest there are.
func (p *slotPool) take(want uint32) (first, n uint32, err error) {
	for p.low < len(p.free) && p.free[p.low] == 0 {
		p.low++
	}
	if p.low == len(p.free) {
		if err := p.grow(uint64(want)); err != nil {
			return 0, 0, err
		}
	}
	word := p.low
	bit := uint32(bits.TrailingZeros64(p.free[word]))
	first = uint32(word)*64 + bit
	for word < len(p.free) && n < want {
		ones := min(uint32(bits.TrailingZeros64(^(p.free[word] >> bit))), 64-bit, want-n)
		p.free[word] &^= (1<<ones - 1) << bit
		n += ones
		if bit+ones < 64 {
			break
		}
		word, bit = word+1, 0
	}
	p.used += uint64(n)
	return first, n, nil
}

// grow commits more slots.
func (p *slotPool) grow(want uint64) error {
	have := uint64(len(p.free)) * 64
	more := (max(want, have/8) + slotsChunk - 1) &^ (slotsChunk - 1)
	if more = min(more, p.mem.Size()/pageSize-have); more == 0 {
		return fmt.Errorf("%d slots for pages of snapshots are in use (close snapshots that forks hold): %w", have, ErrFull)
	}
	if err := p.mem.Commit(have*pageSize, more*pageSize); err != nil {
		return fmt.Errorf("%w (%w)", ErrFull, err)
	}
	p.low = len(p.free)
	for range more / 64 {
		p.free = append(p.free, ^uint64(0))
	}
	p.free[0] &^= 1
	return nil
}

// share is one more holder of slot.
func (p *slotPool) share(slot uint32) {
	if !isSlot(slot) {
		return
	}
	if p.shared == nil {
		p.shared = map[uint32]uint32{}
	}
	p.shared[slot]++
}

// give is one holder less.
func (p *slotPool) give(slot uint32) {
	if !isSlot(slot) {
		return
	}
	if n := p.shared[slot]; n > 0 {
		if p.shared[slot]--; n == 1 {
			delete(p.shared, slot)
		}
		return
	}
	word := int(slot / 64)
	p.free[word] |= 1 << (slot % 64)
	p.low = min(p.low, word)
	p.used--
}

// cool gives the memory of free slots back, but for so many that come first.
func (p *slotPool) cool(keep uint64) error {
	total := uint32(len(p.free) * 64)
	for at := uint32(p.low * 64); at < total; {
		if p.free[at/64]>>(at%64) == 0 {
			at = (at/64 + 1) * 64
			continue
		}
		at += uint32(bits.TrailingZeros64(p.free[at/64] >> (at % 64)))
		end := at
		for end < total && p.free[end/64]>>(end%64)&1 != 0 {
			end++
		}
		n := uint64(end - at)
		kept := min(n, keep)
		keep -= kept
		if err := p.mem.Discard((uint64(at)+kept)*pageSize, (n-kept)*pageSize); err != nil {
			return err
		}
		at = end
	}
	return nil
}
