package main

import "strings"

// The case "arming-tax": what does a single update feel of an instant that is being
// frozen, in microseconds?
//
// GOMAXPROCS-1 goroutines, at least one, write to the state of a heap at full
// speed, each update one Heap.Update that changes one word of a page taken at
// random from all of them. (One processor is left to whoever takes the snapshot;
// with as many writers as processors one would see the time slices of Go's
// scheduler, which are 10 ms long.) The time of every update is taken, from the end
// of the one before to its own end: about 40 ns of it are the clock's.
//
//   - /before: half a second in which nothing is protected.
//   - /during: from the call of Snapshot until it returns and 10 ms more, in which
//     first writes meet the snapshot; updates that overlap that are part of it.
//   - /after: the snapshot is closed half a second after the call, or at the end of during where that
//     is later; from then on, 200 ms at least and until a second after the call.
//
// p50, p99 and p99.9 count time and not updates: at 99.9 % of all instants of the
// phase, the update under way takes no longer than p99.9. Counted by updates, a
// writer that is held for 40 ms would have one slow update among thousands of
// quick ones, although nearly everybody who asks for one in that window waits.
// Like every figure, they and /longest are the median over the rounds; max in the
// table is the worst of any round.
//
//   - ahead and wholesale: Options.Arming. A first snapshot is taken before anybody
//     writes and thrown away.
//   - fork: of this process, with a heap whose guard protects nothing (GuardCopy, and
//     no snapshot): plain memory. Instead of Snapshot, the call of fork; the child has
//     the memory, and sleeps, until it is ended at the beginning of /after. So copy
//     on write is in /during as first writes are with a snapshot.
//   - copy: a heap with GuardCopy, whose Snapshot copies everything with writers held.
//
// There is a series of each way, too: what updates took in windows of 10 ms, from half a second
// before the call to a second after it, in the round whose /during/longest is the median one.
//
// Each measurement makes a state of its own and warms it up, so no round is thrown away.
//
// Not measured: writers that queue for processors or for one another.

const (
	taxAhead     = "ahead"
	taxWholesale = "wholesale"
	taxFork      = "fork"
	taxCopy      = "copy"

	longest = "longest"
)

var taxWays = []string{taxAhead, taxWholesale, taxFork, taxCopy}

var taxPhases = []struct {
	name  string
	phase int
}{{"before", before}, {"during", during}, {"after", after}}

// taxQuantiles are what is told of a phase besides the longest update.
var taxQuantiles = []struct {
	name string
	q    float64
}{{"p50", 0.5}, {"p99", 0.99}, {"p99.9", 0.999}}

func armingTaxCase() *Case {
	c := &Case{
		Name:   "arming-tax",
		About:  "what a single update feels of an instant being frozen",
		Size:   4 * gib,
		Quick:  32 * mib,
		Rounds: minRounds,
		Bounds: []Bound{
			{taxFigure(taxAhead, "during", longest), "<=", 5000, ""}, // 5 ms
			{taxFigure(taxAhead, "during", "p99.9"), "<=", 0.2, taxFigure(taxWholesale, "during", "p99.9")},
		},
		Open: openArmingTax,
	}
	for _, way := range taxWays {
		for _, p := range taxPhases {
			for _, q := range taxQuantiles {
				c.Variants = append(c.Variants, taxVariant(way, p.name, q.name))
			}
			c.Variants = append(c.Variants, taxVariant(way, p.name, longest))
		}
	}
	return c
}

func taxFigure(way, phase, what string) string { return way + "/" + phase + "/" + what }

func taxVariant(way, phase, what string) Variant {
	return Variant{taxFigure(way, phase, what), "us", taxFigure(taxFork, phase, what)}
}

// taxReadings are the figures of one way, from what its writers took down.
func taxReadings(way string, w *writers, bytes int64, t *trace) map[string]Reading {
	all := map[string]Reading{}
	for _, p := range taxPhases {
		times := w.times(p.phase)
		for _, q := range taxQuantiles {
			all[taxFigure(way, p.name, q.name)] = Reading{Value: float64(times.quantile(q.q).Nanoseconds()) / 1e3, Bytes: bytes}
		}
		all[taxFigure(way, p.name, longest)] = Reading{Value: float64(times.longest.Nanoseconds()) / 1e3, Bytes: bytes}
	}
	most := taxFigure(way, "during", longest)
	all[most] = Reading{Value: all[most].Value, Bytes: bytes, Trace: t}
	return all
}

// taxWay is the way that a variant is about.
func taxWay(variant string) string {
	way, _, _ := strings.Cut(variant, "/")
	return way
}
