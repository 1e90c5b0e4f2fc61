package main

import (
	"fmt"
	"io"
	"math"
	"strings"
	"unicode/utf8"
)

// Outcome is what became of one case.
type Outcome struct {
	Case     *Case
	Size     size
	Rounds   int
	Quick    bool
	Figures  []*Figure // in the order of the case's variants
	Verdicts []Verdict // of its bounds
}

// measured tells whether there is any figure.
func (o *Outcome) measured() bool {
	for _, f := range o.Figures {
		if len(f.Samples) > 0 {
			return true
		}
	}
	return false
}

// writeTable is the report for people.
func (o *Outcome) writeTable(w io.Writer) error {
	var b strings.Builder
	rounds := "1 round"
	if o.Rounds != 1 {
		rounds = fmt.Sprintf("%d rounds", o.Rounds)
	}
	fmt.Fprintf(&b, "%s: %s (%v, %s)\n", o.Case.Name, o.Case.About, o.Size, rounds)
	if o.Quick {
		b.WriteString("-quick: this shows that it runs; the figures mean nothing\n")
	}
	table := grid{{"variant", "unit", "median", "min", "max", "ratio"}}
	sizes := o.sizesDiffer()
	if sizes {
		table[0] = append(table[0], "size")
	}
	for _, f := range o.Figures {
		if len(f.Samples) == 0 {
			continue
		}
		row := []string{f.Variant.Name, f.Variant.Unit,
			formatValue(f.Median()), formatValue(f.Min()), formatValue(f.Max()), o.ratio(f)}
		if sizes {
			row = append(row, size(f.Bytes).String())
		}
		table = append(table, row)
	}
	if len(table) > 1 {
		table.write(&b)
	}
	for _, f := range o.Figures {
		if f.Skipped != nil {
			fmt.Fprintf(&b, "skipped: %s: %v\n", f.Variant.Name, f.Skipped)
		}
	}
	for _, v := range o.Verdicts {
		fmt.Fprintln(&b, v)
	}
	b.WriteString("\n")
	_, err := io.WriteString(w, b.String())
	return err
}

// ratio is a figure beside its reference, "" if there is none.
func (o *Outcome) ratio(f *Figure) string {
	ratio := f.Median() / median(o.Figures, f.Variant.Reference)
	if math.IsNaN(ratio) {
		return ""
	}
	return formatRatio(ratio) + " x " + f.Variant.Reference
}

// sizesDiffer tells whether a column is needed for what the title cannot say.
func (o *Outcome) sizesDiffer() bool {
	for _, f := range o.Figures {
		if f.Bytes != 0 && f.Bytes != int64(o.Size) {
			return true
		}
	}
	return false
}

// grid is a table: a row of titles and rows of cells, in columns of one width.
type grid [][]string

// Columns of words stand to the left, those of numbers to the right.
const (
	firstNumber = 2
	lastNumber  = 4
)

func (g grid) write(b *strings.Builder) {
	var widths []int
	for _, row := range g {
		for i, cell := range row {
			if i == len(widths) {
				widths = append(widths, 0)
			}
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	for _, row := range g {
		var line strings.Builder
		for i, cell := range row {
			pad := strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell))
			line.WriteString("  ")
			if firstNumber <= i && i <= lastNumber {
				line.WriteString(pad + cell)
			} else {
				line.WriteString(cell + pad)
			}
		}
		b.WriteString(strings.TrimRight(line.String(), " ") + "\n")
	}
}
