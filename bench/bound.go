package main

import (
	"fmt"
	"math"
)

// Bound says what the ratio of two variants of one run should be:
// Left Op Factor x Right, as in "userfault/4k <= 1.2 x ioctl/4k".
type Bound struct {
	Left   string
	Op     string // "<", "<=" or ">="
	Factor float64
	Right  string
}

func (b Bound) String() string {
	if b.Factor == 1 {
		return fmt.Sprintf("%s %s %s", b.Left, b.Op, b.Right)
	}
	return fmt.Sprintf("%s %s %v x %s", b.Left, b.Op, b.Factor, b.Right)
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
	Got   float64 // ratio of the medians; NaN if a variant was skipped
	OK    bool
}

// judge holds a bound against the figures.
func (b Bound) judge(figures []*Figure) Verdict {
	ratio := median(figures, b.Left) / median(figures, b.Right)
	return Verdict{Bound: b, Got: ratio, OK: !math.IsNaN(ratio) && b.holds(ratio)}
}

func (v Verdict) String() string {
	switch {
	case math.IsNaN(v.Got):
		return fmt.Sprintf("bound: %v: not measured", v.Bound)
	case v.OK:
		return fmt.Sprintf("bound: %v: %s ok", v.Bound, formatRatio(v.Got))
	}
	return fmt.Sprintf("bound: %v: %s missed", v.Bound, formatRatio(v.Got))
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
