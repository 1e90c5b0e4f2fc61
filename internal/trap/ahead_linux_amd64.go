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
	// What is missing comes in protected, and is in the file. It may come in at any
	// moment, so it is not lifted along: a run ends before it.
	for ok = true; p < end && ok; p++ {
		run, some := p, uint64(0)
		for p < end && ok && !h.r.isMissing(p) {
			if h.Warm() < aheadStep {
				h.WarmUp(16 * aheadStep)
			}
			add64(&h.entry.inside, 1)
			var k uint64
			p, k, ok = h.r.preserveRun(t, p, min(p+aheadStep, end))
			add64(&h.entry.inside, ^uint64(0))
			some += k
		}
		if some > 0 {
			h.r.lift(run, p-run)
		}
		preserved += some
	}
	return preserved, ok
}

// preserveRun preserves those of the pages [page, end) that are not yet, up to
// next: the first that is missing, or end.
//
//go:nosplit
//go:norace
//go:nocheckptr
func (r *Range) preserveRun(t *Table, page, end uint64) (next, preserved uint64, ok bool) {
	if !r.hasRoom(t, end-page) {
		return page, 0, false
	}
	for ; page < end && !r.isMissing(page); page++ {
		if load32(t.entry(page)) != entryNone {
			continue
		}
		if !r.preserve(t, page) {
			return page, preserved, false
		}
		preserved++
	}
	return page, preserved, true
}

// TakeBlocks makes a fault take an aligned block of so many pages along, a power of
// two, because all of them will be preserved anyway; 0 ends that.
func (h *Handle) TakeBlocks(pages uint64) { store64(&h.r.blocks, pages) }
