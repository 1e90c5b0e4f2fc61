package arena

import (
	"iter"
	"math"
	"math/bits"
	"runtime"
	"sync"
	"sync/atomic"
)

// Watch knows which pages have been written since the instant of a snapshot, also
// after that snapshot is closed: a bit for each of its pages, 32 KiB a GiB, and nothing
// preserved. All methods may be called by any goroutine at any time.
//
// Bits are set by whoever takes a note of writes away from where the guard keeps it:
// the freeze of the next snapshot, and what is done ahead of it. So when a
// snapshot has been taken all that was written before its instant is in; what
// was written after it may be, too.
type Watch struct {
	w       *watched
	cleanup runtime.Cleanup
}

// watched is what a Watch that was dropped leaves behind to be ended.
type watched struct {
	a    *Arena
	seq  uint64 // of the snapshot it is since
	size uint64 // bytes of that

	// Under watches.mu.
	bits  []uint64 // a bit for each page of [0, size)
	until uint64   // the last snapshot for which they are complete
}

// watches are those of one arena. Whoever changes memory in a way that the guard does
// not notice calls add himself.
type watches struct {
	count atomic.Int32 // grows under Arena.mu only, so that no freeze needs mu where it is 0
	mu    sync.Mutex
	all   map[*watched]struct{}
}

// Watch begins to note which pages are written since the instant of s; s may be
// closed then. A freeze costs a bit for each page written, no more. What was written
// until this call is known as long as s is open and whole: ErrClosed, ErrOverrun.
//
// Guards userfault and mprotect note first writes without an open snapshot only
// with Options.Track; without it the Watch is of use as long as at any time one
// snapshot or other is open. Guard copy notes nothing.
func (s *Snapshot) Watch() (*Watch, error) {
	defer runtime.KeepAlive(s)
	release, err := s.h.holdOpen()
	if err != nil {
		return nil, err
	}
	defer release()
	a := s.h.a
	if err := s.h.f.intact(); err != nil {
		return nil, err
	}
	w := &watched{a: a, seq: s.h.seq, size: s.h.timing.size}
	if d, ok := s.h.f.(comparer); ok {
		w.until = math.MaxUint64
		w.bits = make([]uint64, (w.size/pageSize+63)/64)
		a.watches.enter(w)
		for _, r := range d.written() {
			w.add(r.first, r.n)
		}
	}
	watch := &Watch{w: w}
	watch.cleanup = runtime.AddCleanup(watch, func(w *watched) { w.a.watches.leave(w) }, w)
	return watch, nil
}

// Changed gives the pages in which newer may differ from the snapshot that is watched,
// as ranges [off, off+n) of bytes within newer, ascending and not touching: those
// written in between, perhaps some of those written since, and those by which the arena
// has grown. ok is false if that is not known: the guard stopped noting writes
// before newer was taken, the Watch is closed, or newer is no such snapshot.
func (w *Watch) Changed(newer *Snapshot) (pages iter.Seq2[int64, int64], ok bool) {
	defer runtime.KeepAlive(w)
	if !w.Before(newer) {
		return nil, false
	}
	x, h := w.w, newer.h
	ws := &x.a.watches
	ws.mu.Lock()
	defer ws.mu.Unlock()
	if h.seq > x.until {
		return nil, false
	}
	set := append([]uint64(nil), x.bits...)
	old, end := x.size/pageSize, h.timing.size/pageSize
	return func(yield func(off, n int64) bool) {
		for page := uint64(0); ; {
			first := nextPage(set, page, old, true)
			if first >= end {
				return
			}
			page = end
			if first < old {
				if page = nextPage(set, first, old, false); page >= old {
					page = end // and on into what has been added
				}
			}
			page = min(page, end)
			if !yield(int64(first*pageSize), int64((page-first)*pageSize)) {
				return
			}
		}
	}, true
}

// nextPage is the first page from the given one on that is in set, or that is not; where there
// is none below old it is old, or a later one that was given.
func nextPage(set []uint64, from, old uint64, in bool) uint64 {
	for page := from; page < old; page = page&^63 + 64 {
		word := set[page/64]
		if !in {
			word = ^word
		}
		if word >>= page % 64; word != 0 {
			return page + uint64(bits.TrailingZeros64(word))
		}
	}
	return max(from, old)
}

// Before tells whether s was taken after the snapshot that is watched, of the same arena.
func (w *Watch) Before(s *Snapshot) bool { return s.h.a == w.w.a && s.h.seq > w.w.seq }

// Close ends it. It is idempotent; a Watch that was dropped is closed by a cleanup.
func (w *Watch) Close() {
	w.cleanup.Stop()
	w.w.a.watches.leave(w.w)
}

// enter is called under Arena.mu.
func (ws *watches) enter(w *watched) {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	if ws.all == nil {
		ws.all = map[*watched]struct{}{}
	}
	ws.all[w] = struct{}{}
	ws.count.Store(int32(len(ws.all)))
}

func (ws *watches) leave(w *watched) {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	delete(ws.all, w)
	ws.count.Store(int32(len(ws.all)))
	w.bits, w.until = nil, 0
}

// any: somebody wants to know. Arena.mu is held.
func (ws *watches) any() bool { return ws.count.Load() > 0 }

// add says that [first, first+n) may have been written. Arena.mu is held, and no
// snapshot that shows it has been given out yet.
func (ws *watches) add(first, n uint64) {
	if !ws.any() {
		return
	}
	ws.mu.Lock()
	defer ws.mu.Unlock()
	for w := range ws.all {
		w.add(first, n)
	}
}

// lose says that from here on writes go unnoticed: what is known is known for the
// snapshots up to the last one. Arena.mu is held.
func (ws *watches) lose(last uint64) {
	if !ws.any() {
		return
	}
	ws.mu.Lock()
	defer ws.mu.Unlock()
	for w := range ws.all {
		w.until = last
	}
	clear(ws.all)
	ws.count.Store(0)
}

// add is for one who holds watches.mu, or alone has w.
func (w *watched) add(first, n uint64) {
	for end := min(first+n, w.size/pageSize); first < end; {
		stop := min(end, first&^63+64)
		w.bits[first/64] |= ^uint64(0) >> (64 - (stop - first)) << (first % 64)
		first = stop
	}
}

// loseTrack is watches.lose for a guard. Arena.mu is held.
func (a *Arena) loseTrack() {
	if !a.watches.any() {
		return
	}
	a.reg.Lock()
	last := a.taken
	a.reg.Unlock()
	a.watches.lose(last)
}
