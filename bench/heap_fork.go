package main

import (
	"strings"

	"github.com/cowheap/cowheap/arena"
)

// The case "fork": what does a second state cost that starts as the first and may be
// written, in milliseconds?
//
//   - open: Snapshot.Fork of a heap. The snapshot is there already: what it takes
//     is the case "pause". All pages of the parent were written before.
//   - touch1: open, and one write to each of 1 % of the fork's pages, at random.
//   - touchall: open, and one write to every page of the fork, in order.
//   - populate: open, and Heap.Populate of the fork.
//
// /open and the others of userfault, shadow, mprotect and copy are about parents and forks with
// that guard; where a guard cannot bring pages in one by one, open copies everything. Beside them:
//
//   - fork: fork(2) of this process, with nothing large in it but a plain region as
//     large as the state, in 4 KiB pages. /open is the time that the call takes in the
//     parent; the child leaves at once. /touch1 and /touchall: that and the
//     parent's writes to its own memory, while the child sleeps.
//   - memcpy/open: a copy of that region by one processor, into memory that is there.
//
// /scan, in MiB: by how much the resident memory of this process has grown when somebody has read
// all of the state as it was at the instant. /scan/loads reads a byte of every page of a fork,
// /scan/readat all of the snapshot by ReadAt, and no fork is made.
//
// One state is open at a time, so variants of one way follow one another.

const (
	forkOpen     = "open"
	forkTouch1   = "touch1"
	forkTouchAll = "touchall"
	forkPopulate = "populate"
	scanLoads    = "scan/loads"
	scanReadAt   = "scan/readat"

	wayProcess = "fork"

	// touchedShare of the pages are touched by touch1.
	touchedShare = 100
)

// forkGuards are those of the heaps, in the order in which they are measured.
var forkGuards = []arena.Guard{arena.GuardUserfault, arena.GuardShadow, arena.GuardMprotect, arena.GuardCopy}

func forkCase() *Case {
	process := func(what string) string { return wayProcess + "/" + what }
	c := &Case{
		Name:  "fork",
		About: "a second state that starts as the first and may be written",
		Size:  1 * gib,
		Quick: 32 * mib,
		Bounds: []Bound{
			{arena.GuardUserfault.String() + "/" + forkOpen, "<=", 0.2, process(forkOpen)},
			{arena.GuardShadow.String() + "/" + forkOpen, "<=", 0.2, process(forkOpen)},
		},
		Open: openFork,
	}
	for _, what := range []string{forkOpen, forkTouch1, forkTouchAll} {
		c.Variants = append(c.Variants, Variant{process(what), "ms", process(what)})
	}
	c.Variants = append(c.Variants, Variant{wayMemcpy + "/" + forkOpen, "ms", process(forkOpen)})
	for _, guard := range forkGuards {
		of := func(what string) string { return guard.String() + "/" + what }
		for _, what := range []string{forkOpen, forkTouch1, forkTouchAll} {
			c.Variants = append(c.Variants, Variant{of(what), "ms", process(what)})
		}
		c.Variants = append(c.Variants,
			Variant{of(forkPopulate), "ms", wayMemcpy + "/" + forkOpen},
			Variant{of(scanLoads), "MiB", ""},
			Variant{of(scanReadAt), "MiB", of(scanLoads)})
	}
	return c
}

// cutFork takes a variant's name apart.
func cutFork(variant string) (way, what string) {
	way, what, _ = strings.Cut(variant, "/")
	return way, what
}
