package main

import (
	"fmt"
	"strconv"
)

// The plots of what single operations feel.

// plotPhases is a panel for each way to freeze an instant, and in it the percentiles before, during
// and after.
func plotPhases(c *measuredCase) []*plot {
	p := new(panels)
	for _, way := range []struct{ name, title string }{
		{taxAhead, "cowheap: armed ahead"}, {taxWholesale, "cowheap: all at the instant"}, {taxFork, "fork(2)"},
	} {
		l := &lines{unit: "us", xFormat: func(x float64) string { return taxPhases[int(x)].name }}
		for _, what := range []string{"p50", "p99", "p99.9", longest} {
			s := series{name: what}
			for x, phase := range taxPhases {
				if f := c.figure(taxFigure(way.name, phase.name, what)); f != nil {
					s.points = append(s.points, pointOf(float64(x), *f))
				}
			}
			if len(s.points) == len(taxPhases) {
				l.series = append(l.series, s)
			}
		}
		if len(l.series) > 0 {
			p.titles, p.each = append(p.titles, way.title), append(p.each, l)
		}
	}
	all := plotTaxOverTime(c)
	if len(p.each) == 0 {
		return all
	}
	return append(all, &plot{
		title: "What a single update feels of an instant being frozen",
		note: sizeNote(c) + "Time of one update, logarithmic. before: nothing is protected; during: until the snapshot, or the child process, is there, " +
			"and 10 ms more; after: it is gone again. Percentiles are of time: at 99.9% of all instants the update under way takes no longer than p99.9.",
		draw: p.draw, height: linesHeight,
	})
}

// plotTaxOverTime is what updates take about an instant.
func plotTaxOverTime(c *measuredCase) (all []*plot) {
	if p := timesPlot("arming-tax-over-time", "What updates take around the moment in which the state is frozen",
		sizeNote(c)+"Time of one update in each window of 10 ms, logarithmic. Grey: what was frozen is there. "+timesNote, c,
		[]strip{{name: taxAhead, colour: "c1"}, {name: taxWholesale, colour: "c6"}, {name: taxFork, colour: "c2"}, {name: taxCopy, colour: "c3"}}); p != nil {
		all = append(all, p)
	}
	return all
}

const timesNote = "Goroutines write without a pause, so an update that is held fills the windows until it is over. p50, p99: at half, at 99% of all instants of the window " +
	"the update under way takes no longer."

func plotSnapshotTax(c *measuredCase) (all []*plot) {
	if p := timesPlot("snapshot-tax-over-time", "What operations take around the moment in which a snapshot is taken",
		fmt.Sprintf("%s entries of 16 bytes. Time of one operation in each window of 10 ms, logarithmic. Grey: the snapshot is taken, read once completely and dropped. ",
			groupThousands(strconv.FormatInt(c.Size/bytesPerEntry, 10)))+timesNote, c,
		[]strip{{name: wayMap, colour: "c1"}, {name: wayBTree, colour: "c4"}, {name: wayTidwall, colour: "c7"}, {name: wayMemdb, colour: "c6"}, {name: wayFullCopy, colour: "c3"}}); p != nil {
		all = append(all, p)
	}
	return append(all, plotPictures(c)...)
}
