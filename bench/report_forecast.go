package main

import (
	"fmt"
	"strings"
	"time"
)

// forecast says how far a report has come and how long it will still take. A measurement weighs
// as much as the state that it is about, and something besides: cases differ more than
// that, so it is an estimate, and better the longer it has been running.
type forecast struct {
	start  time.Time
	now    func() time.Time
	whole  float64 // weight of everything
	done   float64
	weight map[*Case]float64 // of one measurement
	steps  map[*Case]int
	taken  map[*Case]int
}

// forecast expects a report of these cases.
func (s *settings) forecast(all []*Case) *forecast {
	f := &forecast{now: time.Now, weight: map[*Case]float64{}, steps: map[*Case]int{}, taken: map[*Case]int{}}
	f.start = f.now()
	for _, c := range all {
		r := run{c: c, settings: *s}
		variants := 0
		for _, v := range c.Variants {
			if strings.Contains(v.Name, s.only) {
				variants++
			}
		}
		f.steps[c] = r.steps(variants)
		f.weight[c] = 0.1 + float64(r.size())/gib
		f.whole += f.weight[c] * float64(f.steps[c])
	}
	return f
}

// step tells that another measurement of a run begins.
func (f *forecast) step(r *run) func() {
	return func() {
		if f.taken[r.c]++; f.taken[r.c] > 1 {
			f.done += f.weight[r.c]
		}
	}
}

// finish tells that a case is over, however it ended.
func (f *forecast) finish(c *Case) {
	if left := f.steps[c] - max(f.taken[c]-1, 0); left > 0 {
		f.done += f.weight[c] * float64(left)
	}
}

// String is a bar and the time left.
func (f *forecast) String() string {
	const width = 20
	share := 0.0
	if f.whole > 0 {
		share = min(f.done/f.whole, 1)
	}
	full := int(share * width)
	bar := "[" + strings.Repeat("#", full) + strings.Repeat(".", width-full) + "]"
	took := f.now().Sub(f.start)
	if share < 0.01 || took < 2*time.Second {
		return fmt.Sprintf("%s %2.0f%% ", bar, share*100)
	}
	left := time.Duration(float64(took) * (1 - share) / share)
	return fmt.Sprintf("%s %2.0f%%, about %v left: ", bar, share*100, roundTime(left))
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
