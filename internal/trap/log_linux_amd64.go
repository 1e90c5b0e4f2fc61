package trap

import "iter"

// The log of lifts: a bit for each page of the range that has been lifted since
// ordinary code last took it. While it is on, and everything was protected once
// since it came on, a page is protected, or in the log, or somebody is inside who
// is about to put it there. So to protect everything again it is enough to
// protect what the log has.
//
// Lift, then log, never the other way round: ordinary code takes a page out
// of the log and then protects it. If the bit came first, it could be taken, and
// the page protected, before the lift, which would then undo the protection
// with nothing in the log to tell.
//
// A bit too many is harmless: the page is protected once more. So bits may be
// set by several threads for one lift, and pages may be protected that are not
// in the log, at any time.
//
// It is a bitmap, and not a queue, because it can then neither overflow nor hold
// a page twice, and gives pages in order, so that neighbours are found without
// sorting. A summary, a bit for each word of it, spares looking through what is
// empty: 8 GiB are 512 words.

// note records that [page, page+n) have been lifted, if the log is on.
//
//go:nosplit
//go:norace
//go:nocheckptr
func (r *Range) note(page, n uint64) {
	if load64(&r.logging) == 0 {
		return
	}
	for end := page + n; page < end; {
		stop := min(end, page&^63+64)
		mask := (^uint64(0) >> (64 - (stop - page))) << (page & 63)
		word := page >> 6
		// The word first, then the summary: who takes clears them in the other
		// order, so a bit that it does not see leaves a bit in the summary behind.
		old := or64(word64(r.logWords+word<<3), mask)
		if mask&^old != 0 {
			add64(&r.logged, ones(mask&^old))
		}
		// Looked at first, to spare the locked instruction; it comes after the
		// one above, which is a full barrier. If the bit is seen set, who clears
		// it has not yet read the word.
		sum := word64(r.logSummary + word>>6<<3)
		if load64(sum)>>(word&63)&1 == 0 {
			or64(sum, 1<<(word&63))
		}
		page = stop
	}
}

// isLogged: all of [page, page+n) have been lifted, and not taken since.
//
//go:nosplit
//go:norace
//go:nocheckptr
func (r *Range) isLogged(page, n uint64) bool {
	if load64(&r.logging) == 0 {
		return false
	}
	for end := page + n; page < end; {
		stop := min(end, page&^63+64)
		mask := (^uint64(0) >> (64 - (stop - page))) << (page & 63)
		if load64(word64(r.logWords+page>>6<<3))&mask != mask {
			return false
		}
		page = stop
	}
	return true
}

// StartLog empties the log and switches it on. Lifts of resolvers that are
// inside may escape it until Drain has returned.
func (h *Handle) StartLog() {
	for range h.TakeLog() {
	}
	store64(&h.r.logging, 1)
}

// StopLog switches the log off.
func (h *Handle) StopLog() { store64(&h.r.logging, 0) }

// Logged is how many pages are in the log, about; 0 while it is off.
func (h *Handle) Logged() uint64 {
	if load64(&h.r.logging) == 0 {
		return 0
	}
	// A page may be taken before it has been counted.
	return uint64(max(int64(load64(&h.r.logged)), 0))
}

// TakeLog empties the log and gives what was in it, as ranges [page, page+n) in
// ascending order, none longer than 64 pages. Pages that come in meanwhile may or
// may not be given. What a body that ends the loop has not been given stays in.
func (h *Handle) TakeLog() iter.Seq2[uint64, uint64] {
	return func(yield func(page, n uint64) bool) {
		for s := range (h.r.pages + 1<<12 - 1) >> 12 {
			if load64(word64(h.r.logSummary+s<<3)) != 0 && !h.takeWords(s, yield) {
				return
			}
		}
	}
}

// takeWords takes the words that the summary's word s stands for.
func (h *Handle) takeWords(s uint64, yield func(page, n uint64) bool) bool {
	r := h.r
	sum := word64(r.logSummary + s<<3)
	for words := swap64(sum, 0); words != 0; words &= words - 1 {
		word := s<<6 + ones(words&-words-1)
		bits := swap64(word64(r.logWords+word<<3), 0)
		add64(&r.logged, -ones(bits))
		for bits != 0 {
			lowest := bits & -bits
			// Adding it carries through the ones that follow, to the first zero.
			run := bits &^ (bits + lowest)
			bits &^= run
			if !yield(word<<6+ones(lowest-1), ones(run)) {
				old := or64(word64(r.logWords+word<<3), bits)
				add64(&r.logged, ones(bits&^old))
				or64(sum, words) // one too many is harmless
				return false
			}
		}
	}
	return true
}

// IsLogged tells whether all of [page, page+n) are in the log.
func (h *Handle) IsLogged(page, n uint64) bool { return h.r.isLogged(page, n) }

// EachLogged gives what TakeLog would, and leaves it where it is.
func (h *Handle) EachLogged() iter.Seq2[uint64, uint64] {
	return func(yield func(page, n uint64) bool) {
		for s := range (h.r.pages + 1<<12 - 1) >> 12 {
			for words := load64(word64(h.r.logSummary + s<<3)); words != 0; words &= words - 1 {
				word := s<<6 + ones(words&-words-1)
				for bits := load64(word64(h.r.logWords + word<<3)); bits != 0; {
					lowest := bits & -bits
					run := bits &^ (bits + lowest)
					bits &^= run
					if !yield(word<<6+ones(lowest-1), ones(run)) {
						return
					}
				}
			}
		}
	}
}

// PutBack puts [page, page+n), taken out of the log and not protected, in again.
func (h *Handle) PutBack(page, n uint64) { h.r.note(page, n) }
