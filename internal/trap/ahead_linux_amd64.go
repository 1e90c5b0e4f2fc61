package trap

// Preserving ahead: ordinary code copies pages that nobody has written yet, at
// the speed of memory and with one lift for many, so that writers do not meet
// them one by one.

// aheadStep pages are preserved between two looks at the world: as long as a stop
// of it may be held up, some 20 us.
const aheadStep = 32

// PreserveAhead preserves those of the pages [first, first+n) in the newest Table
// that are not yet, and lifts them. It answers how many it preserved, and false
// if it ended early because the room that is left should be kept for writers.
// Preconditions: n is at most a block; arming is locked out.
func (h *Handle) PreserveAhead(first, n uint64) (preserved uint64, ok bool) {
	t := tableAt(load64(&h.r.newest))
	if t == nil {
		return 0, true
	}
	end := min(first+n, t.pages)
	p := first
	for ok = true; p < end && ok; {
		if h.Warm() < aheadStep {
			h.WarmUp(16 * aheadStep)
		}
		add64(&h.entry.inside, 1)
		var k uint64
		stop := min(p+aheadStep, end)
		k, ok = h.r.preserveRun(t, p, stop)
		add64(&h.entry.inside, ^uint64(0))
		preserved += k
		if ok {
			p = stop
		}
	}
	if preserved > 0 {
		h.r.lift(first, p-first)
	}
	return preserved, ok
}

// preserveRun preserves those of the pages [page, end) that are not yet.
//
//go:nosplit
//go:norace
//go:nocheckptr
func (r *Range) preserveRun(t *Table, page, end uint64) (preserved uint64, ok bool) {
	if !r.hasRoom(t, end-page) {
		return 0, false
	}
	for ; page < end; page++ {
		// What is missing comes in protected, and is in the file.
		if load32(t.entry(page)) != entryNone || r.isMissing(page) {
			continue
		}
		if !r.preserve(t, page) {
			return preserved, false
		}
		preserved++
	}
	return preserved, true
}

// TakeBlocks makes a fault take an aligned block of so many pages along, a power of
// two, because all of them will be preserved anyway; 0 ends that.
func (h *Handle) TakeBlocks(pages uint64) { store64(&h.r.blocks, pages) }
