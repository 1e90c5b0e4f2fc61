package main

import (
	"fmt"
	"math"
	"slices"
	"strings"
)

// Bound says what the ratio of two variants of one run should be:
// Left Op Factor x Right, as in "userfault/4k <= 1.2 x ioctl/4k".
//
// Right may be leastOf several variants. Without a Right, Factor is what Left's
// figure itself is compared with, in Left's unit.
type Bound struct {
	Left   string
	Op     string // "<", "<=" or ">="
	Factor float64
	Right  string
}

const (
	least     = "least of "
	leastNext = ", "
)

// leastOf is a Bound's Right that stands for the smallest figure of several variants.
func leastOf(variants []string) string { return least + strings.Join(variants, leastNext) }

// rights are the variants that the bound compares with.
func (b Bound) rights() []string {
	if b.Right == "" {
		return nil
	}
	if several, ok := strings.CutPrefix(b.Right, least); ok {
		return strings.Split(several, leastNext)
	}
	return []string{b.Right}
}

func (b Bound) String() string {
	switch {
	case b.Right == "":
		return fmt.Sprintf("%s %s %s", b.Left, b.Op, formatValue(b.Factor))
	case b.Factor == 1:
		return fmt.Sprintf("%s %s %s", b.Left, b.Op, b.Right)
	}
	return fmt.Sprintf("%s %s %v x %s", b.Left, b.Op, b.Factor, b.Right)
}

// within tells whether all variants of the bound are to be measured.
func (b Bound) within(figures []*Figure) bool {
	for _, name := range append(b.rights(), b.Left) {
		if !slices.ContainsFunc(figures, func(f *Figure) bool { return f.Variant.Name == name }) {
			return false
		}
	}
	return true
}

// holds compares a ratio with the bound.
func (b Bound) holds(ratio float64) bool {
	switch b.Op {
	case "<":
		return ratio < b.Factor
	case "<=":
		return ratio <= b.Factor
	case ">=":
		return ratio >= b.Factor
	}
	panic("bench: no operator " + b.Op)
}

// Verdict is what a run says to a bound.
type Verdict struct {
	Bound Bound
	Got   float64 // ratio of the medians, or Left's; NaN if a variant was skipped
	OK    bool
}

// judge holds a bound against the figures.
func (b Bound) judge(figures []*Figure) Verdict {
	got := median(figures, b.Left)
	if rights := b.rights(); len(rights) > 0 {
		right := math.Inf(1)
		for _, name := range rights {
			right = min(right, median(figures, name)) // NaN if any is
		}
		got /= right
	}
	return Verdict{Bound: b, Got: got, OK: !math.IsNaN(got) && b.holds(got)}
}

func (v Verdict) String() string {
	got := formatRatio(v.Got)
	if v.Bound.Right == "" {
		got = formatValue(v.Got)
	}
	switch {
	case math.IsNaN(v.Got):
		return fmt.Sprintf("bound: %v: not measured", v.Bound)
	case v.OK:
		return fmt.Sprintf("bound: %v: %s ok", v.Bound, got)
	}
	return fmt.Sprintf("bound: %v: %s missed", v.Bound, got)
}

// median is that of the variant called name, NaN if there is none.
func median(figures []*Figure, name string) float64 {
	for _, f := range figures {
		if f.Variant.Name == name {
			return f.Median()
		}
	}
	return math.NaN()
}
