package main

import (
	"fmt"
	"math"
	"slices"
)

// times show what operations took about an instant: a strip for each way, one below the other, so that
// the eye compares them at the same moment. In a strip are three lines of one colour, from the
// longest to the median, and what is frozen is there where the ground is grey.
type times struct {
	strips []strip
}

// strip is one way.
type strip struct {
	name, colour string
	*trace
}

const (
	stripHeight = 100
	stripHead   = 26 // for its name, above
	stripLabels = 62 // for the lines' names, at the right
)

func (t *times) height() float64 {
	return float64(len(t.strips))*(stripHead+stripHeight) + xAxisRoom
}

// timesPlot is a picture of the traces of a case, in the order of ways; nil if there are none.
func timesPlot(file, title, note string, c *measuredCase, ways []strip) *plot {
	t := new(times)
	for _, way := range ways {
		i := slices.IndexFunc(c.Traces, func(l seriesLine) bool { return l.Series == way.name })
		if i < 0 || len(c.Traces[i].Lines[longest]) == 0 {
			continue
		}
		way.trace = &c.Traces[i].trace
		if name := seriesNames[c.Case+"/"+way.name]; name != "" {
			way.name = name
		}
		t.strips = append(t.strips, way)
	}
	if len(t.strips) == 0 {
		return nil
	}
	return &plot{file: file, title: title, note: note, draw: t.draw, height: t.height()}
}

// seriesNames are what a stranger understands.
var seriesNames = map[string]string{
	"arming-tax/" + taxAhead:      "cowheap, protected ahead of the instant (the default)",
	"arming-tax/" + taxWholesale:  "cowheap, all protected at the instant",
	"arming-tax/" + taxFork:       "fork(2) of the process",
	"arming-tax/" + taxCopy:       "a full copy, writers held",
	"snapshot-tax/" + wayMap:      "cowheap Map",
	"snapshot-tax/" + wayBTree:    "cowheap BTree",
	"snapshot-tax/" + wayTidwall:  "tidwall/btree, Copy",
	"snapshot-tax/" + wayMemdb:    "go-memdb, Snapshot",
	"snapshot-tax/" + wayFullCopy: "Go map, all of it copied",
}

func (t *times) draw(c *canvas) {
	left, right := float64(margin+axisRoom), float64(plotWidth-margin-stripLabels)
	var ys []float64
	from, to := math.Inf(1), math.Inf(-1)
	for _, s := range t.strips {
		for _, line := range s.Lines {
			ys = append(ys, line...)
		}
		from = min(from, s.From)
		to = max(to, s.end())
	}
	x := axis{low: from, high: to, from: left, to: right, unit: "ms"}
	ticks := x.ticks()
	top := 0.0
	for _, s := range t.strips {
		top += stripHead
		s.draw(c, newAxis(ys, s.Unit, top+stripHeight, top), x, ticks)
		top += stripHeight
	}
	for _, v := range ticks {
		label := formatUnit(v, "ms")
		if v > 0 {
			label = "+" + label
		}
		c.text(x.at(v), top+17, "tick", "middle", label)
	}
	c.text((left+right)/2, top+36, "note", "middle", "time from the call that freezes the state")
}

// end is when the last window ends.
func (s *trace) end() float64 { return s.From + s.Step*float64(len(s.Lines[longest])) }

// draw draws one way between the ends of y.
func (s *strip) draw(c *canvas, y, x axis, ticks []float64) {
	top, bottom := y.to, y.from
	c.bar(x.at(0), top, x.at(min(max(s.Until, 0), x.high))-x.at(0), bottom-top, "shade")
	last := math.Inf(1)
	for _, v := range y.ticks() {
		at := y.at(v)
		c.line(x.from, at, x.to, at, "grid")
		if last-at >= lineStep {
			c.text(x.from-8, at+4, "tick", "end", formatUnit(v, s.Unit))
			last = at
		}
	}
	for _, v := range ticks {
		c.line(x.at(v), bottom, x.at(v), bottom+4, "axis")
	}
	c.line(x.from, bottom, x.to, bottom, "axis")
	c.line(x.at(0), top, x.at(0), bottom, "axis")
	c.text(x.from, top-8, "strong "+s.colour, "start", s.name)
	c.text(x.to, top-8, "tick", "end", s.sum())

	var labels []label
	for _, name := range traceLines {
		points := s.points(s.Lines[name], x, y)
		if len(points) == 0 {
			continue
		}
		c.path(points, s.colour+" "+name)
		end := points[len(points)-1]
		labels = append(labels, label{end[0], end[1], end[1], name, s.colour})
	}
	spread(labels, footStep, top+6, bottom)
	for _, l := range labels {
		c.line(l.x+1, l.at, x.to+8, l.y, "lead")
		c.text(x.to+11, l.y+4, "tick "+l.class, "start", l.text)
	}
}

// points are the steps of a line. A window in which nothing was under way is left out.
func (s *strip) points(values []float64, x, y axis) (points [][2]float64) {
	for i, v := range values {
		if v <= 0 {
			continue
		}
		begin := s.From + float64(i)*s.Step
		points = append(points, [2]float64{x.at(begin), y.at(v)}, [2]float64{x.at(begin + s.Step), y.at(v)})
	}
	return points
}

// sum is the longest operation of a window before the instant and after it.
func (s *strip) sum() string {
	before, after := s.worst()
	return fmt.Sprintf("longest: %s before, %s after", formatUnit(before, s.Unit), formatUnit(after, s.Unit))
}

// worst is the longest operation that was over before the instant, and that of the windows from it on.
func (s *trace) worst() (before, after float64) {
	values := s.Lines[longest]
	instant := min(int(max(-s.From, 0)/s.Step), len(values))
	for _, v := range values[instant:] {
		after = max(after, v)
	}
	// One that reaches into the instant fills windows before it, too.
	for instant > 0 && instant < len(values) && values[instant-1] == values[instant] {
		instant--
	}
	for _, v := range values[:instant] {
		before = max(before, v)
	}
	return before, after
}
