package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// linesOf is a file of lines: a reference that takes 100, and what is measured beside it.
func linesOf(t *testing.T, unit string, scale float64, samples ...float64) string {
	t.Helper()
	var b strings.Builder
	list := func(v []float64) string { return strings.ReplaceAll(fmt.Sprint(v), " ", ",") }
	reference := make([]float64, len(samples))
	for i := range reference {
		reference[i] = 100 * scale
		samples[i] *= scale
	}
	fmt.Fprintf(&b, `{"case":"c","variant":"ref","unit":%q,"value":%v,"reference":"ref","samples":%s}`+"\n", unit, 100*scale, list(reference))
	fmt.Fprintf(&b, `{"case":"c","variant":"v","unit":%q,"value":%v,"reference":"ref","samples":%s}`+"\n", unit, samples[0], list(samples))
	name := filepath.Join(t.TempDir(), "lines.jsonl")
	if err := os.WriteFile(name, []byte(b.String()), 0o666); err != nil {
		t.Fatal(err)
	}
	return name
}

func TestCompare(t *testing.T) {
	old := []float64{10, 11, 12, 10.5, 11.5}
	for _, c := range []struct {
		name      string
		unit      string
		old, now  []float64
		scale     float64 // of the new machine
		regressed bool
		says      string
	}{
		{"the same", "ns", old, []float64{11, 10, 12, 11.5, 10.5}, 1, false, "1 ratios compared, 0 regressed"},
		{"five times as slow", "ns", old, []float64{50, 55, 60, 52, 57}, 1, true, "REGRESSED"},
		{"a machine that is ten times as slow", "ns", old, []float64{11, 10, 12, 11.5, 10.5}, 10, false, "0 regressed"},
		{"a little slower, within the bound", "ns", old, []float64{20, 21, 22, 20.5, 21.5}, 1, false, "worse"},
		{"faster", "ns", old, []float64{2, 2.1, 2.2, 2.3, 2.4}, 1, false, "better"},
		{"one round of five is slow", "ns", old, []float64{10, 11, 500, 10.5, 11.5}, 1, false, "0 regressed"},
		{"a fifth of the rate", "GB/s", old, []float64{2, 2.1, 2.2, 2.3, 2.4}, 1, true, "REGRESSED"},
		{"three times the operations a millisecond", "1/ms", old, []float64{30, 33, 36, 31, 34}, 1, false, "better"},
		{"three times the rate", "GB/s", old, []float64{30, 33, 36, 31, 34}, 1, false, "better"},
		{"slower, too few rounds and not apart", "ns", []float64{10, 30}, []float64{60, 40}, 1, false, "0 regressed"},
		{"slower, too few rounds and apart", "ns", []float64{10, 12}, []float64{60, 80}, 1, true, "1 regressed"},
		{"a rate, too few rounds and apart", "GB/s", []float64{60, 80}, []float64{10, 12}, 1, true, "1 regressed"},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := linesOf(t, c.unit, 1, append([]float64(nil), c.old...)...)
			b := linesOf(t, c.unit, c.scale, append([]float64(nil), c.now...)...)
			var out bytes.Buffer
			err := command(t.Context(), nil, []string{"compare", a, b}, &out, io.Discard)
			if got := errors.Is(err, errRegressed); got != c.regressed || err != nil && !got {
				t.Errorf("error %v", err)
			}
			if !strings.Contains(out.String(), c.says) {
				t.Errorf("no %q in\n%s", c.says, out.String())
			}
		})
	}
}

func TestCompareRefusesWhatItCannotCompare(t *testing.T) {
	a := linesOf(t, "ns", 1, 1, 2, 3, 4)
	other := filepath.Join(t.TempDir(), "other.jsonl")
	if err := os.WriteFile(other, []byte(`{"case":"d","variant":"v","unit":"ns","value":1}`), 0o666); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{a}, "want two"},
		{[]string{a, a, a}, "want two"},
		{[]string{"-bound", "1", a, a}, "want more than 1"},
		{[]string{a, other}, "no ratio in common"},
		{[]string{a, a + ".gone"}, "no such file"},
	} {
		if err := compare(c.args, io.Discard, io.Discard); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v: error %v, want one with %q", c.args, err, c.want)
		}
	}
}

// TestPIsThatOfTheMannWhitneyTest holds the p against the exact one: five against
// five that do not overlap are one outcome of 252, and it has two sides.
func TestPIsThatOfTheMannWhitneyTest(t *testing.T) {
	c := newChange("", []float64{1, 2, 3, 4, 5}, []float64{6, 7, 8, 9, 10}, false)
	if math.Abs(c.p-2.0/252) > 1e-6 {
		t.Errorf("p is %v, not %v", c.p, 2.0/252)
	}
	if c = newChange("", []float64{1, 2, 3}, []float64{6, 7, 8}, false); !math.IsNaN(c.p) {
		t.Errorf("p is %v of three rounds", c.p)
	}
}

func TestRatiosAreOfTheSameRound(t *testing.T) {
	c := &measuredCase{Figures: []figureLine{
		{Variant: "ref", Reference: "ref", Samples: []float64{10, 20, 40}},
		{Variant: "v", Reference: "ref", Samples: []float64{5, 10, 20}},
		{Variant: "short", Reference: "ref", Samples: []float64{5}},
		{Variant: "zero", Reference: "ref", Samples: []float64{5, 0, 1}},
		{Variant: "alone", Samples: []float64{5, 0, 1}},
	}}
	for i, want := range []int{0, 3, 0, 0, 0} {
		got := c.ratios(c.Figures[i])
		if len(got) != want {
			t.Errorf("%s: %v", c.Figures[i].Variant, got)
		}
		for _, r := range got {
			if r != 0.5 {
				t.Errorf("%v", got)
			}
		}
	}
}
