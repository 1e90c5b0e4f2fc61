package main

import (
	"fmt"
	"strings"
)

// The case "checkpoint-tax": what does a whole checkpoint cost those who go on
// writing?
//
// Goroutines update the state of a heap, each update one Heap.Update that reads a
// word of a page and writes it back. They have done so for 300 ms, with nothing
// protected, when the checkpoint begins, and go on until it is safe on disk.
//
//   - The figure, in milliseconds, is the time that the writers lose. At full speed:
//     how long the checkpoint takes, less the time in which they would have done
//     as many updates as they did at the rate that they had before it. Paced: the
//     time that updates took, less their number times what one took on average before.
//   - /preserved, in MiB: how much memory the old content of pages took at most: of
//     those that somebody wrote to and, ahead, of those that somebody might.
//
// The loads:
//
//   - uniform/1, /2 and /8: so many goroutines at full speed, pages at random.
//   - zipf/1, /2 and /8: the same, but pages are chosen with theta 0.99, from a sequence
//     made in advance; the hot ones are scattered over the state.
//   - uniform/paced and zipf/paced: one goroutine does 10,000 updates a second, ten
//     each millisecond, and sleeps in between.
//
// The ways:
//
//   - auto: Heap.Checkpoint of a heap opened without options. (But for Keep, 1 as
//     with fork, and Progress, by which what is preserved is looked at nine times
//     in a checkpoint.)
//   - ahead and on-write: of a snapshot, with Options.Preserving set so; a number behind it
//     is Options.FaultPages.
//   - shadow: Heap.Checkpoint of a heap with guard shadow and full checkpoints; preserved is its
//     shadow, too.
//   - live: the same with Options.Saving set to SaveLive. Preserved is what was read once more.
//   - fork: this process forks, and the child writes the state into a file, a mebibyte
//     a write, and fsyncs it; this process waits for it in a system call, renames
//     the file and syncs the directory. The heap's guard protects nothing (GuardCopy,
//     and no snapshot), so its memory is plain and the updates are the same. The
//     gate is not closed for the fork: its content is of no instant, which is to the
//     advantage of fork, and so is that the child computes no checksums (it can run no
//     Go code). Preserved are as many pages as this process had minor faults between
//     the fork and the child's end: each is a copy, but for a few.
//
// One state is open at a time, so variants of one way follow one another. When it
// is opened a checkpoint is written that does not count, and of two in a row under
// a load the second counts: memory for what is preserved is warm then. Who takes
// checkpoints seldom pays for having it again, with fork, too. The files go to -dir.
//
// A disk that takes its time makes checkpoints long, and the figures depend on what else
// the machine does meanwhile; -dir on a memory file system shows the processors' part.
//
// A round takes some minutes, so there is one by default. For a median use -rounds,
// and -only for one load: -only uniform/1.

const (
	wayAuto      = "auto"
	wayForkFile  = "fork"
	wayAhead     = "ahead"
	wayOnWrite   = "on-write"
	wayShadowed  = "shadow"
	wayLive      = "live"
	preserved    = "/preserved"
	loadUniform  = "uniform"
	loadZipf     = "zipf"
	loadPaced    = "paced"
	pacedUpdates = 10_000 // a second
)

// forcedWays are those that leave nothing to be chosen.
var forcedWays = []string{wayLive, wayAhead, wayAhead + "/64", wayAhead + "/512", wayOnWrite + "/1", wayOnWrite + "/64"}

func checkpointTaxCase() *Case {
	c := &Case{
		Name:   "checkpoint-tax",
		About:  "what a whole checkpoint costs those who go on writing",
		Size:   2 * gib,
		Quick:  16 * mib,
		Rounds: 1,
		Aside:  []string{wayShadowed + "/", wayAhead + "/", wayOnWrite + "/"},
		Open:   openCheckpointTax,
	}
	for _, way := range append([]string{wayForkFile, wayAuto, wayShadowed}, forcedWays...) {
		for _, load := range taxLoads() {
			c.Variants = append(c.Variants, Variant{load.of(way), "ms", load.of(wayForkFile)})
			c.Variants = append(c.Variants, Variant{load.of(way) + preserved, "MiB", load.of(wayForkFile) + preserved})
		}
	}
	for _, load := range taxLoads() {
		c.Bounds = append(c.Bounds, load.bounds()...)
	}
	return c
}

// taxLoad is what writers do.
type taxLoad struct {
	pages   string // loadUniform or loadZipf
	writers int    // at full speed; 0: one, paced
}

func taxLoads() (all []taxLoad) {
	for _, pages := range []string{loadUniform, loadZipf} {
		for _, writers := range []int{1, 2, 8, 0} {
			all = append(all, taxLoad{pages, writers})
		}
	}
	return all
}

func (l taxLoad) name() string {
	if l.writers == 0 {
		return l.pages + "/" + loadPaced
	}
	return fmt.Sprintf("%s/%d", l.pages, l.writers)
}

// of is the name of a variant.
func (l taxLoad) of(way string) string { return way + "/" + l.name() }

func (l taxLoad) bounds() []Bound {
	forced := make([]string, len(forcedWays))
	for i, way := range forcedWays {
		forced[i] = l.of(way)
	}
	best := Bound{l.of(wayAuto), "<=", 1.15, leastOf(forced)}
	switch {
	case l.writers == 0:
		return []Bound{
			{l.of(wayAuto), "<=", 1, l.of(wayForkFile)},
			{l.of(wayAuto) + preserved, "<=", 1.2, l.of(wayForkFile) + preserved},
			best,
		}
	case l.pages == loadZipf:
		return []Bound{{l.of(wayAuto), "<=", 0.8, l.of(wayForkFile)}, best}
	}
	return []Bound{{l.of(wayAuto), "<=", 0.55, l.of(wayForkFile)}, best}
}

// findTax is what a variant is about.
func findTax(variant string) (way string, load taxLoad) {
	variant = strings.TrimSuffix(variant, preserved)
	for _, l := range taxLoads() {
		if way, ok := strings.CutSuffix(variant, "/"+l.name()); ok {
			return way, l
		}
	}
	panic("bench: no variant " + variant)
}
