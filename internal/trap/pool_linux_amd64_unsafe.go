//go:build linux && amd64

package trap

import (
	"errors"
	"fmt"
	"os"
	"time"
	"unsafe"
)

// SetLimit makes n slots usable, n at most Config.MaxSlots; fewer than before is
// no error and changes nothing. It maps what is new: a resolver only ever
// meets a plain page fault there.
func (h *Handle) SetLimit(n uint64) error {
	n = min(n, h.max)
	old := load64(&h.r.limit)
	if n <= old {
		return nil
	}
	if err := h.slots.Commit(roundDown(old*pageSize), roundUp(n*pageSize)-roundDown(old*pageSize)); err != nil {
		return fmt.Errorf("mapping %d slots for preserved pages: %w", n, err)
	}
	from := roundDown(old * linkSize)
	if err := h.links.Commit(from, roundUp(n*linkSize)-from); err != nil {
		return fmt.Errorf("mapping the links of %d slots: %w", n, err)
	}
	store64(&h.r.limit, n)
	return nil
}

func roundDown(n uint64) uint64 { return n &^ (pageSize - 1) }

// SetLow sets how few free slots ring the bell.
func (h *Handle) SetLow(n uint64) { store64(&h.r.low, n) }

// SetPinned says which is the newest Table that a fork reads through, nil for none, and
// how many slots are left to what forks need. Before that Table is unmapped there must be
// another SetPinned, and then a Drain.
func (h *Handle) SetPinned(t *Table, reserve uint64) {
	store64(&h.r.reserve, reserve)
	store64(&h.r.pinned, t.addr())
}

// Free is the number of slots that are free now, about.
func (h *Handle) Free() uint64 {
	room, used := h.r.room(), load64(&h.r.used)
	return room - min(used, room)
}

// Warm is the number of free slots that have memory, about.
func (h *Handle) Warm() uint64 { return load64(&h.r.warmLen) }

// WarmUp gives memory to up to n free slots that have none, so that the resolver
// does not meet a fresh one. It answers how many; fewer than n means that there
// are no more. Safe beside the resolver.
func (h *Handle) WarmUp(n uint64) (warmed uint64) {
	for warmed < n {
		s := h.r.pop(&h.r.cold)
		if s == 0 {
			break
		}
		store64(word64(h.r.slots+(s-1)<<pageShift), 0)
		h.r.push(&h.r.warm, s-1)
		add64(&h.r.warmLen, 1)
		warmed++
	}
	// Fresh slots get their memory while anybody may still take them, and are
	// claimed a few at a time: the resolver must not find the pool empty because
	// we hold what is in it. In one call, because as long as it runs every lift
	// elsewhere is dear: the kernel flushes this processor's TLB, too.
	f, limit := load64(&h.r.fresh), load64(&h.r.limit)
	end := min(f+n-warmed, limit-min(limit, keepFresh))
	if f >= end {
		return warmed
	}
	h.slots.Populate(f*pageSize, (end-f)*pageSize)
	for f < end {
		k := min(end-f, 16)
		if cas64(&h.r.fresh, f, f+k) {
			for i := range k {
				h.r.push(&h.r.warm, f+k-1-i) // the lowest on top
			}
			add64(&h.r.warmLen, k)
			warmed += k
		}
		f = load64(&h.r.fresh)
	}
	return warmed
}

// keepFresh slots are left to the resolver to take by itself.
const keepFresh = 64

// CoolDown gives the memory of free slots back to the system until at most keep
// of them have any. Safe beside the resolver.
func (h *Handle) CoolDown(keep uint64) {
	for load64(&h.r.warmLen) > keep {
		s := h.r.pop(&h.r.warm)
		if s == 0 {
			return
		}
		add64(&h.r.warmLen, ^uint64(0))
		// A failure leaves the memory where it is, which is no harm.
		_ = h.slots.Discard((s-1)*pageSize, pageSize)
		h.r.push(&h.r.cold, s-1)
	}
}

// SlotBytes is the content of a slot. It is immutable as long as the slot is in
// the Table of an open snapshot that has not been given up.
func (h *Handle) SlotBytes(slot uint64) []byte {
	return unsafe.Slice((*byte)(unsafe.Add(h.slots.Base(), slot*pageSize)), pageSize)
}

// WaitBell blocks until the resolver has rung, or Ring was called, and answers
// true, or until d (if not 0) is over, and answers false. It is for one
// goroutine, which the network poller parks meanwhile. An error means that the
// bell is gone: Silence was called.
func (h *Handle) WaitBell(d time.Duration) (rang bool, err error) {
	var until time.Time
	if d != 0 {
		until = time.Now().Add(d)
	}
	if err := h.ear.SetReadDeadline(until); err != nil {
		return false, fmt.Errorf("waiting for the bell: %w", err)
	}
	var b [8]byte
	if _, err := h.ear.Read(b[:]); errors.Is(err, os.ErrDeadlineExceeded) {
		return false, nil
	} else if err != nil {
		return false, fmt.Errorf("waiting for the bell: %w", err)
	}
	// Answer before looking at the pool: what happens from here on rings again.
	store64(&h.r.rung, 0)
	return true, nil
}

// Ring wakes WaitBell.
func (h *Handle) Ring() { h.r.ring() }

// Silence makes WaitBell fail, now and from now on.
func (h *Handle) Silence() { _ = h.ear.Close() }
