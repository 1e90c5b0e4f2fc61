package main

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Which plots a case has. Those that a reader has to understand at a glance are made to
// measure; every other case gets lines where the last part of its variants' names is a number,
// and rows for the rest, so that no case has to be known here.

// plotsOf are a case's plots.
func plotsOf(c *measuredCase) []*plot {
	var all []*plot
	switch c.Case {
	case "pause":
		all = plotPause(c)
	case "fault":
		all = plotFault(c)
	case "arming-tax":
		all = plotPhases(c)
	case "frames":
		all = plotFrames(c)
	case "rollback":
		all = plotRollback(c)
	case "checkpoint-tax":
		all = plotTax(c)
	case "redis":
		all = plotRedis(c)
	case "restore":
		all = plotRestore(c)
	case "growth":
		all = plotGrowth(c)
	default:
		all = plotAny(c)
	}
	for i, p := range all {
		if p.file == "" {
			p.file = c.Case
			if i > 0 {
				p.file += "-" + strconv.Itoa(i+1)
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
	return &plot{title: title, note: note, draw: l.draw, height: linesHeight}
}

// rowsPlot is a picture of rows.
func rowsPlot(title, note string, r *rows) *plot {
	return &plot{title: title, note: note, draw: r.draw, height: r.height()}
}

// formatX is how a number of some kind is written on an axis.
func formatX(sizes bool) (func(float64) string, string) {
	if sizes {
		return formatSize, "size of the state"
	}
	return shortNumber, ""
}

// better says in which direction a unit is better.
func better(unit string) string {
	if strings.HasSuffix(unit, "/s") {
		return "More is better."
	}
	return "Less is better."
}

const spanNote = "Marks are medians; the faint bar behind one reaches from the least to the greatest sample."

// plotAny is for a case that nothing is known of.
func plotAny(c *measuredCase) (all []*plot) {
	title := c.About
	if title == "" {
		title = c.Case
	}
	for _, unit := range unitsOf(c.Figures) {
		var of []figureLine
		for _, f := range c.Figures {
			if f.Unit == unit {
				of = append(of, f)
			}
		}
		grown, sizes, others := seriesOf(of)
		for part := range slices.Chunk(grown, 8) {
			format, x := formatX(sizes)
			all = append(all, linesPlot(capital(title), unit+". "+better(unit)+" "+spanNote,
				&lines{xTitle: x, xFormat: format, unit: unit, series: part}))
		}
		if r := sideBySide(others); r != nil {
			for part := range slices.Chunk(r.rows, 16) {
				all = append(all, rowsPlot(capital(title), unit+". "+better(unit)+" "+spanNote, &rows{unit: unit, keys: r.keys, rows: part}))
			}
			continue
		}
		for part := range slices.Chunk(others, 32) {
			r := &rows{unit: unit}
			for _, f := range part {
				r.rows = append(r.rows, row{f.Variant, []point{pointOf(0, f)}})
			}
			all = append(all, rowsPlot(capital(title), unit+". "+better(unit)+" "+spanNote, r))
		}
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

// unitsOf are the units of figures, each once.
func unitsOf(figures []figureLine) (units []string) {
	for _, f := range figures {
		if !slices.Contains(units, f.Unit) {
			units = append(units, f.Unit)
		}
	}
	return units
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
