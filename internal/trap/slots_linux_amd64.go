package trap

// The pool of slots, as the resolver sees it: three sources, cheapest first.
// Free lists are stacks whose head carries a tag that changes with every pop,
// so that a head that was popped and pushed again in between is not mistaken
// for the same one (a thread would have to sleep through exactly 2^32 pops
// between two instructions). Pushing and popping retries only when another
// thread succeeded, so the pool as a whole always moves on.

//go:nosplit
//go:norace
//go:nocheckptr
func (r *Range) slotPage(slot uint64) *uint32 {
	return word32(r.links + slot*linkSize + linkPage)
}

// pop takes a slot off a free list; 0 means none, else it is slot+1.
//
//go:nosplit
//go:norace
//go:nocheckptr
func (r *Range) pop(head *uint64) uint64 {
	for {
		h := load64(head)
		s := h & 0xffffffff
		if s == 0 {
			return 0
		}
		// The link may be stale if the slot was popped meanwhile; then the tag
		// has changed and the exchange fails.
		next := r.next(s - 1)
		if cas64(head, h, (h>>32+1)<<32|next) {
			return s
		}
	}
}

// popChain takes up to n slots off a free list, as pop does. They stay linked to
// one another: first is the first one plus one, 0 if there was none.
//
//go:nosplit
//go:norace
//go:nocheckptr
func (r *Range) popChain(head *uint64, n uint64) (first, got uint64) {
	for {
		h := load64(head)
		if first = h & 0xffffffff; first == 0 {
			return 0, 0
		}
		// The links may be stale if slots were popped meanwhile; they still lead
		// from slot to slot or end, and the exchange fails.
		next := first
		for got = 0; got < n && next != 0; got++ {
			next = r.next(next - 1)
		}
		if cas64(head, h, (h>>32+1)<<32|next) {
			return first, got
		}
	}
}

// next is the slot that is linked to slot, plus one; 0 is none.
//
//go:nosplit
//go:norace
//go:nocheckptr
func (r *Range) next(slot uint64) uint64 { return uint64(load32(word32(r.links + slot*linkSize))) }

//go:nosplit
//go:norace
//go:nocheckptr
func (r *Range) push(head *uint64, slot uint64) { r.pushChain(head, slot, slot) }

// pushChain puts the slots that are linked from first to last on a list.
//
//go:nosplit
//go:norace
//go:nocheckptr
func (r *Range) pushChain(head *uint64, first, last uint64) {
	link := word32(r.links + last*linkSize)
	for {
		h := load64(head)
		put32(link, uint32(h))
		if cas64(head, h, h&^0xffffffff|(first+1)) {
			return
		}
	}
}

// take gets a free slot; 0 means that there is none, else it is slot+1.
//
//go:nosplit
//go:norace
//go:nocheckptr
func (r *Range) take() uint64 {
	s := r.pop(&r.warm)
	if s != 0 {
		add64(&r.warmLen, ^uint64(0))
	} else {
		r.ring() // ordinary code touches slots ahead, and is late
		if s = r.pop(&r.cold); s == 0 {
			s = r.takeFresh()
		}
	}
	if s != 0 && r.room() < add64(&r.used, 1)+load64(&r.low) {
		r.ring()
	}
	return s
}

// takeFresh gets a slot that was never used, as take does.
//
//go:nosplit
//go:norace
//go:nocheckptr
func (r *Range) takeFresh() uint64 {
	for {
		f := load64(&r.fresh)
		if f >= load64(&r.limit) {
			return 0
		}
		if cas64(&r.fresh, f, f+1) {
			return f + 1
		}
	}
}

// give returns a slot that has memory.
//
//go:nosplit
//go:norace
//go:nocheckptr
func (r *Range) give(slot uint64) {
	r.push(&r.warm, slot)
	add64(&r.warmLen, 1)
	add64(&r.used, ^uint64(0))
}

// ring wakes the ordinary code that looks after the pool. An eventfd never
// blocks a writer that adds 1; the answer is of no interest.
//
//go:nosplit
//go:norace
//go:nocheckptr
func (r *Range) ring() {
	if load64(&r.rung) == 0 && cas64(&r.rung, 0, 1) {
		writeOne(r.bell)
	}
}
