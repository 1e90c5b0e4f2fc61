package main

import (
	"slices"
	"strconv"
	"strings"
)

// The plots that are made to measure. Each leaves out what the file of lines does not have.

// rename gives series the names that a stranger understands.
func rename(all []series, names map[string]string) {
	for i := range all {
		if name := names[all[i].name]; name != "" {
			all[i].name = name
		}
	}
}

func plotPause(c *measuredCase) (all []*plot) {
	loadedOnes, _, others := seriesOf(c.Figures)
	rename(loadedOnes, map[string]string{
		"userfault/4k/loaded": "userfault: armed ahead", "wholesale/4k/loaded": "wholesale: all at the instant",
		"tracked/4k/loaded": "tracked: 1% written", "fork/4k/loaded": "fork of the process",
	})
	if len(loadedOnes) > 0 {
		p := linesPlot("How long writers are held by freezing an instant, while they write at full speed",
			"Less is better; both axes are logarithmic. "+spanNote+" Four ways: cowheap as it is by default, cowheap made to protect everything "+
				"at the instant, cowheap that tracks what is written, and fork(2), by which others do it.",
			&lines{xTitle: "size of the state", xFormat: formatSize, unit: "ns", series: loadedOnes})
		p.file = "pause-by-size"
		all = append(all, p)
	}
	if len(others) > 0 {
		r := &rows{unit: "ns"}
		for _, f := range others {
			r.rows = append(r.rows, row{f.Variant, []point{pointOf(0, f)}})
		}
		p := rowsPlot("The same by method, nobody writing: what the kernel's own calls take",
			sizeNote(c)+"/4k: small pages, /thp: huge pages. Less is better. userfault, shadow and mprotect are guards of cowheap, which do most of their work before the instant "+
				"if they can. ioctl, pagemap-scan and mprotect-call are the single system calls that such work is made of; no snapshot.", r)
		p.file = "pause-by-method"
		all = append(all, p)
	}
	return all
}

func plotFault(c *measuredCase) []*plot {
	r := crossed(c.Figures, []string{loadQuiet, loadBusy}, func(variant string) (string, string) {
		i := strings.LastIndexByte(variant, '/')
		return variant[:max(i, 0)], variant[i+1:]
	})
	if len(r.rows) == 0 {
		return nil
	}
	return []*plot{rowsPlot("What the first write to a page costs after an instant was frozen",
		"A page of 4 KiB. Less is better. quiet: no other thread of the process runs; busy: one does, on another processor. "+
			"async lifts protection and preserves nothing, shadow preserves later: see the case frames.", r)}
}

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
	if len(p.each) == 0 {
		return nil
	}
	return []*plot{{
		title: "What a single update feels of an instant being frozen",
		note: sizeNote(c) + "Time of one update, logarithmic; less is better. before: nothing is protected; during: until the snapshot, or the child process, is there, " +
			"and 10 ms more; after: it is gone again. Percentiles are of time: at 99.9% of all instants the update under way takes no longer than p99.9.",
		draw: p.draw, height: linesHeight,
	}}
}

func plotFrames(c *measuredCase) (all []*plot) {
	for _, what := range []struct {
		title string
		ops   []string
	}{
		{"Saving a frame of 64 MiB, by the share of its pages that a frame writes", []string{opSave}},
		{"Going back eight frames of 64 MiB, by the share of its pages that a frame writes", []string{opLoad, opLoad8}},
	} {
		var of []figureLine
		for _, f := range c.Figures {
			parts := strings.Split(f.Variant, "/") // way, op, size, share
			if len(parts) == 4 && parts[2] == "64MiB" && slices.Contains(what.ops, parts[1]) {
				f.Variant = parts[0] + "/" + parts[3]
				of = append(of, f)
			}
		}
		grown, _, _ := seriesOf(of)
		if len(grown) == 0 {
			continue
		}
		rename(grown, map[string]string{wayMemcpy: "memcpy of everything"})
		p := linesPlot(what.title, "Less is better; both axes are logarithmic. Writes are part of saving, and so is giving up the oldest of ten frames. "+
			"A game at 60 frames a second has 16.7 ms for everything.",
			&lines{xTitle: "pages written in a frame", xFormat: func(x float64) string { return formatUnit(x, "%") }, unit: "ns", series: grown})
		p.file = "frames-" + what.ops[0]
		all = append(all, p)
	}
	return all
}

func plotRollback(c *measuredCase) (all []*plot) {
	for _, load := range []string{loadQuiet, loadBusy} {
		var of []figureLine
		for _, f := range c.Figures {
			// way/run4/quiet
			if parts := strings.Split(f.Variant, "/"); len(parts) == 3 && parts[2] == load && strings.HasPrefix(parts[1], "run") {
				if _, err := strconv.Atoi(parts[1][3:]); err == nil {
					f.Variant = parts[0] + "/" + parts[1][3:]
					of = append(of, f)
				}
			}
		}
		if grown, _, _ := seriesOf(of); len(grown) > 0 {
			p := linesPlot("Putting the old content of scattered pages back, a page, "+map[string]string{
				loadQuiet: "no other thread running", loadBusy: "another thread running"}[load],
				"Less is better. Five ways to get past the protection of pages that are put back.",
				&lines{xTitle: "pages side by side", xFormat: shortNumber, unit: "ns", series: grown})
			p.file = "rollback-" + load
			all = append(all, p)
		}
	}
	return all
}

func plotGrowth(c *measuredCase) (all []*plot) {
	for _, g := range growthQuestions {
		of := under(c.Figures, g.name+"/")
		grown, sizes, _ := seriesOf(of)
		if len(grown) == 0 {
			continue
		}
		format, x := formatX(sizes)
		note := "Less is better. " + g.note + " " + spanNote
		if !sizes {
			x = g.x
			note = formatSize(float64(of[0].Bytes)) + " of state. " + note
		}
		p := linesPlot(g.title, note,
			&lines{xTitle: x, xFormat: format, unit: of[0].Unit, series: grown})
		p.file = "growth-" + g.name
		all = append(all, p)
	}
	return all
}
