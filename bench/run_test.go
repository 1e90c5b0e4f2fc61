package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"testing"
)

// scripted is a case whose figures are known.
type scripted struct {
	calls  []string
	closed int
	setup  Setup
	act    func(variant string, call int) (Reading, error)
}

func (s *scripted) Measure(variant string) (Reading, error) {
	s.calls = append(s.calls, variant)
	return s.act(variant, len(s.calls))
}

func (s *scripted) Close() error {
	s.closed++
	return nil
}

// newScripted is a case of three variants; a is the reference.
func newScripted(act func(variant string, call int) (Reading, error)) (*scripted, []*Case) {
	s := &scripted{act: act}
	return s, []*Case{{
		Name: "script", About: "figures that are known", Size: 64 * mib, Quick: 16 * mib,
		Variants: []Variant{{"a", "ns", "a"}, {"b", "ns", "a"}, {"c", "ns", "a"}},
		Bounds:   []Bound{{"b", "<=", 2, "a"}, {"c", "<", 1, "b"}},
		Open: func(setup Setup) (Bench, error) {
			s.setup = setup
			return s, nil
		},
	}}
}

// steady gives a 100, b 150 and c 1500, a little more at each call.
func steady(variant string, call int) (Reading, error) {
	base := map[string]float64{"a": 100, "b": 150, "c": 1500}[variant]
	return Reading{Value: base + float64(call)/1000, Bytes: 64 * mib, Dirty: 0.1}, nil
}

func invoke(t *testing.T, all []*Case, args ...string) (stdout string, err error) {
	t.Helper()
	var out, errs bytes.Buffer
	err = command(t.Context(), all, append([]string{"-dir", t.TempDir()}, args...), &out, &errs)
	if strings.Contains(errs.String(), beginLine) {
		t.Error("progress is shown where there is no terminal")
	}
	return out.String(), err
}

func TestVariantsTakeTurns(t *testing.T) {
	s, all := newScripted(steady)
	out, err := invoke(t, all, "script")
	if err != nil {
		t.Fatal(err)
	}
	// One round of warming up and five that count.
	if len(s.calls) != 6*3 {
		t.Fatalf("%d measurements: %v", len(s.calls), s.calls)
	}
	for round := range slices.Chunk(s.calls, 3) {
		slices.Sort(round)
		if !slices.Equal(round, []string{"a", "b", "c"}) {
			t.Errorf("a round of %v", round)
		}
	}
	if s.closed != 1 || s.setup.Size != 64*mib {
		t.Errorf("closed %d times, opened with %+v", s.closed, s.setup)
	}
	for _, want := range []string{"64MiB, 5 rounds", "1.50 x a", "bound: b <= 2 x a: 1.50 ok", "bound: c < b: 10.00 missed", "c        ns     1,500"} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in\n%s", want, out)
		}
	}
}

func TestWarmUpIsNoSample(t *testing.T) {
	_, all := newScripted(func(variant string, call int) (Reading, error) {
		if call <= 3 {
			return Reading{Value: 1e9}, nil
		}
		return Reading{Value: float64(call)}, nil
	})
	r := newRun(all[0], settings{rounds: 5, dir: t.TempDir()}, &bytes.Buffer{})
	report, err := r.measure(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range report.Figures {
		if len(f.Samples) != 5 || f.Max() > 18 {
			t.Errorf("%s: %v", f.Variant.Name, f.Samples)
		}
	}
}

func TestJSONIsALineAVariantAndALineABound(t *testing.T) {
	_, all := newScripted(steady)
	out, err := invoke(t, all, "-json", "script", "-size", "15MiB")
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSuffix(out, "\n"), "\n")
	if len(lines) != 5 {
		t.Fatalf("%d lines:\n%s", len(lines), out)
	}
	var f figureLine
	if err := json.Unmarshal([]byte(lines[1]), &f); err != nil {
		t.Fatal(err)
	}
	if f.Case != "script" || f.Variant != "b" || f.Unit != "ns" || f.N != 5 || int(f.Value) != 150 || f.Bytes != 64*mib || f.Dirty != 0.1 {
		t.Errorf("%+v", f)
	}
	if want := `{"case":"script","bound":"b <= 2 x a","want":2,"got":1.5,"ok":true}`; lines[3] != want {
		t.Errorf("%s, want %s", lines[3], want)
	}
}

func TestWhatCannotBeMeasuredIsSkippedWithItsReason(t *testing.T) {
	s, all := newScripted(func(variant string, call int) (Reading, error) {
		if variant == "b" {
			return Reading{}, fmt.Errorf("no such kernel: %w", errors.ErrUnsupported)
		}
		return steady(variant, call)
	})
	out, err := invoke(t, all, "script")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(out, "skipped: b: no such kernel") || !strings.Contains(out, "bound: c < b: not measured") {
		t.Error(out)
	}
	if n := len(s.calls) - len(slices.DeleteFunc(s.calls, func(v string) bool { return v == "b" })); n != 1 {
		t.Errorf("b was tried %d times", n)
	}
	all[0].Open = func(Setup) (Bench, error) { return nil, errors.ErrUnsupported }
	if out, err = invoke(t, all, "-json", "script"); err == nil {
		t.Error("nothing was measured, and that is no error")
	}
	if strings.Count(out, `"skipped":`) != 3 {
		t.Error(out)
	}
}

func TestFailureEndsTheRunAndLeavesNothing(t *testing.T) {
	broken := errors.New("broken")
	s, all := newScripted(func(variant string, call int) (Reading, error) {
		if call == 5 {
			return Reading{}, broken
		}
		return steady(variant, call)
	})
	dir := t.TempDir()
	before := debug.SetGCPercent(100)
	defer debug.SetGCPercent(before)
	err := command(t.Context(), all, []string{"-dir", dir, "script"}, &bytes.Buffer{}, &bytes.Buffer{})
	if !errors.Is(err, broken) || s.closed != 1 {
		t.Errorf("error %v, closed %d times", err, s.closed)
	}
	if left, _ := os.ReadDir(dir); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
	if got := debug.SetGCPercent(100); got != 100 {
		t.Errorf("the garbage collector is left at %d", got)
	}
}

func TestInterruptEndsTheRun(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	s, all := newScripted(func(variant string, call int) (Reading, error) {
		if call == 4 {
			cancel()
		}
		return steady(variant, call)
	})
	err := command(ctx, all, []string{"-dir", t.TempDir(), "script"}, &bytes.Buffer{}, &bytes.Buffer{})
	if !errors.Is(err, context.Canceled) || len(s.calls) != 4 || s.closed != 1 {
		t.Errorf("error %v after %d measurements, closed %d times", err, len(s.calls), s.closed)
	}
}

func TestCaseWithLongRoundsHasFewAndNoneIsThrownAway(t *testing.T) {
	for rounds, want := range map[string]int{"": 2, "7": 7} {
		s, all := newScripted(steady)
		all[0].Rounds = 2
		args := []string{"script"}
		if rounds != "" {
			args = append(args, "-rounds", rounds)
		}
		out, err := invoke(t, all, args...)
		if err != nil {
			t.Fatal(err)
		}
		if len(s.calls) != 3*want || !strings.Contains(out, fmt.Sprintf("%d rounds", want)) {
			t.Errorf("-rounds %q: %d measurements\n%s", rounds, len(s.calls), out)
		}
	}
}

// choosy is a scripted case that wants garbage collected before b only.
type choosy struct{ *scripted }

func (choosy) collect(variant string) bool { return variant == "b" }

func TestGarbageIsCollectedWhereItIsAskedFor(t *testing.T) {
	collections := func() uint32 {
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.NumGC
	}
	last := uint32(0)
	s, all := newScripted(func(variant string, call int) (Reading, error) {
		now := collections()
		if call > 1 && now > last != (variant == "b") {
			t.Errorf("%d collections before %s", now-last, variant)
		}
		last = now
		return steady(variant, call)
	})
	all[0].Open = func(Setup) (Bench, error) { return choosy{s}, nil }
	if _, err := invoke(t, all, "script"); err != nil {
		t.Fatal(err)
	}
}
