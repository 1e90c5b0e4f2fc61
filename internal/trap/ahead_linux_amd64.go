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
	// Memory for many slots at once comes in a third of the time in huge pages. (Not
	// before: the resolver may meet a slot without memory, and should then wait for
	// one page.) A system that has none is as good.
	h.huge.Do(func() { _ = h.slots.HugePages(true) })
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
			if h.Free() <= keepFresh {
				ok = false // these are the resolver's
				break
			}
			add64(&h.entry.inside, 1)
			var k uint64
			p, k, ok = h.r.preserveRun(t, p, min(p+aheadStep, end))
			add64(&h.entry.inside, ^uint64(0))
			some += k
		}
		if some > 0 {
			h.r.liftEither(run, p-run)
		}
		preserved += some
	}
	return preserved, ok
}

// preserveRun preserves those of the pages [page, end) that are not yet, up to
// next: the first that is missing, or end. It is preserve for many pages, with
// as few locked instructions as there can be: several processors do this at
// once, and would spend more time on who has the counters than on copying.
//
//go:nosplit
//go:norace
//go:nocheckptr
func (r *Range) preserveRun(t *Table, page, end uint64) (next, preserved uint64, ok bool) {
	if !r.hasRoomForAll(t) {
		return page, 0, false
	}
	next, chain, saved := r.saveRun(t, page, end)
	delay(delaySaving)
	return next, r.publishRun(t, chain, saved), true
}

// saveRun copies the pages of preserveRun to the first slots of a chain, as many as it can
// get; others may have been quicker. It publishes none of them before all are copied: a
// locked instruction waits until what was stored has reached memory.
//
//go:nosplit
//go:norace
//go:nocheckptr
func (r *Range) saveRun(t *Table, page, end uint64) (next, chain, saved uint64) {
	chain, slots := r.popChain(&r.warm, end-page)
	if slots == 0 {
		return page, 0, 0
	}
	add64(&r.warmLen, -slots)
	add64(&r.used, slots)
	s := chain
	for ; page < end && saved < slots && !r.isMissing(page); page++ {
		if load32(t.entry(page)) != entryNone || t.spares(page) {
			continue
		}
		streamPages(r.slots+(s-1)<<pageShift, r.start+page<<pageShift, pageSize)
		put32(r.slotPage(s-1), uint32(page))
		saved++
		s = r.next(s - 1)
	}
	if rest := slots - saved; rest > 0 {
		// The last link of the chain leads to a slot that is not ours, so its end is
		// found by counting.
		tail := s
		for i := uint64(1); i < rest; i++ {
			tail = r.next(tail - 1)
		}
		r.pushChain(&r.warm, s-1, tail-1)
		add64(&r.warmLen, rest)
		add64(&r.used, -rest)
	}
	return page, chain, saved
}

// publishRun publishes what saveRun has copied, as save does, and however long ago that was. Nobody
// lifts a page before it has an entry, in this Table or in one beside it, so while it has none the copy
// is what it holds. Each copy ends in a fence and the swap is a full barrier: whoever sees the entry sees the
// content. Whoever loses gives the slot back.
//
//go:nosplit
//go:norace
//go:nocheckptr
func (r *Range) publishRun(t *Table, chain, saved uint64) (preserved uint64) {
	first, last := uint64(0), uint64(0)
	for s := chain; saved > 0; saved-- {
		next, page := r.next(s-1), uint64(load32(r.slotPage(s-1)))
		if t.isAbove(page) || t.spares(page) || !cas32(t.entry(page), entryNone, uint32(s)) {
			r.give(s - 1)
			add64(&r.lost, 1)
			s = next
			continue
		}
		if last == 0 {
			first = s
		} else {
			put32(word32(r.links+(last-1)*linkSize), uint32(s))
		}
		last = s
		preserved++
		s = next
	}
	if preserved > 0 {
		r.pushChain(&t.list, first-1, last-1)
		add64(&t.count, preserved)
	}
	return preserved
}

// TakeBlocks makes a fault take an aligned block of so many pages along, a power of
// two, because all of them will be preserved anyway; 0 ends that.
func (h *Handle) TakeBlocks(pages uint64) { store64(&h.r.blocks, pages) }
