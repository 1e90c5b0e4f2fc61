package replica

import (
	"errors"
	"fmt"

	"github.com/cowheap/cowheap/cowheap"
)

// PositionRoot is the name of the root that holds a heap's Position.
const PositionRoot = "replica.position"

// Position is an entry of the log. The zero value stands before the first.
type Position struct {
	Index uint64    // ascends from entry to entry, with gaps for what is no command
	Term  uint64    // 0 where the log tells none
	_     [16]uint8 // for fields to come
}

// ErrApplied: the heap holds this entry already.
var ErrApplied = errors.New("entry was applied before")

// UpdateAt applies the entry at a position: it calls fn in an Update, and writes the
// position there too, also when fn fails: an error is the entry's outcome, the same on every
// replica, and undoes nothing. It answers fn's error, ErrApplied for an
// entry at or before the heap's position, without calling fn, and the
// errors of cowheap.Heap.Update and cowheap.Root. If fn panics the position stays.
//
// Entries come one at a time, in order.
func (h *Heap) UpdateAt(at Position, fn func(m *cowheap.Mem) error) error {
	return h.Update(func(m *cowheap.Mem) error {
		ref, err := cowheap.Root[Position](m, PositionRoot)
		if err != nil {
			return err
		}
		p := ref.Ptr(m)
		if at.Index <= p.Index {
			return fmt.Errorf("%w: entry %d, the heap is at %d", ErrApplied, at.Index, p.Index)
		}
		err = fn(m)
		// Position reads both words, in a View that nothing here waits for.
		h.position.Lock()
		defer h.position.Unlock()
		*p = at
		return err
	})
}

// Position is the entry that was applied last. Any goroutine, any time. Errors: those of
// cowheap.Heap.View.
func (h *Heap) Position() (at Position, err error) {
	err = h.View(func(m *cowheap.Mem) error {
		ref, err := cowheap.Root[Position](m, PositionRoot)
		if errors.Is(err, cowheap.ErrNotFound) {
			return nil // no entry yet
		}
		if err != nil {
			return err
		}
		h.position.Lock()
		defer h.position.Unlock()
		at = *ref.Ptr(m)
		return nil
	})
	return at, err
}
