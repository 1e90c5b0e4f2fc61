package main

import "errors"

// The case "fault": what does the first write to a page cost after an instant
// has been frozen, in nanoseconds a page?
//
// One thread writes one byte to each of 8,192 pages of a populated region of
// 4 KiB pages, that is one page in 32 at the default size. /random is a fixed
// random sample, the same for every variant and round, /sequential the first
// pages in order.
//
//   - userfault: an arena with an open snapshot. The SIGBUS handler preserves the
//     page, perhaps with some that follow or surround it, and lifts the
//     protection. How many it takes along is its own choice, as in real use.
//   - mprotect: the same with that guard: a SIGSEGV, and pieces of several pages.
//   - shadow: the same with that guard: the kernel lifts protection by itself, and the
//     page is preserved by the next snapshot, which is not in the figure (see frames).
//   - prepared: the same arena; Arena.PrepareWrite of one page, then the write.
//   - tracked: an arena that tracks which pages are written (Options.Track), without
//     an open snapshot: the handler lifts the protection and preserves nothing.
//   - fork: a child of this process has the same memory; the kernel copies.
//   - async: the pages are protected with UFFD_FEATURE_WP_ASYNC; the kernel lifts
//     protection by itself and nothing is preserved: a lower limit, no snapshot, and
//     what shadow is held against.
//   - goroutine: a goroutine reads the messages of a userfaultfd, copies the page
//     and lifts the protection. With the garbage collector on this deadlocks.
//
// /quiet: no other thread of this process runs. /busy: one other thread spins on
// another processor, so that every change of a protection must be made known
// there by an interrupt. The writing thread and the spinning one are pinned to
// two processors.
//
// Not measured: freezing itself (see pause), reading the preserved pages, and
// faults of several threads at once. Huge pages: the first fault in each is dearer.

const (
	loadQuiet = "quiet"
	loadBusy  = "busy"

	inOrder = "sequential"

	wayUserfault  = "userfault/random"
	waySequential = "userfault/sequential"
	wayShadow     = "shadow/random"
	wayMprotect   = "mprotect/random"
	wayPrepared   = "prepared/random"
	wayTracked    = "tracked/random"
	wayFork       = "fork/random"
	wayAsync      = "async/random"
	wayGoroutine  = "goroutine/random"

	wayShadowInOrder   = "shadow/sequential"
	wayMprotectInOrder = "mprotect/sequential"

	// maxSample pages are written in each measurement, at most a quarter of all.
	maxSample = 8192
)

func faultCase() *Case {
	c := &Case{
		Name:  "fault",
		About: "the first write to a page after an instant was frozen, a page",
		Size:  1 * gib,
		Quick: 32 * mib,
		Bounds: []Bound{
			{wayGoroutine + "/quiet", ">=", 8, wayUserfault + "/quiet"},
			{wayUserfault + "/quiet", "<=", 2, wayFork + "/quiet"},
			{waySequential + "/quiet", "<=", 0.4, wayUserfault + "/quiet"},
			{wayPrepared + "/quiet", "<=", 0.5, wayUserfault + "/quiet"},
			{wayUserfault + "/busy", "<=", 1.3, wayFork + "/busy"},
			{waySequential + "/busy", "<=", 0.15, wayUserfault + "/busy"},
			{wayShadow + "/quiet", "<=", 1.3, wayAsync + "/quiet"},
			{wayShadow + "/busy", "<=", 1.3, wayAsync + "/busy"},
		},
		Open: openFault,
	}
	for _, load := range []string{loadQuiet, loadBusy} {
		for _, way := range []string{
			wayUserfault, waySequential, wayShadow, wayShadowInOrder, wayMprotect, wayMprotectInOrder,
			wayPrepared, wayTracked, wayFork, wayAsync, wayGoroutine,
		} {
			c.Variants = append(c.Variants, Variant{way + "/" + load, "ns", wayFork + "/" + load})
		}
	}
	return c
}

var errOneProcessor = errors.New("one processor only, and busy means that another one is")
