package main

import (
	"math"
	"slices"
	"strings"
	"testing"
)

func TestMedian(t *testing.T) {
	for _, c := range []struct {
		samples []float64
		want    float64
	}{
		{[]float64{3}, 3},
		{[]float64{5, 1}, 3},
		{[]float64{9, 1, 4}, 4},
		{[]float64{4, 1, 3, 1000}, 3.5},
		{[]float64{math.MaxFloat64, math.MaxFloat64}, math.MaxFloat64},
	} {
		f := Figure{Samples: slices.Clone(c.samples)}
		if got := f.Median(); got != c.want {
			t.Errorf("median of %v is %v, want %v", c.samples, got, c.want)
		}
		if !slices.Equal(f.Samples, c.samples) {
			t.Errorf("%v was reordered to %v", c.samples, f.Samples)
		}
	}
	if got := new(Figure).Median(); !math.IsNaN(got) {
		t.Errorf("median of nothing is %v", got)
	}
}

func TestValuesAreReadable(t *testing.T) {
	for v, want := range map[float64]string{
		0: "0.000", 0.8256: "0.826", 2.5: "2.500", 12.345: "12.35", 123.44: "123.4", 999.96: "1000.0",
		1000: "1,000", 1234567.8: "1,234,568", -1234: "-1,234", math.Inf(1): "?",
	} {
		if got := formatValue(v); got != want {
			t.Errorf("%v is written %q, want %q", v, got, want)
		}
	}
	for v, want := range map[float64]string{
		0.000965: "0.000965", 0.0184: "0.0184", 0.152: "0.15", 1: "1.00", 4.872: "4.87", 53.12: "53.1", 146000: "146,000",
	} {
		if got := formatRatio(v); got != want {
			t.Errorf("ratio %v is written %q, want %q", v, got, want)
		}
	}
}

func TestBoundsAreHeldAgainstMedians(t *testing.T) {
	figures := []*Figure{
		{Variant: Variant{Name: "a"}, Samples: []float64{1, 12, 100}},
		{Variant: Variant{Name: "b"}, Samples: []float64{10, 10, 10}},
		{Variant: Variant{Name: "none"}},
	}
	for _, c := range []struct {
		bound Bound
		want  string
	}{
		{Bound{"a", "<=", 1.2, "b"}, "bound: a <= 1.2 x b: 1.20 ok"},
		{Bound{"a", "<=", 1.1, "b"}, "bound: a <= 1.1 x b: 1.20 missed"},
		{Bound{"a", ">=", 1.2, "b"}, "bound: a >= 1.2 x b: 1.20 ok"},
		{Bound{"a", ">=", 8, "b"}, "bound: a >= 8 x b: 1.20 missed"},
		{Bound{"b", "<", 1, "a"}, "bound: b < a: 0.83 ok"},
		{Bound{"b", "<", 1, "b"}, "bound: b < b: 1.00 missed"},
		{Bound{"a", "<", 1, "none"}, "bound: a < none: not measured"},
		{Bound{"gone", "<", 1, "a"}, "bound: gone < a: not measured"},
		{Bound{"a", "<=", 5000, ""}, "bound: a <= 5,000: 12.00 ok"},
		{Bound{"a", "<=", 11, ""}, "bound: a <= 11.00: 12.00 missed"},
		{Bound{"none", "<=", 11, ""}, "bound: none <= 11.00: not measured"},
		{Bound{"a", "<=", 1.2, leastOf([]string{"a", "b"})}, "bound: a <= 1.2 x least of a, b: 1.20 ok"},
		{Bound{"b", "<=", 1, leastOf([]string{"a", "b"})}, "bound: b <= least of a, b: 1.00 ok"},
		{Bound{"a", "<=", 1.2, leastOf([]string{"b", "none"})}, "bound: a <= 1.2 x least of b, none: not measured"},
	} {
		if got := c.bound.judge(figures).String(); got != c.want {
			t.Errorf("%q, want %q", got, c.want)
		}
	}
}

func TestSampleIsDistinctAndAlwaysTheSame(t *testing.T) {
	a, b := samplePages(1000, 250), samplePages(1000, 250)
	if !slices.Equal(a, b) {
		t.Error("two samples differ")
	}
	if slices.IsSorted(a) {
		t.Error("the sample is in order")
	}
	slices.Sort(b)
	if got := len(slices.Compact(b)); got != 250 || b[249] >= 1000 {
		t.Errorf("%d distinct pages up to %d", got, b[249])
	}
}

func TestBoundIsWithinWhatIsMeasured(t *testing.T) {
	b := Bound{"auto/1", "<=", 1, leastOf([]string{"ahead/1", "fork/1"})}
	for names, want := range map[string]bool{"auto/1 ahead/1 fork/1": true, "fork/1 other ahead/1 auto/1": true, "auto/1 ahead/1": false, "ahead/1 fork/1": false, "": false} {
		var figures []*Figure
		for name := range strings.FieldsSeq(names) {
			figures = append(figures, &Figure{Variant: Variant{Name: name}})
		}
		if got := b.within(figures); got != want {
			t.Errorf("within %q: %v, want %v", names, got, want)
		}
	}
}

// TestReportOfEverythingLeavesAside what a case says, and no more; who names the case gets all.
func TestReportOfEverythingLeavesAside(t *testing.T) {
	c := &Case{Aside: []string{"forced/"}, Variants: []Variant{{Name: "auto/1"}, {Name: "forced/1"}, {Name: "fork/1"}}}
	for _, one := range []struct {
		s    settings
		want int
	}{{settings{}, 3}, {settings{brief: true}, 2}, {settings{only: "forced"}, 1}, {settings{only: "none"}, 0}} {
		if got := one.s.variants(c); len(got) != one.want {
			t.Errorf("%+v: %+v, want %d", one.s, got, one.want)
		}
	}
}
