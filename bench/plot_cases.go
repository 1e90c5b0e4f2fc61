package main

import (
	"cmp"
	"fmt"
	"iter"
	"slices"
	"strconv"
	"strings"
)

// Which plots a case has. Those that a reader has to understand at a glance are made to
// measure; every other case gets lines where the last part of its variants' names is a number,
// and rows for the rest, so that no case has to be known here.

// madeToMeasure are the cases whose plots are drawn by hand.
var madeToMeasure = map[string]func(*measuredCase) []*plot{
	"pause": plotPause, "fault": plotFault, "growth": plotGrowth,
	"arming-tax": plotPhases, "snapshot-tax": plotSnapshotTax, "checkpoint-tax": plotTax,
	"frames": plotFrames, "rollback": plotRollback, "redis": plotRedis,
}

// plotsOf are a case's plots. Those without a name of their own get the case's.
func plotsOf(c *measuredCase) []*plot {
	var all []*plot
	switch made := madeToMeasure[c.Case]; {
	case made != nil:
		all = made(c)
	case pictures[c.Case] != nil:
		all = plotPictures(c)
	default:
		all = plotAny(c)
	}
	unnamed := 0
	for _, p := range all {
		if p.file == "" {
			p.file = c.Case
			if unnamed++; unnamed > 1 {
				p.file += "-" + strconv.Itoa(unnamed)
			}
		}
	}
	return all
}

// pointOf is a figure as a point.
func pointOf(x float64, f figureLine) point { return point{x, f.Value, f.Min, f.Max} }

// numbered is a variant's name without its last part, and that as a number: bytes for a size,
// percent for a share. ok is false if it is none.
func numbered(variant string) (rest string, x float64, isSize, ok bool) {
	i := strings.LastIndexByte(variant, '/')
	if i < 0 {
		return "", 0, false, false
	}
	rest, last := variant[:i], variant[i+1:]
	if x, err := strconv.ParseFloat(strings.TrimSuffix(last, "%"), 64); err == nil {
		return rest, x, false, true
	}
	var s size
	if s.Set(last) == nil {
		return rest, float64(s), true, true
	}
	return "", 0, false, false
}

// seriesOf are the lines that figures make, whose x is the last part of their names, and the
// figures that make none. A line has at least three points.
func seriesOf(figures []figureLine) (all []series, sizes bool, others []figureLine) {
	byName := map[string]int{}
	for _, f := range figures {
		rest, x, isSize, ok := numbered(f.Variant)
		if !ok {
			continue
		}
		i, known := byName[rest]
		if !known {
			i = len(all)
			byName[rest], all = i, append(all, series{name: rest})
		}
		sizes = sizes || isSize
		all[i].points = append(all[i].points, pointOf(x, f))
	}
	all = slices.DeleteFunc(all, func(s series) bool { return len(s.points) < 3 })
	for _, s := range all {
		slices.SortFunc(s.points, func(a, b point) int { return cmp.Compare(a.x, b.x) })
	}
	for _, f := range figures {
		rest, _, _, _ := numbered(f.Variant)
		if !slices.ContainsFunc(all, func(s series) bool { return s.name == rest && rest != "" }) {
			others = append(others, f)
		}
	}
	return all, sizes, others
}

// linesPlot is a picture of lines.
func linesPlot(title, note string, l *lines) *plot {
	return &plot{title: title, note: note, more: moreIsBetter(l.unit), draw: l.draw, height: linesHeight}
}

// rowsPlot is a picture of rows.
func rowsPlot(title, note string, r *rows) *plot {
	return &plot{title: title, note: note, more: moreIsBetter(r.unit), draw: r.draw, height: r.height()}
}

// formatX is how a number of some kind is written on an axis.
func formatX(sizes bool) (func(float64) string, string) {
	if sizes {
		return formatSize, "size of the state"
	}
	return shortNumber, ""
}

// moreIsBetter tells in which direction a unit is better: so many in a time.
func moreIsBetter(unit string) bool {
	return strings.HasSuffix(unit, "/s") || strings.HasSuffix(unit, "/ms")
}

const spanNote = "Marks are medians; the faint bar behind one reaches from the least to the greatest sample."

// plotAny is for a case that nothing is known of.
func plotAny(c *measuredCase) (all []*plot) {
	title := c.About
	if title == "" {
		title = c.Case
	}
	for unit, of := range byUnit(c.Figures) {
		all = append(all, drawFigures(capital(title), "In "+unit+".", "", of)...)
	}
	return all
}

// drawFigures are plots of figures of one unit: of lines, and of those that are none.
func drawFigures(title, note, x string, figures []figureLine) (all []*plot) {
	note += " " + spanNote
	grown, sizes, others := seriesOf(figures)
	format, xSize := formatX(sizes)
	if x == "" {
		x = xSize
	}
	for part := range slices.Chunk(grown, 8) {
		all = append(all, linesPlot(title, note, &lines{xTitle: x, xFormat: format, unit: figures[0].Unit, series: part}))
	}
	each := 16
	r := sideBySide(others)
	if r == nil {
		r, each = &rows{}, 32
		for _, f := range others {
			r.unit = f.Unit
			r.rows = append(r.rows, row{f.Variant, []point{pointOf(0, f)}})
		}
	}
	for part := range slices.Chunk(r.rows, each) {
		all = append(all, rowsPlot(title, note, &rows{unit: r.unit, keys: r.keys, rows: part}))
	}
	return all
}

// sideBySide are rows with a mark for each way, where names are a way and then what it does, and most
// of the ways do the same; else nil.
func sideBySide(figures []figureLine) *rows {
	var ways, whats []string
	for _, f := range figures {
		way, what, ok := strings.Cut(f.Variant, "/")
		if !ok {
			return nil
		}
		if !slices.Contains(ways, way) {
			ways = append(ways, way)
		}
		if !slices.Contains(whats, what) {
			whats = append(whats, what)
		}
	}
	if len(ways) < 2 || len(ways) > 6 || 2*len(figures) < 3*len(whats) {
		return nil
	}
	return crossed(figures, ways, func(variant string) (string, string) {
		way, what, _ := strings.Cut(variant, "/")
		return what, way
	})
}

// byUnit are figures by their units, in the order in which these come first.
func byUnit(figures []figureLine) iter.Seq2[string, []figureLine] {
	return func(yield func(string, []figureLine) bool) {
		done := map[string]bool{}
		for _, first := range figures {
			unit := first.Unit
			if done[unit] {
				continue
			}
			done[unit] = true
			other := func(f figureLine) bool { return f.Unit != unit }
			if !yield(unit, slices.DeleteFunc(slices.Clone(figures), other)) {
				return
			}
		}
	}
}

// under are the figures whose names begin with a prefix, without it.
func under(figures []figureLine, prefix string) (of []figureLine) {
	for _, f := range figures {
		if rest, ok := strings.CutPrefix(f.Variant, prefix); ok {
			f.Variant = rest
			of = append(of, f)
		}
	}
	return of
}

// crossed are rows whose names are a part of the variants' names, and the marks in a row another:
// split says which.
func crossed(figures []figureLine, keys []string, split func(variant string) (name, key string)) *rows {
	r := &rows{keys: keys}
	for _, f := range figures {
		name, key := split(f.Variant)
		k := slices.Index(keys, key)
		if k < 0 {
			continue
		}
		r.unit = f.Unit
		i := slices.IndexFunc(r.rows, func(one row) bool { return one.name == name })
		if i < 0 {
			i = len(r.rows)
			r.rows = append(r.rows, row{name, make([]point, len(keys))})
		}
		r.rows[i].marks[k] = pointOf(0, f)
	}
	return r
}

// firstWord is a name up to the first slash, colon or space.
func firstWord(name string) string {
	if i := strings.IndexAny(name, "/: "); i >= 0 {
		return name[:i]
	}
	return name
}

func capital(s string) string {
	if s == "" {
		return s
	}
	return strings.ToUpper(s[:1]) + s[1:]
}

// sizeNote names a case's size, if that is known.
func sizeNote(c *measuredCase) string {
	if c.Size == 0 {
		return ""
	}
	return fmt.Sprintf("%s of state. ", formatSize(float64(c.Size)))
}
