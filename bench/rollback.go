package main

import (
	"fmt"
	"strconv"
	"strings"
)

// The case "rollback": how are pages put back best, in nanoseconds a page?
//
// A region of 4 KiB pages, all of them there, is write-protected but for some runs, which
// have been written since. Their old content, which lies elsewhere in the order of the
// runs, is put back, and afterwards everything is protected. Runs of n pages, at
// least as far from one another, lie at random: /run16. 8,192 pages in all, at most a
// quarter of the region, the same ones for every way and round.
//
//   - copy: an ordinary copy of the run, and one UFFDIO_WRITEPROTECT of it.
//   - discard: MADV_DONTNEED of the run, and one UFFDIO_COPY that brings it in protected.
//   - late: ordinary copies of all runs, and then one UFFDIO_WRITEPROTECT of the whole region.
//   - async: the runs are protected already, with UFFD_FEATURE_WP_ASYNC, as pages of the shadow
//     guard that were saved since: an ordinary copy, which the kernel lets pass with a
//     fault a page, and one UFFDIO_WRITEPROTECT of the run.
//   - lifted: the same, but the protection of the run is lifted before.
//
// /quiet and /busy are as in the case "fault": a rollback holds writers off, but a
// program has other threads, whose processors must be told.
//
// Not measured: finding out which pages were written, and pages that were never there.

const (
	putCopy    = "copy"
	putDiscard = "discard"
	putLate    = "late"
	putAsync   = "async"
	putLifted  = "lifted"
)

// runLengths are those of the runs, in pages.
var runLengths = []int{1, 4, 16, 64, 512}

func rollbackCase() *Case {
	c := &Case{
		Name:  "rollback",
		About: "putting the old content of scattered pages back, a page",
		Size:  1 * gib,
		Quick: 32 * mib,
		Open:  openRollback,
	}
	for _, load := range []string{loadQuiet, loadBusy} {
		for _, run := range runLengths {
			for _, way := range []string{putCopy, putDiscard, putLate, putAsync, putLifted} {
				c.Variants = append(c.Variants, Variant{putBack{way, run, load}.name(), "ns", putBack{putCopy, run, load}.name()})
			}
		}
	}
	return c
}

// putBack is one variant.
type putBack struct {
	way  string
	run  int // pages
	load string
}

func (p putBack) name() string { return fmt.Sprintf("%s/run%d/%s", p.way, p.run, p.load) }

// findPutBack takes a variant's name apart.
func findPutBack(variant string) putBack {
	parts := strings.Split(variant, "/")
	run, err := strconv.Atoi(strings.TrimPrefix(parts[1], "run"))
	if err != nil {
		panic(fmt.Sprintf("bench: no variant %s", variant))
	}
	return putBack{parts[0], run, parts[2]}
}

// scatteredRuns are count runs of so many pages out of total, by their first page in random order.
// Between any two there are as many pages that are in none.
func scatteredRuns(total, run, count int) []uint32 {
	starts := samplePages(total/(2*run), count)
	for i := range starts {
		starts[i] *= uint32(2 * run)
	}
	return starts
}
