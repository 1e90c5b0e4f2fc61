package main

// growthNames are what a stranger understands.
var growthNames = map[string]map[string]string{
	growPause: {wayUserfault4K: "cowheap, small pages", wayUserfaultTHP: "cowheap, huge pages", wayWholesale4K: "cowheap, all at the instant",
		wayFork4K: "fork of the process", wayCopy4K: "copy of everything",
		wayMemdb: "go-memdb Snapshot", wayTidwall: "tidwall/btree Copy"},
	growArming:    {wayUserfault4K: "small pages", wayUserfaultTHP: "huge pages"},
	growTables:    {wayUserfault4K: "small pages", wayUserfaultTHP: "huge pages"},
	growStats:     {wayUserfault4K: "small pages"},
	growOpen:      {"eager": "eager", "lazy": "lazy"},
	growWriters:   {"pause": "cowheap: held", "waited": "cowheap: waited for", wayProcess: "fork of the process"},
	growSnapshots: {"pause": "one more snapshot", "first-write": "first write to a page"},
	growKept:      {"userfault": "all snapshots"},
}

func plotGrowth(c *measuredCase) (all []*plot) {
	for _, g := range growthQuestions {
		of := under(c.Figures, g.name+"/")
		grown, sizes, _ := seriesOf(of)
		if len(grown) == 0 {
			continue
		}
		rename(grown, growthNames[g.name])
		format, x := formatX(sizes)
		note := g.note + " " + spanNote
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
