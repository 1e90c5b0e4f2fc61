package main

import (
	"encoding/xml"
	"fmt"
	"io"
	"strings"
	"unicode"
)

// canvas collects the elements of an SVG.
type canvas struct {
	b strings.Builder
}

const (
	plotWidth = 900
	margin    = 24
	lineStep  = 18 // from one line of text to the next
	footStep  = 15
	// letterWidth is a little more than a letter takes in the mean, so that text has room
	// whatever the font, and capitalWidth what a large one does.
	letterWidth  = 7.2
	capitalWidth = 10
)

// textWidth is the room that a name needs.
func textWidth(s string) (width float64) {
	for _, r := range s {
		if unicode.IsUpper(r) || r == '_' {
			width += capitalWidth
		} else {
			width += letterWidth
		}
	}
	return width
}

// write is the whole picture, with its title above and the foot below.
func (p *plot) write(w io.Writer, foot []string) error {
	c := new(canvas)
	top := float64(margin + 10)
	const titleLetters = 88
	heading := wrapText(p.heading(), titleLetters)
	if len(heading) > 1 { // what stands in brackets is not torn apart
		heading = append(wrapText(p.title, titleLetters), p.better())
	}
	for i, line := range heading {
		if i > 0 {
			top += lineStep + 4
		}
		c.text(margin, top, "title", "start", line)
	}
	top += 4
	for _, line := range wrapText(p.note, 118) {
		top += lineStep
		c.text(margin, top, "note", "start", line)
	}
	top += 14
	fmt.Fprintf(&c.b, `<g transform="translate(0 %.1f)">`, top)
	p.draw(c)
	c.b.WriteString("</g>\n")
	top += p.height + 10
	for _, paragraph := range foot {
		for _, line := range wrapText(paragraph, 140) {
			top += footStep
			c.text(margin, top, "foot", "start", line)
		}
	}
	height := top + margin/2
	_, err := fmt.Fprintf(w, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %.0f" width="%[1]d" height="%.0[2]f" role="img">
<title>%s</title>
<style>%s</style>
<rect class="ground" width="100%%" height="100%%"/>
%s</svg>
`, plotWidth, height, escape(p.heading()), style, c.b.String())
	return err
}

// text stands on the line y. anchor is start, middle or end.
func (c *canvas) text(x, y float64, class, anchor, s string) {
	fmt.Fprintf(&c.b, `<text x="%.1f" y="%.1f" class="%s" text-anchor="%s">%s</text>`+"\n", x, y, class, anchor, escape(s))
}

func (c *canvas) line(x1, y1, x2, y2 float64, class string) {
	fmt.Fprintf(&c.b, `<line x1="%.1f" y1="%.1f" x2="%.1f" y2="%.1f" class="%s"/>`+"\n", x1, y1, x2, y2, class)
}

func (c *canvas) bar(x, y, width, height float64, class string) {
	fmt.Fprintf(&c.b, `<rect x="%.1f" y="%.1f" width="%.1f" height="%.1f" class="bar %s"/>`+"\n", x, y, max(width, 1), height, class)
}

// path joins points.
func (c *canvas) path(points [][2]float64, class string) {
	var d strings.Builder
	for i, p := range points {
		fmt.Fprintf(&d, "%c%.1f %.1f", "ML"[min(i, 1)], p[0], p[1])
	}
	fmt.Fprintf(&c.b, `<path d="%s" class="line %s"/>`+"\n", d.String(), class)
}

// mark is a sign at a point: shape tells series apart for those who see no colours.
func (c *canvas) mark(x, y float64, shape int, class string) {
	const r = 4.5
	switch shape % 4 {
	case 0:
		fmt.Fprintf(&c.b, `<circle cx="%.1f" cy="%.1f" r="%.1f" class="mark %s"/>`+"\n", x, y, r, class)
	case 1:
		fmt.Fprintf(&c.b, `<rect x="%.1f" y="%.1f" width="%.1f" height="%.1f" class="mark %s"/>`+"\n", x-r, y-r, 2*r, 2*r, class)
	case 2:
		fmt.Fprintf(&c.b, `<path d="M%.1f %.1fl%.1f %.1fh%.1fz" class="mark %s"/>`+"\n", x, y-r-1, r+1, 2*r+1, -2*(r+1), class)
	case 3:
		fmt.Fprintf(&c.b, `<path d="M%.1f %.1fl%.1f %.1fl%.1f %.1fl%.1f %.1fz" class="mark %s"/>`+"\n", x, y-r-1.5, r+1.5, r+1.5, -r-1.5, r+1.5, -r-1.5, -r-1.5, class)
	}
}

func escape(s string) string {
	var b strings.Builder
	xml.EscapeText(&b, []byte(s)) // a strings.Builder does not fail
	return b.String()
}

// wrapText breaks text at spaces into lines of at most so many letters, if it can.
func wrapText(text string, letters int) (lines []string) {
	line := ""
	for word := range strings.FieldsSeq(text) {
		if line != "" && len(line)+1+len(word) > letters {
			lines = append(lines, line)
			line = ""
		}
		if line != "" {
			line += " "
		}
		line += word
	}
	if line != "" {
		lines = append(lines, line)
	}
	return lines
}
