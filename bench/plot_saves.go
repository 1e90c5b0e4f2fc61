package main

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// The plots of what saving and getting back cost.

func plotTax(c *measuredCase) (all []*plot) {
	keys := []string{"auto", "fork"}
	split := func(variant string) (string, string) {
		way, rest, _ := strings.Cut(variant, "/")
		return rest, way
	}
	var lost, memory []figureLine
	for _, f := range c.Figures {
		f2 := f
		if name, ok := strings.CutSuffix(f.Variant, "/preserved"); ok {
			f2.Variant = name
			memory = append(memory, f2)
		} else {
			lost = append(lost, f2)
		}
	}
	for _, what := range []struct {
		file, title string
		of          []figureLine
	}{
		{"checkpoint-tax", "Time that writers lose over a whole checkpoint", lost},
		{"checkpoint-tax-memory", "Memory that a whole checkpoint takes beside the state", memory},
	} {
		if r := crossed(what.of, keys, split); len(r.rows) > 0 {
			p := rowsPlot(what.title, sizeNote(c)+"auto: cowheap as it is by default; fork: a child process writes the file. "+
				"uniform and zipf: which pages are written; 1, 2, 8: writers at full speed; paced: 10,000 updates a second.", r)
			p.file = what.file
			all = append(all, p)
		}
	}
	return all
}

func plotRedis(c *measuredCase) (all []*plot) {
	for _, what := range []struct{ unit, file, title, note string }{
		{"us", "redis-latency", "What clients feel of a save: Redis BGSAVE beside a cowheap checkpoint",
			"Time from when a SET was due until its answer. Four connections set 10,000 values a second. before: no save is going on; during: from BGSAVE to its end."},
		{"ms", "redis-save", "How long the save takes", "The same entries, the same writes meanwhile; both sync their file."},
		{"MiB", "redis-memory", "Memory and file", "memory: before the save; extra: what the save adds at the most, to the server and its child together."},
	} {
		of := slices.DeleteFunc(slices.Clone(c.Figures), func(f figureLine) bool { return f.Unit != what.unit })
		r := crossed(of, []string{sideCowheap, sideRedis}, func(variant string) (string, string) {
			side, rest, _ := strings.Cut(variant, "/")
			return strings.Replace(rest, "/", ", ", 1), side
		})
		if len(r.rows) > 0 {
			p := rowsPlot(what.title, fmt.Sprintf("%s entries of %d bytes. %s", groupThousands(strconv.FormatInt(c.Size/entryBytes, 10)), entryBytes, what.note), r)
			p.file = what.file
			all = append(all, p)
		}
	}
	return all
}
