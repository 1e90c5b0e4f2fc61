package main

import (
	"fmt"
	"strings"
	"time"
)

// forecast says how far a report has come and how long it will still take. It expects of each case what
// it took on a quiet machine of two processors, and learns how much slower or faster this one is: from a
// trial at the beginning, which counts less the longer the report has been running.
type forecast struct {
	start  time.Time
	now    func() time.Time
	trial  float64           // how many times as long as expected this machine takes, by the trial
	expect map[*Case]float64 // seconds
	whole  float64           // of all cases
	done   float64           // of those that are over, and of what is over of the one under way
	steps  map[*Case]int
	taken  map[*Case]int
}

// takes is what a case is expected to take in a report, in seconds: with its default size and rounds, and with
// -quick. A case that is not here weighs as much as the state that it is about, at each measurement.
var takes = map[string]struct{ full, quick float64 }{
	"seed":           {31, 0.5},
	"pause":          {146, 2},
	"arming-tax":     {76, 2},
	"fault":          {20, 1},
	"containers":     {229, 4},
	"gc":             {126, 5},
	"snapshot-tax":   {170, 9},
	"frames":         {256, 4},
	"rollback":       {26, 1.5},
	"fork":           {144, 2.5},
	"alloc":          {30, 1},
	"checkpoint":     {20, 0.5},
	"checkpoint-tax": {269, 8},
	"store":          {50, 1.5},
	"restore":        {19, 1},
	"prefetch":       {75, 1},
	"growth":         {656, 11},
	"redis":          {45, 3},
}

// forecast expects a report of these cases.
func (s *settings) forecast(all []*Case) *forecast {
	f := &forecast{now: time.Now, trial: 1, expect: map[*Case]float64{}, steps: map[*Case]int{}, taken: map[*Case]int{}}
	f.start = f.now()
	for _, c := range all {
		f.expect[c], f.steps[c] = s.expect(c)
		f.whole += f.expect[c]
	}
	return f
}

// expect is how many seconds a case may take, and how many measurements it makes.
func (s *settings) expect(c *Case) (seconds float64, steps int) {
	r := run{c: c, settings: *s}
	steps = r.steps(len(s.variants(c)))
	usual := run{c: c, settings: settings{quick: s.quick, brief: true}}
	known, ok := takes[c.Name]
	if !ok {
		return (0.1 + float64(r.size())/gib) * float64(steps), steps
	}
	seconds = known.full
	if s.quick {
		seconds = known.quick
	}
	seconds *= float64(steps) / float64(max(usual.steps(len(usual.settings.variants(c))), 1))
	// Not all that a case does grows with its state.
	const fixed = 0.2
	return seconds * (fixed + (1-fixed)*float64(r.size())/float64(usual.size())), steps
}

// step tells that another measurement of a run begins.
func (f *forecast) step(r *run) func() {
	return func() {
		if f.taken[r.c]++; f.taken[r.c] > 1 {
			f.done += f.one(r.c)
		}
	}
}

// one is what one measurement of a case is expected to take.
func (f *forecast) one(c *Case) float64 { return f.expect[c] / float64(max(f.steps[c], 1)) }

// finish tells that a case is over, however it ended.
func (f *forecast) finish(c *Case) {
	if left := f.steps[c] - max(f.taken[c]-1, 0); left > 0 {
		f.done += f.one(c) * float64(left)
	}
}

// left is how long it will still take. The trial counts as if a tenth of the report had been seen.
func (f *forecast) left() time.Duration {
	seen := f.whole / 10
	pace := (f.now().Sub(f.start).Seconds() + seen*f.trial) / (f.done + seen)
	if f.whole == 0 {
		return 0
	}
	return time.Duration(max(f.whole-f.done, 0) * pace * float64(time.Second))
}

// String is a bar and the time left.
func (f *forecast) String() string {
	const width = 20
	share := 0.0
	if f.whole > 0 {
		share = min(f.done/f.whole, 1)
	}
	full := int(share*width + 1e-9)
	bar := "[" + strings.Repeat("#", full) + strings.Repeat(".", width-full) + "]"
	return fmt.Sprintf("%s %2.0f%%, about %s left: ", bar, share*100, roundTime(f.left()))
}

// announce says how much there is to do.
func (f *forecast) announce() string {
	return fmt.Sprintf("%d cases, about %s in all", len(f.expect), roundTime(f.left()))
}

// report says what became of a case, and how long the rest will take.
func (f *forecast) report(c caseLine) string {
	what := "done in"
	if c.Failed != "" {
		what = "FAILED after"
	}
	said := fmt.Sprintf("%s: %s %s, about %s left", c.Case, what, roundTime(time.Duration(c.Seconds*float64(time.Second))), roundTime(f.left()))
	if c.Failed != "" {
		said += ": " + c.Failed
	}
	return said
}

// roundTime leaves what an estimate is good for.
func roundTime(d time.Duration) string {
	switch {
	case d >= 90*time.Second:
		return fmt.Sprintf("%.0f min", d.Minutes())
	case d >= 10*time.Second:
		return fmt.Sprintf("%.0f s", d.Round(5*time.Second).Seconds())
	}
	return fmt.Sprintf("%.0f s", d.Seconds())
}

// The trial makes the kind of work that most cases spend their time with: fresh pages, and copies of them.
const (
	trialBytes  = 64 * mib
	trialRounds = 8
	// trialTakes is what it takes on a quiet machine of two processors.
	trialTakes = 200 * time.Millisecond
)

// try is how many times as long as expected this machine takes for it; 1 where it cannot be tried.
func try() float64 {
	start := time.Now()
	for range trialRounds {
		r, err := newRegion(trialBytes, false)
		if err != nil {
			return 1
		}
		writePages(r.all(), 1)
		copy(r.all()[:trialBytes/2], r.all()[trialBytes/2:])
		if r.Unmap() != nil {
			return 1
		}
	}
	return time.Since(start).Seconds() / trialTakes.Seconds()
}
