package cowheap

import (
	"context"
	"fmt"
)

// Trim gives memory that was freed back to the system. It waits for the Updates and Views
// that run, and holds new ones off meanwhile. Pages that
// an open snapshot needs stay until a Trim after it was closed. Address space, Refs and what is
// allocated do not change; memory that is used again costs a page fault a page. How much has been given
// back is in Stats.
//
// A heap that was restored lazily or forked is completed first (Populate). Errors:
// ErrNested, ErrClosed, and arena.ErrIncomplete while a snapshot is open that was taken
// before such a heap was complete, or a fork of one has not been populated or closed.
func (h *Heap) Trim() error {
	if h.sp.gate.holdsCaller() {
		return ErrNested
	}
	if err := h.Populate(context.Background()); err != nil {
		return fmt.Errorf("completing the heap before giving memory back: %w", err)
	}
	return h.a.Trim(func() (release func(), err error) {
		if _, err := h.sp.gate.close(gateNobody); err != nil {
			return nil, err
		}
		return h.sp.gate.open, nil
	})
}
