package trap

// Chunks: the resolver where pages are protected by mprotect.
//
// The signal is SIGSEGV, and what is lifted are whole chunks, a power of two of
// pages that stand aligned, because to the kernel each piece with a protection of
// its own is a mapping, of which a process may have some 65,000. A chunk is at
// most a block, so that all that goes by blocks goes by chunks.
//
// The rules are those of resolve, with one more: every page of a chunk that the
// newest Table needs has an entry before the chunk is lifted. Protecting knows no
// chunks. So a page that is protected may stand in a chunk in which others are not,
// and lifting all of it is right nevertheless.
//
// # No mapping left
//
// Lifting a chunk in the middle of a protected mapping makes two mappings more. At
// the limit the kernel refuses with ENOMEM. Lifting up to one that is lifted already
// moves the border between two mappings and makes none: see widen.

const (
	sysMprotect = 10
	protRead    = 1
	protWrite   = 2
	enomem      = 12
)

// chunkFault is firstWrite by chunks, for a thread that faulted. It answers
// faultIdle where no snapshot needs the chunk, and faultWiden where the kernel has
// no mapping left.
//
//go:nosplit
//go:norace
//go:nocheckptr
func chunkFault(entry, info, ctx uint64) uint64 {
	began := ticks()
	e := entryAt(entry)
	r := rangeAt(load64(&e.ctl))
	page := (load64(word64(info+infoAddr)) - load64(&e.start)) >> pageShift
	add64(&r.faults, 1)
	chunk := load64(&r.chunk)
	lo := page &^ (chunk - 1)
	hi := lo + chunk
	t := tableAt(load64(&r.newest))
	if t == nil || load64(&r.overrun) >= t.seq {
		return faultIdle
	}
	if load64(&t.state) == stateRaising {
		r.tear(t, page, load64(word64(ctx+ctxRIP)))
	}
	add64(&t.faults, 1)
	if !r.needs(t, lo, hi) {
		return faultIdle
	}
	r.forgetRepeats(page) // this one makes progress
	if first, end := r.chooseChunks(page, true); end-first > chunk && r.hasRoom(t, end-first) {
		lo, hi = first, end
	}
	add64(&r.neighbours, hi-lo-1)
	for p := lo; p < min(hi, t.pages); p++ {
		if !r.preserve(t, p) {
			r.giveUp(t)
			break
		}
	}
	delay(delayPublished)
	before := ticks()
	answer := r.openOrWiden(lo, hi)
	r.learnLift(ticks()-before, hi-lo)
	// As in firstWrite.
	if n := tableAt(load64(&r.newest)); n != t && n != nil && n.seq > t.seq {
		r.tear(n, page, load64(word64(ctx+ctxRIP)))
	}
	r.charge(ticks() - began)
	return answer
}

// idleFault is liftUnneeded by chunks, for a thread that faulted, after chunkFault: no
// snapshot needed a page of the chunk. (If newest has changed since, one may.)
//
//go:nosplit
//go:norace
//go:nocheckptr
func idleFault(entry, info, ctx uint64) uint64 {
	e := entryAt(entry)
	r := rangeAt(load64(&e.ctl))
	page := (load64(word64(info+infoAddr)) - load64(&e.start)) >> pageShift
	t := tableAt(load64(&r.newest))
	if t != nil && load64(&r.overrun) >= t.seq {
		t = nil
	}
	add64(&r.idle, 1)
	chunk := load64(&r.chunk)
	lo := page &^ (chunk - 1)
	if t == nil && load64(&r.logging) == 0 {
		lo = page &^ (blockPages - 1)
		return r.openOrWiden(lo, lo+blockPages)
	}
	if !r.isLogged(lo, chunk) {
		r.forgetRepeats(page) // this one makes progress
	}
	_, end := r.chooseChunks(page, false)
	hi := lo + chunk
	if t != nil && r.needs(t, lo, hi) {
		return faultRetry
	}
	for hi < end && (t == nil || !r.needs(t, hi, hi+chunk)) {
		hi += chunk
	}
	return r.openOrWiden(lo, hi)
}

// needs: t covers a page of [lo, hi) that it has no entry for.
//
//go:nosplit
//go:norace
//go:nocheckptr
func (r *Range) needs(t *Table, lo, hi uint64) bool {
	for p := lo; p < min(hi, t.pages); p++ {
		if load32(t.entry(p)) == entryNone {
			return true
		}
	}
	return false
}

// chooseChunks is choose: whole chunks, and for runs a chunk is what a page is
// there. Only where pages are preserved are others taken along that are not the next ones.
// Postconditions: first <= page < end, within one block; the whole chunk of page is
// among them.
//
//go:nosplit
//go:norace
//go:nocheckptr
func (r *Range) chooseChunks(page uint64, preserving bool) (first, end uint64) {
	chunk := load64(&r.chunk)
	first = page &^ (chunk - 1)
	run, faults := r.hinted(first) // a writer in order may pass over the first pages
	n := run * chunk
	if least := max(load64(&r.force), load64(&r.blocks)); preserving && (least > n || load64(&r.force) != 0) {
		n = max(least, chunk)
		first = page &^ (n - 1)
	} else if preserving && run == 1 {
		lift, along := load64(&r.liftTicks), load64(&r.copyTicks)*alongCopies
		if along != 0 && lift >= dearLift*along && lift*faults >= rentPages*along {
			n = max(boughtPages, chunk)
			first = page &^ (n - 1)
		}
	}
	end = min(first+n, (page>>blockShift+1)<<blockShift)
	r.leaveHint(page, end, run, faults)
	return first, end
}

// openOrWiden lifts whole chunks, and answers faultRetry, or faultWiden.
//
//go:nosplit
//go:norace
//go:nocheckptr
func (r *Range) openOrWiden(lo, hi uint64) uint64 {
	ret := r.setAccess(lo, min(hi, load64(&r.reach)), protRead|protWrite)
	delay(delayLifted)
	if ret == ^uint64(enomem)+1 {
		// Some of it may be lifted nevertheless. It is part of what widen lifts.
		return faultWiden
	}
	r.note(lo, hi-lo)
	return faultRetry
}

// liftEither is lift for ordinary code, whoever protects.
//
//go:nosplit
//go:norace
//go:nocheckptr
func (r *Range) liftEither(page, n uint64) bool {
	if load64(&r.chunk) != 0 {
		return r.open(page, n)
	}
	return r.lift(page, n)
}

// open is lift for chunks, called by ordinary code: the whole chunks within [page, page+n). What is
// left protected costs another fault, no more.
//
//go:nosplit
//go:norace
//go:nocheckptr
func (r *Range) open(page, n uint64) bool {
	chunk := load64(&r.chunk)
	lo := (page + chunk - 1) &^ (chunk - 1)
	hi := min((page+n)&^(chunk-1), load64(&r.reach))
	if lo >= hi {
		return true
	}
	ret := r.setAccess(lo, hi, protRead|protWrite)
	delay(delayLifted)
	// Also where it failed: it may have been done in part, and a bit too many is harmless.
	r.note(lo, hi-lo)
	return ret < errnoFirst
}

// setAccess is mprotect on [lo, hi). It answers what the kernel does.
//
//go:nosplit
//go:norace
//go:nocheckptr
func (r *Range) setAccess(lo, hi, access uint64) uint64 {
	if lo >= hi {
		return 0
	}
	return syscall6(sysMprotect, r.start+lo<<pageShift, (hi-lo)<<pageShift, access, 0, 0, 0)
}

// widenFault is widen for a thread that faulted.
//
//go:nosplit
//go:norace
//go:nocheckptr
func widenFault(entry, info, ctx uint64) uint64 {
	e := entryAt(entry)
	r := rangeAt(load64(&e.ctl))
	r.widen((load64(word64(info+infoAddr)) - load64(&e.start)) >> pageShift)
	return faultRetry
}

// widen lifts what stands around page when there is no mapping left to lift less:
// aligned pieces, each twice as long as the one before, until one has an end of
// the protected mapping in it, at worst everything. What needs to be is preserved
// first; snapshots are given up where there are no slots for that.
//
// (Where the protected mapping ends only the kernel knows: the log says what was
// lifted, not what was protected since.)
//
//go:nosplit
//go:norace
//go:nocheckptr
func (r *Range) widen(page uint64) {
	add64(&r.widened, 1)
	reach := load64(&r.reach)
	for n := load64(&r.chunk) * 2; ; n *= 2 {
		lo := page &^ (n - 1)
		hi := min(lo+n, reach)
		t := tableAt(load64(&r.newest))
		if t != nil && load64(&r.overrun) < t.seq {
			for p := lo; p < min(hi, t.pages); p++ {
				if !r.preserve(t, p) {
					r.giveUp(t)
					break
				}
			}
		}
		done := r.setAccess(lo, hi, protRead|protWrite) < errnoFirst
		if done || lo == 0 && hi == reach {
			r.note(lo, hi-lo)
			break
		}
	}
	// What failed before has been done in part, perhaps, and that lies in the block.
	r.note(page&^(blockPages-1), blockPages)
}
