package main

import (
	"math"
	"slices"
	"testing"
)

func TestValuesAreWrittenInUnitsThatPeopleRead(t *testing.T) {
	for _, c := range []struct {
		v    float64
		unit string
		want string
	}{
		{0, "ns", "0"}, {300, "ns", "300 ns"}, {100_000, "ns", "100 us"}, {1000, "us", "1 ms"}, {0.25, "ms", "250 us"},
		{16.7, "ms", "16.7 ms"}, {1500, "ms", "1.5 s"}, {12_345_678, "ns", "12.3 ms"},
		{512, "MiB", "512 MiB"}, {1536, "MiB", "1.5 GiB"}, {64 * mib, "B", "64 MiB"},
		{3.08, "GB/s", "3.08 GB/s"}, {0.1, "%", "0.1%"}, {20_000, "ops/s", "20,000 ops/s"},
	} {
		if got := formatUnit(c.v, c.unit); got != c.want {
			t.Errorf("%v %s: %q, want %q", c.v, c.unit, got, c.want)
		}
	}
	for bytes, want := range map[float64]string{64 * mib: "64 MiB", 16 * gib: "16 GiB", 1 << 40: "1 TiB", 512: "512 B", 4096: "4 KiB"} {
		if got := formatSize(bytes); got != want {
			t.Errorf("%v: %q, want %q", bytes, got, want)
		}
	}
}

func TestAxisIsLogarithmicWhereValuesAreFarApart(t *testing.T) {
	a := newAxis([]float64{20_000, 200e6}, "ns", 0, 400)
	if !a.log || !slices.Equal(a.ticks(), []float64{100_000, 1e6, 10e6, 100e6}) {
		t.Errorf("%+v: %v", a, a.ticks())
	}
	if at := a.at(2e6); at < 199 || at > 201 {
		t.Errorf("the middle of the powers of ten is at %v of 400", at)
	}
	if a.at(0) != 0 {
		t.Errorf("nothing is at %v", a.at(0))
	}
	a = newAxis([]float64{3, 4.4}, "GB/s", 0, 400)
	if a.log || !slices.Equal(a.ticks(), []float64{0, 1, 2, 3, 4}) || a.at(0) != 0 {
		t.Errorf("%+v: %v", a, a.ticks())
	}
	a = newAxis([]float64{-2, 4}, "MiB", 0, 400)
	if a.log || a.at(-2) < 0 || !slices.Contains(a.ticks(), 0) {
		t.Errorf("%+v: %v", a, a.ticks())
	}
	for _, v := range newAxis(nil, "ns", 0, 1).ticks() {
		if math.IsNaN(v) {
			t.Error("an axis of nothing has ticks that are no numbers")
		}
	}
}

func TestLabelsDoNotOverlap(t *testing.T) {
	labels := []label{{y: 100}, {y: 101}, {y: 99}, {y: 379}, {y: 380}}
	spread(labels, 18, 0, 380)
	for i, l := range labels {
		if l.y < 0 || l.y > 380 || i > 0 && l.y-labels[i-1].y < 18 {
			t.Errorf("%+v", labels)
		}
	}
}

func TestNumbersAtTheEndOfNamesMakeLines(t *testing.T) {
	figures := []figureLine{
		{Variant: "pause/8GiB", Value: 3}, {Variant: "pause/64MiB", Value: 1}, {Variant: "pause/1GiB", Value: 2},
		{Variant: "writers/2"}, {Variant: "writers/1"}, // too few
		{Variant: "plain"}, {Variant: "lazy-open/small"},
	}
	grown, sizes, others := seriesOf(figures)
	if len(grown) != 1 || !sizes || len(others) != 4 {
		t.Fatalf("%+v, %v, %+v", grown, sizes, others)
	}
	want := []point{{x: 64 * mib, y: 1}, {x: gib, y: 2}, {x: 8 * gib, y: 3}}
	if grown[0].name != "pause" || !slices.Equal(grown[0].points, want) {
		t.Errorf("%+v", grown[0])
	}
}

func TestWaysThatDoTheSameStandSideBySide(t *testing.T) {
	var figures []figureLine
	for _, name := range []string{"map/get", "map/set", "btree/get", "btree/set", "btree/range", "go-map/get"} {
		figures = append(figures, figureLine{Variant: name, Unit: "ns", Value: 1, Min: 1, Max: 2})
	}
	r := sideBySide(figures)
	if r == nil || !slices.Equal(r.keys, []string{"map", "btree", "go-map"}) || len(r.rows) != 3 || r.unit != "ns" {
		t.Fatalf("%+v", r)
	}
	if m := r.rows[2].marks; r.rows[2].name != "range" || m[0] != (point{}) || m[1].y != 1 {
		t.Errorf("%+v", r.rows[2])
	}
	if r := sideBySide(append(figures, figureLine{Variant: "alone"})); r != nil {
		t.Errorf("%+v with a name that has one part", r)
	}
	if r := sideBySide([]figureLine{{Variant: "a/x"}, {Variant: "b/y"}, {Variant: "c/z"}}); r != nil {
		t.Errorf("%+v where nothing is done twice", r)
	}
}

func TestNamesOfOnePlotHaveColoursOfTheirOwn(t *testing.T) {
	names := []string{"userfault/4k", "userfault/thp", "fork/4k", "copy/4k", "new", "shadow", "wholesale: all", "mprotect"}
	p, seen := newPalette(names), map[string]string{}
	for _, n := range names {
		if p[n] == "" || seen[p[n]] != "" {
			t.Errorf("%s has %q, which %q has", n, p[n], seen[p[n]])
		}
		seen[p[n]] = n
	}
	if p["fork/4k"] != "c2" || p["userfault/4k"] != "c1" {
		t.Errorf("%v", p)
	}
	// More names than colours: every name has one.
	many := newPalette([]string{"1", "2", "3", "4", "5", "6", "7", "8", "9", "10"})
	if many["10"] == "" {
		t.Error("a name without a colour")
	}
}

func TestFitOfALine(t *testing.T) {
	f := fitLine([]point{{x: 1, y: 5}, {x: 2, y: 7}, {x: 4, y: 11}})
	if math.Abs(f.a-3) > 1e-9 || math.Abs(f.b-2) > 1e-9 || math.Abs(f.r2-1) > 1e-9 || math.Abs(f.residual) > 1e-9 || f.poor() {
		t.Errorf("%+v of 3 + 2x", f)
	}
	// By hand: a = 1/3, b = 1/2, the middle one is 2/3 too low, or rather the line is 4/3 there.
	f = fitLine([]point{{x: 1, y: 1}, {x: 2, y: 1}, {x: 3, y: 2}})
	if math.Abs(f.a-1.0/3) > 1e-9 || math.Abs(f.b-0.5) > 1e-9 || math.Abs(f.r2-0.75) > 1e-9 || math.Abs(f.residual+1.0/3) > 1e-9 || f.at != 2 {
		t.Errorf("%+v", f)
	}
	if f = fitLine([]point{{x: 1, y: 4}, {x: 2, y: 4}, {x: 3, y: 4}}); f.b != 0 || !math.IsNaN(f.r2) || !f.poor() {
		t.Errorf("%+v of a constant", f)
	}
	if f = fitLine([]point{{x: 1, y: 9}, {x: 2, y: 5}, {x: 3, y: 1}}); !f.poor() {
		t.Errorf("%+v falls, and is to be extrapolated", f)
	}
}
