//go:build linux && amd64

package trap

import (
	"unsafe"

	"github.com/cowheap/cowheap/internal/uffd"
)

// This file runs inside a signal handler.
//
// # Why here
//
// A goroutine that waits in a page fault keeps its processor: to the scheduler
// it is running. So whoever resolves the fault must not need a processor, must
// not wait for the world to start, and must not want a lock of the runtime,
// all of which the waiting thread may be holding up. What was tried instead
// (microseconds a fault on one 2-core virtual machine, Linux 6.18):
//
//   - a goroutine that reads the userfaultfd: 45 to 62, and it deadlocks as soon
//     as somebody calls runtime.GC while a copy into a protected page waits:
//     assembly is never preempted, the world never stops, the goroutine never runs;
//   - a raw thread that polls 20 to 60, that spins 11 to 20, and Go without cgo
//     has no way to make a thread that the runtime does not own;
//   - a C thread by cgo: the same figures, and cgo;
//   - a helper process with process_madvise and a shared descriptor: two
//     context switches a fault, and memory the helper can see.
//
// The thread that faulted, in its SIGBUS handler (UFFD_FEATURE_SIGBUS), takes
// 3.4 to 4.1, and there is nobody to wait for: it cannot deadlock.
//
// # The rules
//
//  1. Everything called from the trampoline is nosplit (no stack to grow), norace and
//     nocheckptr (no runtime call), allocates nothing, stores no Go pointer (no
//     write barrier), indexes no slice (no panic), takes no lock, and waits for
//     nobody. TestResolverCallsOnlyWhatIsAllowed reads the built code.
//  2. Save, publish, lift: copy the page to a slot; publish the slot by one
//     compare-and-swap on the table entry; only then lift the protection.
//     Whoever loses the swap copied a page that may already be written again:
//     it drops its slot and lifts too, which is harmless.
//     While the log is on the page is noted there, after the lift: see note.
//  3. A fault may be stale: taken before another thread lifted, entering after.
//     It finds the entry there and only lifts. So at every instant a page that
//     is not protected has an entry in the table that a resolver would consult.
//  4. The counter of resolvers inside goes up before newest is read. Whoever
//     unpublishes a Table and then sees the counter at zero knows that nobody
//     holds the old one.
//  5. The handler reads a page only when it knows that reading cannot fault for
//     good: SIGBUS is masked here and a nested one kills without a trace. A page
//     that is not mapped, and neighbours, are first asked for by
//     MADV_POPULATE_READ, which answers an error instead.

// What the handler reads of the kernel's structs (asm/siginfo.h, asm/ucontext.h).
const (
	infoCode = 8   // siginfo.si_code
	infoAddr = 16  // siginfo.si_addr
	ctxRIP   = 168 // ucontext.uc_mcontext.gregs[REG_RIP]
	ctxErr   = 192 // ucontext.uc_mcontext.gregs[REG_ERR], the processor's page fault code

	codeAdrErr = 2 // BUS_ADRERR; SEGV_ACCERR is the same number

	codePresent = 1 // the page is mapped: the access was refused
	codeWrite   = 2
)

const (
	sysWrite        = 1
	sysPread        = 17
	sysYield        = 24
	sysMadvise      = 28
	madvPopulateRd  = 22
	errnoFirst      = ^uint64(4095) + 1 // results from here on are -errno
	enoent          = 2
	eintr           = 4
	eexist          = 17
	einval          = 22
	repeatBuckets   = 1024
	repeatsForPanic = 1 << 13
)

// enter is called by the trampoline. It answers the address of the entry whose
// range the fault is in, with its count of resolvers inside raised, or 0 when
// the signal is for the Go runtime. (It is apart from classify so that its frame
// is gone when the next runs: the linker allows a chain of nosplit functions 792
// bytes, and a build without optimization takes most of it.)
//
//go:nosplit
//go:norace
//go:nocheckptr
func enter(info, signal uint64) uint64 {
	if load32(word32(info+infoCode)) != codeAdrErr {
		return 0 // sent by a process, or a memory error of the machine
	}
	addr := load64(word64(info + infoAddr))
	e := findEntry(addr)
	if e == nil {
		return 0
	}
	// Count first, then look again: from here until the trampoline lowers the count the entry is
	// not reused, and what it points to stays mapped.
	add64(&e.inside, 1)
	if start := load64(&e.start); start != 0 && addr-start < load64(&e.size) && load64(&e.signal) == signal {
		return addrOfWord(&e.start)
	}
	add64(&e.inside, ^uint64(0))
	return 0
}

// What the trampoline calls, as it finds it. The last line tells tools that do
// not read assembly that it is used.
var (
	enterFunc        = enter
	classifyFunc     = classify
	writeFaultFunc   = writeFault
	missingFaultFunc = missingFault
	chunkFaultFunc   = chunkFault
	idleFaultFunc    = idleFault
	widenFaultFunc   = widenFault
	_                = [...]any{enterFunc, classifyFunc, writeFaultFunc, missingFaultFunc, chunkFaultFunc, idleFaultFunc, widenFaultFunc}
)

// What classify answers; the trampoline has the numbers, too.
const (
	faultHopeless = 0 // for the Go runtime, which will crash
	faultRetry    = 1 // run the instruction again
	faultMissing  = 2 // missingFault
	faultWrite    = 3 // writeFault
	faultChunk    = 4 // chunkFault
	faultWiden    = 5 // widenFault, after chunkFault or idleFault
	faultIdle     = 6 // idleFault, after chunkFault
)

// classify tells the faults apart. The trampoline calls it after enter, then
// missingFault or writeFault, then lowers the count: one after the other, so
// that their frames do not add up.
//
//go:nosplit
//go:norace
//go:nocheckptr
func classify(entry, info, ctx uint64) uint64 {
	delay(delayEntry)
	e := entryAt(entry)
	r := rangeAt(load64(&e.ctl))
	page := (load64(word64(info+infoAddr)) - load64(&e.start)) >> pageShift
	if !r.mayRepeat(page) {
		return faultHopeless
	}
	if r.isMissing(page) {
		return faultMissing
	}
	code := load64(word64(ctx + ctxErr))
	if load64(&r.chunk) != 0 {
		// A read is refused, and a write beyond, where nothing has been committed.
		if code&codeWrite != 0 && page < load64(&r.reach) {
			return faultChunk
		}
		return faultHopeless
	}
	if code&codeWrite != 0 && code&codePresent != 0 && load64(&r.async) == 0 {
		return faultWrite
	}
	// A read meets no protection: the page came in meanwhile, or it is
	// poisoned. A page that is not mapped may be a marker of WP_UNPOPULATED,
	// swapped out, or poisoned: ask before reading it.
	if !r.readable(page, 1) {
		return faultHopeless
	}
	if code&codeWrite != 0 && load64(&r.async) == 0 {
		return faultWrite
	}
	return faultRetry
}

// mayRepeat is the backstop against what cannot be resolved: so many faults on
// one page within one arming are not progress.
//
//go:nosplit
//go:norace
//go:nocheckptr
func (r *Range) mayRepeat(page uint64) bool {
	// The page (30 bits), the arming (20), the count (14).
	w := r.repeatsOf(page)
	key := page<<34 | load64(&r.epoch)&(1<<20-1)<<14
	v := load64(w)
	if v&^(1<<14-1) != key {
		v = key
	}
	v++
	put64(w, v) // racing threads lose counts, never reach the limit sooner
	return v&(1<<14-1) < repeatsForPanic
}

// hasRoom: n pages that nobody has written yet may be preserved along. Either
// there is room for all of t, which alone takes entries, so that nothing is
// lost by it; or they are a guess that some room is spent on.
//
//go:nosplit
//go:norace
//go:nocheckptr
func (r *Range) hasRoom(t *Table, n uint64) bool {
	if load64(&r.overrun) >= t.seq {
		return false // for forks only, and only what they need
	}
	room := r.room()
	return r.hasRoomForAll(t) || load64(&r.used)+n <= room-room/4
}

// hasRoomForAll: every page of t that is not preserved yet can be.
//
//go:nosplit
//go:norace
//go:nocheckptr
func (r *Range) hasRoomForAll(t *Table) bool {
	return load64(&r.used)+t.pages <= r.room()+load64(&t.count)
}

// room is how many slots there are but for those that are kept for forks.
//
//go:nosplit
//go:norace
//go:nocheckptr
func (r *Range) room() uint64 {
	limit, reserve := load64(&r.limit), load64(&r.reserve)
	if reserve > limit {
		return 0
	}
	return limit - reserve
}

//go:nosplit
//go:norace
//go:nocheckptr
func (r *Range) repeatsOf(page uint64) *uint64 {
	return word64(r.repeats + (page*0x9e3779b97f4a7c15>>54)%repeatBuckets*8)
}

//go:nosplit
//go:norace
//go:nocheckptr
func (r *Range) forgetRepeats(page uint64) { put64(r.repeatsOf(page), 0) }

// readable answers whether [page, page+n) can be read without a fatal fault.
//
//go:nosplit
//go:norace
//go:nocheckptr
func (r *Range) readable(page, n uint64) bool {
	ret := syscall6(sysMadvise, r.start+page<<pageShift, n<<pageShift, madvPopulateRd, 0, 0, 0)
	// Before Linux 5.14 there is no such advice, and no poison but the machine's.
	return ret < errnoFirst || ret == ^uint64(einval)+1
}

// lift makes [page, page+n) writable, and then says so in the log.
//
//go:nosplit
//go:norace
//go:nocheckptr
func (r *Range) lift(page, n uint64) bool {
	arg := uffd.WriteProtectArg{
		Range: uffd.RangeArg{Start: r.start + page<<pageShift, Len: n << pageShift},
		Mode:  uffd.WriteProtectDontWake, // with FEATURE_SIGBUS nobody waits
	}
	// An error (EAGAIN above all) shows as the same fault again.
	done := ioctl(r.fd, uffd.IoctlWriteProtect, unsafe.Pointer(&arg)) < errnoFirst
	delay(delayLifted)
	r.note(page, n)
	return done
}

// writeFault is firstWrite for a thread that faulted.
//
//go:nosplit
//go:norace
//go:nocheckptr
func writeFault(entry, info, ctx uint64) uint64 {
	began := ticks()
	e := entryAt(entry)
	r := rangeAt(load64(&e.ctl))
	r.firstWrite((load64(word64(info+infoAddr))-load64(&e.start))>>pageShift, load64(word64(ctx+ctxRIP)))
	r.charge(ticks() - began)
	return faultRetry
}

// firstWrite: save, publish, lift, log.
//
//go:nosplit
//go:norace
//go:nocheckptr
func (r *Range) firstWrite(page, pc uint64) {
	add64(&r.faults, 1)
	t := tableAt(load64(&r.newest))
	if !r.isNeeded(t, page) {
		add64(&r.idle, 1)
		r.liftUnneeded(nil, page)
		return
	}
	if load64(&t.state) == stateRaising {
		r.tear(t, page, pc)
	}
	if page >= t.pages {
		if load64(&r.logging) != 0 {
			r.liftUnneeded(t, page)
		} else {
			r.liftTail(t, page)
		}
		return
	}
	add64(&t.faults, 1)
	if load32(t.entry(page)) == entryNone {
		r.forgetRepeats(page) // this one makes progress
	} else if load64(&r.logging) != 0 {
		// Protected ahead of a snapshot that is to come, or a stale fault.
		add64(&r.idle, 1)
		r.liftUnneeded(t, page)
		return
	}
	first, end := r.choose(t, page)
	if !r.preserve(t, page) {
		r.giveUp(t)
		if !r.isPinned(page) {
			r.liftUnneeded(nil, page)
		}
		// Else the reserve is used up, which it cannot be: the fault comes again, and
		// mayRepeat ends it.
		return
	}
	lo, hi := page, page+1
	if end-first > 1 && r.hasRoom(t, end-first) && r.readable(first, end-first) {
		for hi < end && !r.isMissing(hi) && r.preserve(t, hi) {
			hi++
		}
		for lo > first && !r.isMissing(lo-1) && r.preserve(t, lo-1) {
			lo--
		}
		add64(&r.neighbours, hi-lo-1)
	}
	delay(delayPublished)
	before := ticks()
	r.lift(lo, hi-lo)
	r.learnLift(ticks()-before, hi-lo)
	// Nobody changes newest while a resolver is inside, so this cannot happen;
	// if it did, the new snapshot would have lost this page's protection.
	if n := tableAt(load64(&r.newest)); n != t && n != nil && n.seq > t.seq {
		r.tear(n, page, pc)
	}
}

// tear marks t's snapshot as torn by a write to page at pc.
//
//go:nosplit
//go:norace
//go:nocheckptr
func (r *Range) tear(t *Table, page, pc uint64) {
	if cas64(&t.torn, 0, 1) {
		t.page, t.pc = page, pc
		store64(&t.torn, 2)
	}
}

// liftUnneeded lifts page, which t (nil: nobody) does not need any more: in large
// pieces, unless it is logged what is lifted, because that will be protected
// again. Then it takes only the following ones along of which the same is true,
// where a writer goes on from page to page.
//
//go:nosplit
//go:norace
//go:nocheckptr
func (r *Range) liftUnneeded(t *Table, page uint64) {
	if t == nil && load64(&r.logging) == 0 {
		r.liftBlock(page)
		return
	}
	if !r.isLogged(page, 1) {
		r.forgetRepeats(page) // this one makes progress
	}
	r.lift(page, r.chooseRun(t, page))
}

// liftBlock lifts the whole 2 MiB around page: no snapshot needs any of it.
//
//go:nosplit
//go:norace
//go:nocheckptr
func (r *Range) liftBlock(page uint64) {
	first := page &^ (blockPages - 1)
	n := uint64(blockPages)
	if first+n > r.pages {
		n = r.pages - first
	}
	if r.image != 0 && !r.isComplete(first, n) {
		// Lifting what is missing takes a page table apart for nothing.
		first, n = page, 1
	}
	r.lift(first, n)
}

// liftTail lifts from page up to the end of its block: t ends before page, and
// the protection reaches further only because it goes by whole blocks.
//
//go:nosplit
//go:norace
//go:nocheckptr
func (r *Range) liftTail(t *Table, page uint64) {
	first := page &^ (blockPages - 1)
	end := first + blockPages
	if first < t.pages {
		first = t.pages
	}
	if end > r.pages {
		end = r.pages
	}
	r.lift(first, end-first)
}

// preserve sees to it that page has an entry in t. It answers false when there
// is no slot left.
// Preconditions: page < t.pages, and reading page cannot fault for good.
//
//go:nosplit
//go:norace
//go:nocheckptr
func (r *Range) preserve(t *Table, page uint64) bool {
	entry := t.entry(page)
	if load32(entry) != entryNone || t.spares(page) {
		return true
	}
	if !r.mayTake(page) {
		return false
	}
	s := r.take()
	if s == 0 {
		// Another thread may have preserved this page with the last slot.
		return load32(entry) != entryNone
	}
	delay(delaySaving)
	r.save(t, page, s)
	return true
}

// save copies page to slot s-1 and publishes that in t, unless somebody else has
// preserved it: then the copy may be torn, and the slot is given back.
//
// Somebody else may publish in another Table. When one without a snapshot is put on top,
// those who have read newest before go on in the one below, and neither knows of the
// other: the first to publish lifts, and the page is written. So both Tables are
// looked at after copying (on amd64 loads keep their order): no entry, and nobody
// had lifted, or it would be seen. A look before copying is not enough: a reader that
// had passed the one below before it got its entry would take what stands on top.
// Both may publish, if both looked before either did; then both copies are whole.
//
//go:nosplit
//go:norace
//go:nocheckptr
func (r *Range) save(t *Table, page, s uint64) {
	before := ticks()
	copyPages(r.slots+(s-1)<<pageShift, r.start+page<<pageShift, pageSize)
	r.learnCopy(ticks() - before)
	put32(r.slotPage(s-1), uint32(page))
	// The swap is a full barrier: whoever sees the entry sees the content. And
	// as long as the entry was none nobody else had lifted, so the copy is whole.
	if t.isAbove(page) || t.spares(page) || !cas32(t.entry(page), entryNone, uint32(s)) {
		r.give(s - 1)
		add64(&r.lost, 1)
		return
	}
	r.push(&t.list, s-1)
	add64(&t.count, 1)
}

// spares: t has no snapshot of its own, and those below it have page already, or
// never covered it. (Below is the newest table of an open snapshot; an older one
// that lacks the page finds it there.)
//
//go:nosplit
//go:norace
//go:nocheckptr
func (t *Table) spares(page uint64) bool {
	b := tableAt(load64(&t.below))
	return b != nil && (page >= b.pages || load32(b.entry(page)) != entryNone)
}

// isAbove: the next newer Table has page.
//
//go:nosplit
//go:norace
//go:nocheckptr
func (t *Table) isAbove(page uint64) bool {
	a := tableAt(load64(&t.above))
	return a != nil && page < a.pages && load32(a.entry(page)) != entryNone
}

// isNeeded: some snapshot may need page.
//
//go:nosplit
//go:norace
//go:nocheckptr
func (r *Range) isNeeded(t *Table, page uint64) bool {
	return t != nil && (load64(&r.overrun) < t.seq || r.isPinned(page))
}

// mayTake: there is a slot for page, be it from the reserve.
//
//go:nosplit
//go:norace
//go:nocheckptr
func (r *Range) mayTake(page uint64) bool {
	return load64(&r.used) < r.room() || r.isPinned(page)
}

// isPinned: a fork needs page, and no Table has it yet. (An older fork needs nothing
// that the newest one's walk does not find missing: its walk is the longer one. What it
// covers and the newest one's does not was preserved when the heap shrank.)
//
//go:nosplit
//go:norace
//go:nocheckptr
func (r *Range) isPinned(page uint64) bool {
	t := tableAt(load64(&r.pinned))
	if t == nil || page >= t.pages {
		return false
	}
	for ; t != nil; t = tableAt(load64(&t.above)) {
		delay(delayWalk)
		if page < t.pages && load32(t.entry(page)) != entryNone {
			return false
		}
	}
	return true
}

// giveUp gives up every snapshot but those that forks need: a writer never waits and
// never fails because of one. Readers of slots look at overrun after they copied.
//
//go:nosplit
//go:norace
//go:nocheckptr
func (r *Range) giveUp(t *Table) {
	for {
		o := load64(&r.overrun)
		if o >= t.seq || cas64(&r.overrun, o, t.seq) {
			break
		}
	}
	r.ring()
}

// entry is page's entry.
//
//go:nosplit
//go:norace
//go:nocheckptr
func (t *Table) entry(page uint64) *uint32 {
	return (*uint32)(unsafe.Add(unsafe.Pointer(t), tableHeader+page*4))
}
