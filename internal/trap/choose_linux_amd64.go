package trap

// How many pages one fault takes along.
//
// Copying a page costs a fraction of a fault, so a sequential writer should
// take the following pages along: runs double as long as the next fault in a
// block is exactly where the last run ended.
//
// For random writes neighbours pay only where a lift is dear, which it is when
// other threads of the process run: the kernel then flushes their TLBs by
// interrupts (20 us against 4 on a virtual machine). How dear is measured: the
// resolver times its own lifts and copies. It decides as the ski renter does, in
// each 2 MiB block by itself: rent, one page a fault, until the rent paid
// there is what buying costs, which is copying all of the block; then buy, in
// large pieces. So a block in which few pages are written costs one page a
// write, one that is written all over a few dozen faults, and never is more
// than about 2.5 times the cheapest way spent.
//
// All of this is heuristics: hints are read and written without care for
// racing threads, and a wrong one costs time only.

// A hint word: epoch (24 bits), faults (16), next page within the block (16),
// length of the last run as log2 (8).
const (
	hintRun   = 0
	hintNext  = 8
	hintFault = 24
	hintEpoch = 40
)

const (
	maxRunLog = 6 // sequential runs go up to 64 pages
	// A page taken along costs about three times its copy: there is a slot to
	// find, an entry to publish, a page table entry to change.
	alongCopies = 3
	// Below this many pages taken along a lift is not dear: a quiet process.
	dearLift = 6
	// Buying is put off until the rent is half as much again as the price: a
	// block in which the last write was just made gains nothing.
	rentPages = blockPages + blockPages/2
	// boughtPages are preserved by one fault, so that no write waits much
	// longer than 0.1 ms.
	boughtPages = 128
)

//go:nosplit
//go:norace
//go:nocheckptr
func (r *Range) hint(block uint64) *uint64 { return word64(r.hints + block*8) }

// choose gives the pages [first, end) to preserve and lift for a fault on page.
// Postconditions: first <= page < end <= t.pages, within one 2 MiB block.
//
//go:nosplit
//go:norace
//go:nocheckptr
func (r *Range) choose(t *Table, page uint64) (first, end uint64) {
	n, faults := r.hinted(page)
	if force := load64(&r.force); force != 0 {
		n, first = force, page&^(force-1)
	} else if all := load64(&r.blocks); all > n {
		n, first = all, page&^(all-1)
	} else if n > 1 {
		first = page
	} else {
		// (Products, because a division would bring the runtime's panic in.)
		lift, along := load64(&r.liftTicks), load64(&r.copyTicks)*alongCopies
		if along != 0 && lift >= dearLift*along && lift*faults >= rentPages*along {
			n = boughtPages
		}
		first = page &^ (n - 1)
	}
	end = min(first+n, (page>>blockShift+1)<<blockShift, t.pages)
	r.leaveHint(page, end, n, faults)
	return first, end
}

// chooseRun gives how many pages, from page on, to lift for a fault on page where
// nothing is to be preserved: one, or more for a sequential writer. The
// following ones all have an entry in t, if it covers them. None of them is missing: one
// may be in and not in present yet, and whoever forks this Range takes what
// is missing for zeros, so it must not be written without a fault.
// Postconditions: 0 < n, within one 2 MiB block.
//
//go:nosplit
//go:norace
//go:nocheckptr
func (r *Range) chooseRun(t *Table, page uint64) uint64 {
	if t == nil && load64(&r.pinned) != 0 {
		return 1 // a fork may need those that follow
	}
	n, faults := r.hinted(page)
	stop := min(page+n, (page>>blockShift+1)<<blockShift)
	end := page + 1
	for end < stop && (t == nil || end >= t.pages || load32(t.entry(end)) != entryNone) && !r.isMissing(end) {
		end++
	}
	r.leaveHint(page, end, n, faults)
	return end - page
}

// hinted gives what the hint of page's block says: the length of the run for a
// fault on page, more than 1 if that is where the last run ended; and how many
// faults there were in the block before.
//
//go:nosplit
//go:norace
//go:nocheckptr
func (r *Range) hinted(page uint64) (run, faults uint64) {
	block := page >> blockShift
	epoch := load64(&r.epoch) & 0xffffff
	h := load64(r.hint(block))
	if h>>hintEpoch != epoch {
		h = epoch << hintEpoch
	}
	faults = h >> hintFault & 0xffff
	at := page & (blockPages - 1)
	// "next" is kept plus one, so that 0 is none.
	sequential := h>>hintNext&0xffff == at+1
	if at == 0 && faults == 0 && block > 0 {
		h = load64(r.hint(block - 1))
		sequential = h>>hintEpoch == epoch && h>>hintNext&0xffff == blockPages+1
	}
	if sequential {
		return 1 << min(h&0xff+1, maxRunLog), faults
	}
	return 1, faults
}

// leaveHint records a fault on page that took pages up to end along, as a run of
// n, after so many faults in its block.
//
//go:nosplit
//go:norace
//go:nocheckptr
func (r *Range) leaveHint(page, end, n, faults uint64) {
	block := page >> blockShift
	run := uint64(0)
	if n <= 1<<maxRunLog {
		run = ones(n - 1) // the logarithm of a power of two
	}
	put64(r.hint(block), load64(&r.epoch)&0xffffff<<hintEpoch|min(faults+1, 0xffff)<<hintFault|(end-block<<blockShift+1)<<hintNext|run)
}

// median moves an estimate by a sixteenth towards now. It settles where as many
// are above as below, so that a thread that was descheduled in the middle
// counts no more than any other.
//
//go:nosplit
//go:norace
//go:nocheckptr
func median(old, now uint64) uint64 {
	switch {
	case old == 0:
		return now
	case now > old:
		return old + old/16 + 1
	case now < old:
		return old - old/16
	}
	return old
}

// pageLift is what a lift costs for every page in it, in ticks, about.
const pageLift = 200

//go:nosplit
//go:norace
//go:nocheckptr
func (r *Range) learnLift(ticks, pages uint64) {
	ticks -= min(ticks, pageLift*pages)
	put64(&r.liftTicks, median(load64(&r.liftTicks), ticks))
}

//go:nosplit
//go:norace
//go:nocheckptr
func (r *Range) learnCopy(ticks uint64) {
	put64(&r.copyTicks, median(load64(&r.copyTicks), ticks))
}

// charge adds what a write fault took to what writers have spent in the resolver. A thread that was
// not running for a while in the middle of one, because others wanted its processor, has not spent that
// time there, and it is hundreds of times what a fault takes: so there is a limit, which no fault
// reaches that was left alone.
//
//go:nosplit
//go:norace
//go:nocheckptr
func (r *Range) charge(ticks uint64) {
	if lift := load64(&r.liftTicks); lift != 0 {
		ticks = min(ticks, chargedLifts*lift+chargedCopies*load64(&r.copyTicks))
	}
	add64(&r.spent, ticks)
}

const (
	chargedLifts  = 16
	chargedCopies = 2 * blockPages
)
