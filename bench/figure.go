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
	Traces  []*trace  // one a round, by those variants that have them
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

// Trace is that of the round whose sample is the nearest to the median: a stall that comes at another time
// in each round would be gone from a median of all. nil if there is none.
func (f *Figure) Trace() (one *trace) {
	middle, nearest := f.Median(), math.Inf(1)
	for i, t := range f.Traces {
		if d := math.Abs(f.Samples[i] - middle); t != nil && d < nearest {
			one, nearest = t, d
		}
	}
	return one
}

// Min is the least sample. Preconditions: there are some.
func (f *Figure) Min() float64 { return slices.Min(f.Samples) }

// Max is the greatest sample. Preconditions: there are some.
func (f *Figure) Max() float64 { return slices.Max(f.Samples) }

// digits says how many digits after the point a number has that is at least from.
type digits struct {
	from  float64
	after int
}

// formatDigits writes a number by the first of the steps that it reaches, with thousands apart; small writes
// what reaches none.
func formatDigits(v float64, steps []digits, small func(float64) string) string {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return "?"
	}
	for _, s := range steps {
		if math.Abs(v) < s.from {
			continue
		}
		written := strconv.FormatFloat(v, 'f', s.after, 64)
		if s.after == 0 {
			written = groupThousands(written)
		}
		return written
	}
	return small(v)
}

// significantDigits writes n digits, with an exponent if need be.
func significantDigits(n int) func(float64) string {
	return func(v float64) string { return strconv.FormatFloat(v, 'g', n, 64) }
}

// formatValue gives about four significant digits, thousands apart: 1,234,567,
// 123.4, 12.34, 1.234.
func formatValue(v float64) string {
	return formatDigits(v, []digits{{1000, 0}, {100, 1}, {10, 2}, {0, 3}}, nil)
}

// formatRatio gives three significant digits.
func formatRatio(v float64) string {
	return formatDigits(v, []digits{{100, 0}, {10, 1}, {0.1, 2}}, significantDigits(3))
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
