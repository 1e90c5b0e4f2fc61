package main

import (
	"cmp"
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

// pauseNames are what a stranger understands.
var pauseNames = map[string]string{
	pauseUserfault4K: "cowheap userfault, small pages", pauseUserfaultTHP: "cowheap userfault, huge pages",
	pauseUserfaultSteady: "the same, some of them split", pauseShadow4K: "cowheap shadow, small pages", pauseMprotect4K: "cowheap mprotect, small pages",
	pauseIoctl4K: "one UFFDIO_WRITEPROTECT, small", pauseIoctlTHP: "one UFFDIO_WRITEPROTECT, huge", pauseScan4K: "one PAGEMAP_SCAN, small",
	pauseMprotectCall4K: "one mprotect, small", pauseFork4K: "fork(2), small pages", pauseForkTHP: "fork(2), huge pages", pauseCopy4K: "memcpy of everything",
}

func plotPause(c *measuredCase) (all []*plot) {
	loadedOnes, _, others := seriesOf(c.Figures)
	rename(loadedOnes, map[string]string{
		"userfault/4k/loaded": "cowheap (default)", "wholesale/4k/loaded": "cowheap, all at the instant",
		"tracked/4k/loaded": "cowheap, tracked, 1% written", "fork/4k/loaded": "fork of the process",
	})
	if len(loadedOnes) > 0 {
		p := linesPlot("How long writers are held by freezing an instant, while they write at full speed",
			"Both axes are logarithmic. "+spanNote+" cowheap protects the state while writers go on, or all of it at the instant; tracked: it knows the 1% "+
				"of the pages that are written between two snapshots. fork(2) is how others do it.",
			&lines{xTitle: "size of the state", xFormat: formatSize, unit: "ns", series: loadedOnes})
		p.file = "pause-by-size"
		all = append(all, p)
	}
	if len(others) > 0 {
		r := &rows{unit: "ns"}
		for _, f := range others {
			r.rows = append(r.rows, row{cmp.Or(pauseNames[f.Variant], f.Variant), []point{pointOf(0, f)}})
		}
		p := rowsPlot("How long an instant takes by method, nobody writing, beside the kernel's own calls",
			sizeNote(c)+"userfault, shadow and mprotect are guards of cowheap, which do most of their work before the instant if they can. "+
				"The single system calls are what such work is made of: no snapshot. small: pages of 4 KiB.", r)
		p.file = "pause-by-method"
		all = append(all, p)
	}
	return all
}

// faultNames say who resolves the fault, and in which order pages are written.
var faultNames = map[string]string{
	wayUserfault: "cowheap userfault, random", waySequential: "cowheap userfault, in order",
	wayShadow: "cowheap shadow, random", wayShadowInOrder: "cowheap shadow, in order",
	wayMprotect: "cowheap mprotect, random", wayMprotectInOrder: "cowheap mprotect, in order",
	wayPrepared: "cowheap, after PrepareWrite", wayTracked: "cowheap, tracked, no snapshot",
	wayFork: "fork: copy-on-write", wayAsync: "the kernel alone, nothing kept", wayGoroutine: "a goroutine reads userfaultfd",
}

func plotFault(c *measuredCase) []*plot {
	r := crossed(c.Figures, []string{loadQuiet, loadBusy}, func(variant string) (string, string) {
		i := strings.LastIndexByte(variant, '/')
		return faultNames[variant[:max(i, 0)]], variant[i+1:]
	})
	if len(r.rows) == 0 {
		return nil
	}
	return []*plot{rowsPlot("What the first write to a page costs after the state was frozen",
		"A page of 4 KiB. quiet: no other thread of the process runs; busy: one does, on another processor. "+
			"shadow preserves the page later, at the next snapshot (see frames).", r)}
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
			parts := strings.Split(f.Variant, "/") // way, op, size, share, same
			if len(parts) < 4 || parts[2] != "64MiB" || !slices.Contains(what.ops, parts[1]) {
				continue
			}
			switch {
			case len(parts) == 4:
				f.Variant = parts[0] + "/" + parts[3]
				of = append(of, f)
			case parts[0] != wayMemcpy: // to which it is no matter
				f.Variant = parts[0] + ", the same pages/" + parts[3]
				of = append(of, f)
			}
		}
		grown, _, _ := seriesOf(of)
		if len(grown) == 0 {
			continue
		}
		rename(grown, map[string]string{wayMemcpy: "memcpy of everything"})
		p := linesPlot(what.title, "Both axes are logarithmic. Writes are part of saving, and so is giving up the oldest of ten frames. "+
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
				"Five ways to get past the protection of pages that are put back.",
				&lines{xTitle: "pages side by side", xFormat: shortNumber, unit: "ns", series: grown})
			p.file = "rollback-" + load
			all = append(all, p)
		}
	}
	return all
}
