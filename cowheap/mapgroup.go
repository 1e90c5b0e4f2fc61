package cowheap

import "math/bits"

// A group is a control word and eight slots. Byte i of the control word says
// what is in slot i: 0 nothing, 1 a deleted entry that searches must pass over,
// 0x80 | tag an entry whose hash has that tag as its lowest seven bits. So memory
// of zeros is a group without entries, and costs nothing to make.
//
// All eight bytes are looked at at once. A result has the highest bit of each
// byte set that matches.
type ctrlWord uint64

const (
	ctrlEmpty   = 0x00
	ctrlDeleted = 0x01
	ctrlFull    = 0x80

	ctrlLow  = 0x0101010101010101
	ctrlHigh = 0x8080808080808080
)

type slotSet uint64

// full returns the slots that have entries.
func (c ctrlWord) full() slotSet { return slotSet(c & ctrlHigh) }

// free returns the slots that have none, be they empty or deleted.
func (c ctrlWord) free() slotSet { return slotSet(^c & ctrlHigh) }

// empty returns the slots that have none and at which a search may end.
func (c ctrlWord) empty() slotSet { return slotSet(^(c | c<<7) & ctrlHigh) }

// are returns the slots whose bytes are those of w, which has the same one eight times,
// and seldom another slot with an entry: a borrow runs over from a match to the
// byte above it.
func (c ctrlWord) are(w ctrlWord) slotSet {
	v := c ^ w
	return slotSet((v - ctrlLow) &^ v & ctrlHigh)
}

// first returns the lowest slot of a set that is not empty.
func (s slotSet) first() uint64 { return uint64(bits.TrailingZeros64(uint64(s))) / 8 }

// rest returns the set without its lowest slot.
func (s slotSet) rest() slotSet { return s & (s - 1) }

// with returns the word with another byte for a slot.
func (c ctrlWord) with(slot uint64, b ctrlWord) ctrlWord {
	return c&^(0xff<<(8*slot)) | b<<(8*slot)
}

// tagOf and homeOf are the parts of a hash that choose within a table. The
// directory takes the highest bits.
func tagOf(hash uint64) uint64  { return hash & 0x7f }
func homeOf(hash uint64) uint64 { return hash >> 7 }
