package main

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// finding puts two figures of a case beside each other: what a reader is to see first.
type finding struct {
	what             string // what is compared, with its size if the name of the variant has one
	left, leftName   string // variant, and what a stranger calls it
	right, rightName string
}

// beside is what became of a finding.
type beside struct {
	finding
	l, r  *figureLine
	ratio float64 // of left to right, in one unit
}

// of finds the figures; ok is false if one is missing, or is nothing.
func (f finding) of(c *measuredCase) (b beside, ok bool) {
	b = beside{finding: f, l: c.figure(f.left), r: c.figure(f.right)}
	if b.l == nil || b.r == nil || b.l.Value <= 0 || b.r.Value <= 0 {
		return b, false
	}
	b.ratio = b.l.Value / b.r.Value
	if b.l.Unit != b.r.Unit {
		b.ratio *= nanoseconds[b.l.Unit] / nanoseconds[b.r.Unit]
	}
	return b, true
}

func (b beside) leftValue() string  { return formatUnit(b.l.Value, b.l.Unit) }
func (b beside) rightValue() string { return formatUnit(b.r.Value, b.r.Unit) }

// farther is how many times worse than the right one the left one is.
func (b beside) farther() float64 {
	if moreIsBetter(b.l.Unit) {
		return 1 / b.ratio
	}
	return b.ratio
}

// writeFindings is a sentence and a table of ratios, if there is anything to compare.
func (c *measuredCase) writeFindings(b *strings.Builder) {
	var all []beside
	for _, f := range findings[c.Case] {
		if one, ok := f.of(c); ok {
			all = append(all, one)
		}
	}
	if len(all) == 0 {
		if c.Failed == "" && len(c.Figures) > 0 {
			fmt.Fprintf(b, "%s.\n\n", capital(cmp.Or(c.About, c.Case)))
		}
		return
	}
	one := all[0]
	fmt.Fprintf(b, "%s: %s %s, %s %s.\n\n", one.what, one.leftName, one.leftValue(), one.rightName, one.rightValue())
	b.WriteString("| | | beside it | ratio |\n|---|---|---|---:|\n")
	for _, one := range all {
		fmt.Fprintf(b, "| %s | %s: %s | %s: %s | %s x |\n", cell(one.what), one.leftName, one.leftValue(), one.rightName, one.rightValue(), formatRatio(one.ratio))
	}
	b.WriteString("\n")
}

// writeLimits is a table of all that can be held against a limit, the farthest from it first.
func (m *measurements) writeLimits(b *strings.Builder) {
	type row struct {
		where string
		beside
	}
	var all []row
	var none []string
	for _, c := range m.Cases {
		before := len(all)
		for _, f := range limits[c.Case] {
			if one, ok := f.of(c); ok {
				all = append(all, row{c.Case, one})
			}
		}
		if len(all) == before {
			none = append(none, c.Case)
		}
	}
	if len(all) == 0 {
		return
	}
	slices.SortStableFunc(all, func(a, b row) int { return cmp.Compare(b.farther(), a.farther()) })
	b.WriteString("## How far from its limit\n\nEach figure beside what bounds it, measured in the same run, the farthest first. " +
		"Below 1 the work is done at another time: ahead of the instant, or at the next one.\n\n" +
		"| case | what | figure | limit | times the limit |\n|---|---|---:|---|---:|\n")
	for _, r := range all {
		fmt.Fprintf(b, "| %s | %s | %s | %s: %s | %s |\n", r.where, cell(r.what), r.leftValue(), r.rightName, r.rightValue(), formatRatio(r.farther()))
	}
	b.WriteString("\n")
	if len(none) > 0 {
		fmt.Fprintf(b, "No limit was measured beside: %s.\n\n", strings.Join(none, ", "))
	}
}
