package restore

import (
	"context"
	"math/bits"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cowheap/cowheap/arena"
)

// recorder finds out which pages of a lazy restore are touched, without being told: it looks at which pages
// have come in, from time to time, and knows which of them it has brought itself.
type recorder struct {
	a *arena.Arena

	mu     sync.Mutex
	seen   []uint64 // a bit for each page: it was in when last looked at
	bulk   []uint64 // it came in, or will, without having been touched
	now    []uint64
	faults []uint32

	ready atomic.Bool // whatever is touched is in the page cache: a program need not wait long for it
}

const (
	// recordFor is how long first touches are recorded: a program that is
	// slow to start has shown by then what it starts with.
	recordFor = 5 * time.Second
	// recordQuiet is how long nothing new was touched when a program has what it
	// starts with, if it need not wait for it.
	recordQuiet = 500 * time.Millisecond
	// recordFirst is the time between the first two looks. It grows, so that the order of first
	// touches is known best where it matters.
	recordFirst = 2 * time.Millisecond
	recordMost  = 250 * time.Millisecond

	// aroundPages is what a fault brings in at most: the rest of an aligned group.
	aroundPages = 16
	groupFirsts = 0x0001000100010001
)

// newRecorder is nil if it cannot be known what comes in.
func newRecorder(a *arena.Arena) *recorder {
	words := (a.Arrived(0, nil) + 63) / 64
	if words == 0 {
		return nil
	}
	r := &recorder{a: a, seen: make([]uint64, words), bulk: make([]uint64, words), now: make([]uint64, words)}
	// What opening has brought in it will bring in the next time, too.
	a.Arrived(0, r.seen)
	return r
}

// run records until ctx ends, recordFor is over, or the program has what it starts with.
func (r *recorder) run(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, recordFor)
	defer cancel()
	last := time.Now()
	for wait := recordFirst; ctx.Err() == nil; wait = min(wait*5/4, recordMost) {
		select {
		case <-ctx.Done():
		case <-time.After(wait):
		}
		if r.look() {
			last = time.Now()
		} else if r.ready.Load() && time.Since(last) > recordQuiet {
			return
		}
	}
}

// look records what has come in since it was called last, and says whether something has.
func (r *recorder) look() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	before := len(r.faults)
	r.take(0, r.now)
	return len(r.faults) > before
}

// take looks at the words from at on.
func (r *recorder) take(at int, now []uint64) {
	r.a.Arrived(int64(at)*64, now)
	for i, in := range now {
		w := at + i
		fresh := in &^ (r.seen[w] | r.bulk[w])
		r.seen[w] |= in
		// A fault brings in the rest of its group: it was the first of them that was touched.
		for first := fresh &^ (fresh << 1 &^ groupFirsts); first != 0; first &= first - 1 {
			if len(r.faults) < maxTouched {
				r.faults = append(r.faults, uint32(w*64+bits.TrailingZeros64(first)))
			}
		}
	}
}

// bringing says that the pages [first, first+n) are about to be brought in; those that are in already
// were touched.
func (r *recorder) bringing(first, n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	from, to := first/64, min((first+n+63)/64, len(r.seen))
	r.take(from, r.now[from:to])
	for w := from; w < to; w++ {
		mask := ^uint64(0)
		if low := first - w*64; low > 0 {
			mask <<= low
		}
		if high := (w+1)*64 - (first + n); high > 0 {
			mask &= ^uint64(0) >> high
		}
		r.bulk[w] |= mask &^ r.seen[w]
	}
}

// isIn reports whether a page was in when last looked at.
func (r *recorder) isIn(page uint32) bool {
	var word [1]uint64
	r.a.Arrived(int64(page)&^63, word[:])
	return word[0]>>(page%64)&1 != 0
}

// touched is what was recorded.
func (r *recorder) touched() []uint32 {
	r.look()
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.faults
}
