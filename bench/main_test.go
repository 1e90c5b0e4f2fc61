package main

import (
	"strings"
	"testing"
)

func TestCasesAreListedWithoutArguments(t *testing.T) {
	out, err := invoke(t, cases())
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range cases() {
		if !strings.Contains(out, "\n  "+c.Name+" ") {
			t.Errorf("%s is not listed:\n%s", c.Name, out)
		}
		for _, v := range c.Variants {
			if !strings.Contains(out, " "+v.Name+" ") {
				t.Errorf("%s of %s is not listed", v.Name, c.Name)
			}
		}
	}
}

func TestDefinitionsOfCasesAreSound(t *testing.T) {
	for _, c := range cases() {
		if err := c.check(); err != nil {
			t.Error(err)
		}
	}
}

func TestUnsoundDefinitionsAreFound(t *testing.T) {
	c := &Case{
		Name: "odd", Size: 1, Quick: minSize,
		Variants: []Variant{{"a", "ns", ""}, {"a", "us", ""}, {"b", "ns", "a"}, {"c", "ns", "gone"}},
		Bounds:   []Bound{{"b", "<", 1, "a"}, {"gone", "<", 1, "gone"}, {"b", "<", 1, leastOf([]string{"b", "lost"})}},
	}
	err := c.check()
	if err == nil {
		t.Fatal("nothing found")
	}
	for _, want := range []string{"a twice", "b in ns refers to a", "refers to gone", "bound b < a", "bound gone < gone", "least of b, lost compares", "want at least"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q not found in: %v", want, err)
		}
	}
}

func TestCommandLine(t *testing.T) {
	for _, c := range []struct {
		args []string
		want string // in the error
	}{
		{[]string{"nonsense"}, `no case "nonsense": there are script, and "all"`},
		{[]string{"-rounds", "4", "script"}, "wants at least 5"},
		{[]string{"-quick", "-rounds", "0", "script"}, "want at least 1"},
		{[]string{"-size", "1MiB", "script"}, "want at least 8MiB"},
		{[]string{"-size", "1GB", "script"}, "no size"},
		{[]string{"-bogus"}, "not defined"},
		{[]string{"-only", "nothing", "script"}, `no variant has "nothing" in its name: there are `},
	} {
		s, all := newScripted(steady)
		if _, err := invoke(t, all, c.args...); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q: error %v, want one with %q", c.args, err, c.want)
		}
		if len(s.calls) != 0 {
			t.Errorf("%q: measured %v", c.args, s.calls)
		}
	}
}

func TestQuickIsOneRoundOfASmallSize(t *testing.T) {
	s, all := newScripted(steady)
	out, err := invoke(t, all, "-quick", "-rounds", "1", "all")
	if err != nil {
		t.Fatal(err)
	}
	if len(s.calls) != 3 || s.setup.Size != 16*mib || !strings.Contains(out, "figures mean nothing") {
		t.Errorf("%d measurements of %d bytes:\n%s", len(s.calls), s.setup.Size, out)
	}
}

func TestOnlySomeVariants(t *testing.T) {
	s, all := newScripted(steady)
	out, err := invoke(t, all, "script", "-only", "b")
	if err != nil {
		t.Fatal(err)
	}
	if len(s.calls) != 6 || strings.Contains(out, "bound:") || strings.Contains(out, " x a") {
		t.Errorf("%v\n%s", s.calls, out)
	}
}

// TestEveryCaseRuns keeps the cases from rotting. Where a machine lacks
// something, variants are skipped, and the test says which.
func TestEveryCaseRuns(t *testing.T) {
	if testing.Short() {
		t.Skip("-short")
	}
	for _, c := range cases() {
		t.Run(c.Name, func(t *testing.T) {
			rounds := 2
			if c.Rounds != 0 {
				rounds = 1
			}
			r := newRun(c, settings{quick: true, rounds: rounds, size: 16 * mib, dir: t.TempDir()}, t.Output())
			report, err := r.measure(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			for _, f := range report.Figures {
				switch {
				case f.Skipped != nil:
					t.Logf("skipped: %s: %v", f.Variant.Name, f.Skipped)
				case len(f.Samples) != rounds, f.Min() <= 0 && f.Variant.Unit != "ms" && f.Variant.Unit != "MiB":
					t.Errorf("%s: %v", f.Variant.Name, f.Samples)
				}
			}
		})
	}
}
