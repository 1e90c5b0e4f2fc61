package main

// rows put figures of one unit side by side: a row has a name at the left and one mark or
// several, each with its value beside it.
type rows struct {
	unit string
	keys []string // names of a row's marks, if there are several
	rows []row
}

type row struct {
	name  string
	marks []point // x is not used; low and high are zero for a mark that is missing
}

const (
	rowStep   = 25
	valueRoom = 92 // for the medians in figures, in a column at the right
)

// height is what the rows need.
func (r *rows) height() float64 {
	return float64(len(r.rows))*rowStep*r.lanes() + xAxisRoom + r.keyRoom()
}

// lanes is how many lines of marks a row has: two marks whose values would stand on each
// other need one each.
func (r *rows) lanes() float64 {
	if len(r.keys) > 1 {
		return 0.72*float64(len(r.keys)) + 0.28
	}
	return 1
}

func (r *rows) keyRoom() float64 {
	if len(r.keys) > 1 {
		return 26
	}
	return 0
}

func (r *rows) draw(c *canvas) {
	widest := 0.0
	var values []float64
	for _, row := range r.rows {
		widest = max(widest, textWidth(row.name))
		for _, m := range row.marks {
			values = append(values, m.y, m.low, m.high)
		}
	}
	left, right := margin+widest+14, float64(plotWidth-margin-valueRoom)
	top := r.keyRoom()
	height := rowStep * r.lanes()
	bottom := top + float64(len(r.rows))*height + 4
	x := newAxis(values, r.unit, left, right)
	last := -1e9
	for _, v := range x.ticks() {
		at := x.at(v)
		c.line(at, top-4, at, bottom, "grid")
		if label := formatUnit(v, r.unit); at-last > float64(len(label)+1)*letterWidth {
			c.text(at, bottom+17, "tick", "middle", label)
			last = at
		}
	}
	c.line(x.at(max(x.low, 0)), top-4, x.at(max(x.low, 0)), bottom, "axis")
	colours := r.colours()
	if len(r.keys) > 1 {
		at := left
		for k, key := range r.keys {
			c.mark(at+5, 4, k, colours(row{}, k))
			c.text(at+16, 8, colours(row{}, k), "start", key)
			at += textWidth(key) + 44
		}
	}
	for i, row := range r.rows {
		middle := top + (float64(i)+0.5)*height
		if i > 0 {
			c.line(margin, middle-height/2, plotWidth-margin, middle-height/2, "grid")
		}
		c.text(left-10, middle+4, "name", "end", row.name)
		for k, m := range row.marks {
			if m == (point{}) {
				continue
			}
			y := middle
			if n := len(row.marks); n > 1 {
				y += (float64(k) - float64(n-1)/2) * rowStep * 0.72
			}
			class := colours(row, k)
			if x.log {
				c.line(x.at(m.low), y, x.at(m.high), y, "span "+class)
			} else {
				from, to := x.at(0), x.at(m.y)
				c.bar(min(from, to), y-6, max(from, to)-min(from, to), 12, class)
				c.line(x.at(m.low), y, x.at(m.high), y, "lead")
			}
			if x.log {
				c.mark(x.at(m.y), y, k, class)
			}
			c.text(plotWidth-margin, y+4, "value "+class, "end", formatUnit(m.y, r.unit))
		}
	}
	note := "linear, from zero"
	if x.log {
		note = "logarithmic"
	}
	c.text((left+right)/2, bottom+36, "foot", "middle", note)
}

// colours is by mark where a row has several, else by the row's name.
func (r *rows) colours() func(row, int) string {
	if len(r.keys) > 1 {
		p := newPalette(r.keys)
		return func(_ row, k int) string { return p[r.keys[k]] }
	}
	return func(one row, _ int) string {
		if colour := wayColour(one.name); colour != "" {
			return colour
		}
		return "c3"
	}
}
