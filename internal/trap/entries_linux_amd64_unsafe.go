//go:build linux && amd64

package trap

import (
	"errors"
	"fmt"
	"sync"
	"time"
	"unsafe"
)

// entry is a place in the table of ranges. Entries are never freed, so that a
// handler may look at any of them at any time; they are reused only after
// inside has been zero.
type entry struct {
	start  uint64 // address of the range, 0: free
	size   uint64 // bytes
	ctl    uint64 // address of the Range
	inside uint64 // resolvers inside, but for those that bring a missing page in
	// bringing counts the others: they never look at newest, and readers may
	// keep it above zero for as long as a lazy restore takes.
	bringing uint64
	signal   uint64 // that faults in the range are
	_        [2]uint64
}

// MaxRanges is how many arenas a process may have open at once.
const MaxRanges = 1024

// The table is written under mu and read by handlers at any time. entriesUsed
// only grows.
var (
	mu          sync.Mutex
	entries     [MaxRanges]entry
	entriesUsed uint64
)

// ErrTooManyRanges: MaxRanges arenas are open already.
var ErrTooManyRanges = errors.New("too many arenas open in this process: close some")

// findEntry finds the entry whose range holds addr.
//
//go:nosplit
//go:norace
//go:nocheckptr
func findEntry(addr uint64) *entry {
	n := load64(&entriesUsed)
	for i := uint64(0); i < n; i++ {
		// Not &entries[i]: without optimization that checks bounds, and panics.
		e := (*entry)(unsafe.Add(unsafe.Pointer(&entries), i*uint64(unsafe.Sizeof(entry{}))))
		if start := load64(&e.start); start != 0 && addr-start < load64(&e.size) {
			return e
		}
	}
	return nil
}

// claimEntry publishes r. The start is stored last: until then the entry is free.
func claimEntry(start, size, ctl, signal uint64) (*entry, error) {
	mu.Lock()
	defer mu.Unlock()
	for i := range entries {
		e := &entries[i]
		if load64(&e.start) != 0 {
			continue
		}
		store64(&e.size, size)
		store64(&e.ctl, ctl)
		store64(&e.signal, signal)
		store64(&e.start, start)
		if n := uint64(i) + 1; n > load64(&entriesUsed) {
			store64(&entriesUsed, n)
		}
		return e, nil
	}
	return nil, fmt.Errorf("%d ranges registered: %w", MaxRanges, ErrTooManyRanges)
}

// release frees the entry when no resolver is inside any more.
func (e *entry) release() {
	mu.Lock()
	defer mu.Unlock()
	store64(&e.start, 0)
	// In this order: who brings a page in was counted there before it left here.
	waitZero(&e.inside)
	waitZero(&e.bringing)
}

// waitZero waits until the counter has been zero at some instant after the call. A resolver is inside for microseconds, or for a read from a file; it waits
// for nobody, so this ends. It may be descheduled, so spinning alone would be
// wrong on one processor.
func waitZero(counter *uint64) {
	for i := 0; load64(counter) != 0; i++ {
		switch {
		case i < 100:
			pause()
		case i < 200:
			syscall6(sysYield, 0, 0, 0, 0, 0, 0)
		default:
			time.Sleep(20 * time.Microsecond)
		}
	}
}
