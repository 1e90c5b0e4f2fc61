package main

import (
	"math"
	"slices"
	"strconv"
	"strings"
)

// Figure is what the rounds of one variant come to.
type Figure struct {
	Variant Variant
	Samples []float64 // one a round
	Bytes   int64     // worked on; 0 where size does not matter
	Dirty   float64   // percent of its pages that are written each time; 0 where that is no question
	Skipped error     // why there are no samples
}

// Median is the middle of the samples, or halfway between the two in the
// middle; NaN if there are none.
func (f *Figure) Median() float64 {
	n := len(f.Samples)
	if n == 0 {
		return math.NaN()
	}
	s := slices.Sorted(slices.Values(f.Samples))
	if n%2 == 1 {
		return s[n/2]
	}
	return s[n/2-1]/2 + s[n/2]/2
}

// Min is the least sample. Preconditions: there are some.
func (f *Figure) Min() float64 { return slices.Min(f.Samples) }

// Max is the greatest sample. Preconditions: there are some.
func (f *Figure) Max() float64 { return slices.Max(f.Samples) }

// formatValue gives about four significant digits, thousands apart: 1,234,567,
// 123.4, 12.34, 1.234.
func formatValue(v float64) string {
	switch a := math.Abs(v); {
	case math.IsNaN(v), math.IsInf(v, 0):
		return "?"
	case a >= 1000:
		return groupThousands(strconv.FormatFloat(v, 'f', 0, 64))
	case a >= 100:
		return strconv.FormatFloat(v, 'f', 1, 64)
	case a >= 10:
		return strconv.FormatFloat(v, 'f', 2, 64)
	default:
		return strconv.FormatFloat(v, 'f', 3, 64)
	}
}

// formatRatio gives three significant digits.
func formatRatio(v float64) string {
	switch a := math.Abs(v); {
	case math.IsNaN(v), math.IsInf(v, 0):
		return "?"
	case a >= 100:
		return groupThousands(strconv.FormatFloat(v, 'f', 0, 64))
	case a >= 10:
		return strconv.FormatFloat(v, 'f', 1, 64)
	case a >= 0.1:
		return strconv.FormatFloat(v, 'f', 2, 64)
	default:
		return strconv.FormatFloat(v, 'g', 3, 64)
	}
}

func groupThousands(digits string) string {
	sign, digits := "", digits
	if strings.HasPrefix(digits, "-") {
		sign, digits = "-", digits[1:]
	}
	var groups []string
	for len(digits) > 3 {
		groups = append(groups, digits[len(digits)-3:])
		digits = digits[:len(digits)-3]
	}
	groups = append(groups, digits)
	slices.Reverse(groups)
	return sign + strings.Join(groups, ",")
}
