package main

import (
	"slices"
	"strings"
	"testing"
)

// TestFindingsAreOfVariantsThatThereAre: a variant that is called otherwise now would leave a hole in the
// report that nobody sees.
func TestFindingsAreOfVariantsThatThereAre(t *testing.T) {
	all := cases()
	for kind, of := range map[string]map[string][]finding{"finding": findings, "limit": limits} {
		for name, each := range of {
			i := slices.IndexFunc(all, func(c *Case) bool { return c.Name == name })
			if i < 0 {
				t.Errorf("%s of %s, which is no case", kind, name)
				continue
			}
			for _, f := range each {
				units := map[string]string{}
				for _, v := range all[i].Variants {
					units[v.Name] = v.Unit
				}
				left, right := units[f.left], units[f.right]
				if left == "" || right == "" || left != right && (nanoseconds[left] == 0 || nanoseconds[right] == 0) {
					t.Errorf("%s of %s compares %s in %q with %s in %q", kind, name, f.left, left, f.right, right)
				}
			}
		}
	}
	for _, c := range all {
		if len(findings[c.Name]) == 0 {
			t.Errorf("%s has nothing for a reader to see first", c.Name)
		}
	}
}

// TestLimitsBeginWithTheFarthest also where more is better, and in units of time that differ.
func TestLimitsBeginWithTheFarthest(t *testing.T) {
	figures := func(name, unit string, value float64) figureLine {
		return figureLine{Variant: name, Unit: unit, Value: value}
	}
	m := &measurements{Cases: []*measuredCase{
		{caseLine: caseLine{Case: "checkpoint"}, Figures: []figureLine{figures(checkpointHeap, "GB/s", 1), figures(checkpointPlain, "GB/s", 4)}},
		{caseLine: caseLine{Case: "growth"}, Figures: []figureLine{figures("arming/userfault/4k/4GiB", "ms", 80), figures("pause/wholesale/4k/4GiB", "ns", 40e6)}},
		{caseLine: caseLine{Case: "redis"}, Figures: []figureLine{figures("cowheap/during/longest", "us", 900), figures("cowheap/before/longest", "us", 100)}},
		{caseLine: caseLine{Case: "seed"}},
	}}
	var b strings.Builder
	m.writeLimits(&b)
	last := -1
	for _, want := range []string{"| redis |", "| 9.00 |", "| checkpoint |", "| 4.00 |", "| growth |", "| 2.00 |", "No limit was measured beside: seed."} {
		at := strings.Index(b.String(), want)
		if at <= last {
			t.Fatalf("%q is at %d, after %d:\n%s", want, at, last, &b)
		}
		last = at
	}
}
