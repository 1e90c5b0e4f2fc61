package main

import (
	"math"
	"slices"
)

// lines show how figures grow with something: one line a series, named at its right end.
type lines struct {
	xTitle  string
	xFormat func(float64) string // of ticks
	unit    string               // of y
	series  []series
	beside  []float64 // values that the y axis has to have room for, too
}

// series is one line.
type series struct {
	name   string
	points []point // by x
}

// point is a median with the least and the greatest sample.
type point struct{ x, y, low, high float64 }

const (
	linesHeight = 380
	axisRoom    = 84 // for labels of the left axis
	xAxisRoom   = 46
)

func (l *lines) draw(c *canvas) {
	l.drawAt(c, margin+axisRoom, plotWidth-margin-l.labelRoom(), 0, linesHeight-xAxisRoom)
}

// labelRoom is for the names at the right.
func (l *lines) labelRoom() float64 {
	widest := 0.0
	for _, s := range l.series {
		widest = max(widest, textWidth(s.name))
	}
	return widest + 30
}

// drawAt draws within a box.
func (l *lines) drawAt(c *canvas, left, right, top, bottom float64) {
	var xs []float64
	ys := slices.Clone(l.beside)
	for _, s := range l.series {
		for _, p := range s.points {
			if xs = append(xs, p.x); l.beside == nil {
				ys = append(ys, p.y, p.low, p.high)
			}
		}
	}
	y := newAxis(ys, l.unit, bottom, top)
	x := newAxis(xs, "", left, right)
	if x.log {
		x.low, x.high = slices.Min(xs)/1.15, slices.Max(xs)*1.15
	}
	for _, v := range y.ticks() {
		c.line(left, y.at(v), right, y.at(v), "grid")
		c.text(left-8, y.at(v)+4, "tick", "end", formatUnit(v, l.unit))
	}
	c.line(left, bottom, right, bottom, "axis")
	slices.Sort(xs)
	xs = slices.Compact(xs)
	last := math.Inf(-1)
	for _, v := range xs { // every x that was measured, if there is room for its label
		label := l.xFormat(v)
		if at := x.at(v); at-last > float64(len(label))*letterWidth {
			c.line(at, bottom, at, bottom+5, "axis")
			c.text(at, bottom+19, "tick", "middle", label)
			last = at
		}
	}
	c.text((left+right)/2, bottom+38, "note", "middle", l.xTitle)

	names := make([]string, len(l.series))
	for i, s := range l.series {
		names[i] = s.name
	}
	colours := newPalette(names)
	var labels []label
	for i, s := range l.series {
		class := colours[s.name]
		var path [][2]float64
		for _, p := range s.points {
			at := [2]float64{x.at(p.x), y.at(p.y)}
			if p.high > p.low && l.beside == nil {
				c.line(at[0], y.at(p.low), at[0], y.at(p.high), "span "+class)
			}
			path = append(path, at)
		}
		c.path(path, class)
		for _, at := range path {
			c.mark(at[0], at[1], i, class)
		}
		end := path[len(path)-1]
		labels = append(labels, label{end[0], end[1], end[1], s.name, class})
	}
	spread(labels, lineStep, top+8, bottom)
	for _, l := range labels {
		c.line(l.x+6, l.at, right+12, l.y, "lead")
		c.text(right+16, l.y+4, l.class, "start", l.text)
	}
}

// label is the name of a line: it is at x, at, and written at y.
type label struct {
	x, at, y    float64
	text, class string
}

// spread moves labels apart so that each has room, and keeps their order.
func spread(labels []label, room, top, bottom float64) {
	slices.SortStableFunc(labels, func(a, b label) int {
		switch {
		case a.y < b.y:
			return -1
		case a.y > b.y:
			return 1
		}
		return 0
	})
	for i := range labels {
		if i == 0 {
			labels[i].y = max(labels[i].y, top)
		} else {
			labels[i].y = max(labels[i].y, labels[i-1].y+room)
		}
	}
	for i := len(labels) - 1; i >= 0; i-- {
		limit := bottom
		if i < len(labels)-1 {
			limit = labels[i+1].y - room
		}
		labels[i].y = min(labels[i].y, limit)
	}
}

// panels are lines side by side with the same y axis.
type panels struct {
	titles []string
	each   []*lines
}

func (p *panels) draw(c *canvas) {
	var all []float64
	for _, l := range p.each {
		for _, s := range l.series {
			for _, q := range s.points {
				all = append(all, q.y)
			}
		}
	}
	width := (plotWidth - 2*margin) / float64(len(p.each))
	for i, l := range p.each {
		l.beside = all
		left, right := margin+width*float64(i), margin+width*float64(i+1)
		c.text((left+right)/2, 14, "name", "middle", p.titles[i])
		l.drawAt(c, left+axisRoom*0.8, right-l.labelRoom(), 28, linesHeight-xAxisRoom)
	}
}
