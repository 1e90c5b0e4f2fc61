package main

import (
	"bytes"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestWindowsAreOfWhatIsUnderWay holds a timeline against the operations themselves: in each window, by how
// much of it each of them takes.
func TestWindowsAreOfWhatIsUnderWay(t *testing.T) {
	source := rand.New(rand.NewPCG(1, 3))
	lines := newTimelines()
	line := lines.another()
	line.from(lines.zero.Add(7 * time.Millisecond))
	type operation struct{ began, ended time.Duration }
	var all []operation
	for at := 7 * time.Millisecond; at < 2*time.Second; {
		took := time.Duration(1000 << source.IntN(16)) // up to 33 ms
		if source.IntN(500) == 0 {
			took = 150 * time.Millisecond
		}
		line.add(at-7*time.Millisecond, at-7*time.Millisecond+took)
		all = append(all, operation{at, at + took})
		at += took
	}
	for i := range 190 {
		first, last := time.Duration(i)*traceStep, time.Duration(i+1)*traceStep
		under := map[time.Duration]time.Duration{}
		worst, sum := time.Duration(0), time.Duration(0)
		for _, o := range all {
			if over := min(o.ended, last) - max(o.began, first); over > 0 {
				under[o.ended-o.began] += over
				worst, sum = max(worst, o.ended-o.began), sum+over
			}
		}
		var durations []time.Duration
		for d := range under {
			durations = append(durations, d)
		}
		slices.Sort(durations)
		for _, q := range []float64{0.5, 0.99} {
			rest, want := time.Duration((1-q)*float64(sum)), time.Duration(0)
			for _, d := range slices.Backward(durations) {
				if rest -= under[d]; rest < 0 {
					want = d
					break
				}
			}
			if got := line.windows[i].quantile(q); float64((got - want).Abs()) > 0.02*float64(want) {
				t.Fatalf("quantile %v of window %d is %v, want %v", q, i, got, want)
			}
		}
		if got := line.windows[i].longest; got != worst {
			t.Fatalf("the longest of window %d took %v, want %v", i, got, worst)
		}
	}
}

// TestStallFillsItsWindows: one who is held for 50 ms shows in each window of them, and nobody before or after.
func TestStallFillsItsWindows(t *testing.T) {
	lines := newTimelines()
	line := lines.another()
	const quick = 10 * time.Microsecond
	at := time.Duration(0)
	until := func(end time.Duration) {
		for ; at < end; at += quick {
			line.add(at, at+quick)
		}
	}
	until(600 * time.Millisecond)
	line.add(at, at+50*time.Millisecond)
	at += 50 * time.Millisecond
	until(2 * time.Second)
	instant := lines.zero.Add(600 * time.Millisecond)
	got := lines.about("way", instant, instant.Add(80*time.Millisecond))
	if got.From != -500 || got.Step != 10 || got.Until != 80 || got.end() != 1000 {
		t.Errorf("%+v", got)
	}
	for i := range got.Lines[longest] {
		want := 10.0
		if begins := got.From + float64(i)*got.Step; begins >= 0 && begins < 50 {
			want = 50_000
		}
		for name, line := range got.Lines {
			if line[i] < want*0.98 || line[i] > want*1.02 {
				t.Errorf("%s of window %d is %v us, want %v", name, i, line[i], want)
			}
		}
	}
	if before, after := got.worst(); before != 10 || after != 50_000 {
		t.Errorf("longest %v before and %v after", before, after)
	}
	// One that is held from before the instant on is none that was over before it.
	held := &trace{From: -31, Step: 10, Lines: map[string][]float64{longest: {7, 9, 500, 500, 500, 4}}}
	if before, after := held.worst(); before != 9 || after != 500 {
		t.Errorf("longest %v before and %v after", before, after)
	}
	var none *timeline
	none.from(instant)
	none.add(0, quick) // who wants none pays for none
}

// TestTraceOfTheMedianRoundIsKept also through a file of lines, where it stands beside the figures.
func TestTraceOfTheMedianRoundIsKept(t *testing.T) {
	call := 0
	_, all := newScripted(func(variant string, _ int) (Reading, error) {
		r, err := steady(variant, 0)
		if variant == "b" {
			call++
			r.Value = []float64{0, 9, 2, 5, 4, 7}[call-1]
			r.Trace = &trace{Series: "b", Unit: "us", From: -20, Step: 10, Lines: map[string][]float64{longest: {r.Value, r.Value}}}
		}
		return r, err
	})
	out, err := invoke(t, all, "-json", "script")
	if err != nil {
		t.Fatal(err)
	}
	m, err := readLines(strings.NewReader(out))
	if err != nil {
		t.Fatal(err)
	}
	c := m.Cases[0]
	if len(c.Figures) != 3 || len(c.Traces) != 1 {
		t.Fatalf("%d figures and %d series of\n%s", len(c.Figures), len(c.Traces), out)
	}
	if got := c.Traces[0]; got.Series != "b" || got.From != -20 || !slices.Equal(got.Lines[longest], []float64{5, 5}) {
		t.Errorf("%+v", got)
	}
	// Who compares does not see it.
	var table bytes.Buffer
	if err := compareMeasurements(&table, m, m, 2, true); err != nil || strings.Contains(table.String(), "series") {
		t.Errorf("%v\n%s", err, &table)
	}
}

func TestBucketsHaveTheirMiddles(t *testing.T) {
	for _, d := range []time.Duration{0, 1, 31, 63, 64, 1000, 12_345, time.Millisecond, time.Hour} {
		if got := bucketMiddle(latencyBucket(d)); float64((got - d).Abs()) > 0.016*float64(d) {
			t.Errorf("%v is in a bucket about %v", d, got)
		}
	}
}
