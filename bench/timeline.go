package main

import (
	"math"
	"sync"
	"time"
)

// timeline is which operations of one goroutine were under way in each of many short windows.
//
// As in latencies, quantiles are of time: an operation counts in every window that it overlaps, by
// how much of it that is, and with all of its duration. So a window in which one
// operation was held throughout shows how long it was held, and not that nothing happened.
type timeline struct {
	zero    time.Time     // of the windows
	offset  time.Duration // from zero to what add is told
	windows []window
}

// window is what was under way in traceStep. Two operations of one goroutine do not overlap.
type window struct {
	weight  [latencyBuckets]time.Duration
	longest time.Duration
}

const (
	// What a trace shows, about the instant at which something is asked for.
	traceBefore = 500 * time.Millisecond
	traceAfter  = time.Second
	traceStep   = 10 * time.Millisecond
	// traceMost is what a timeline has room for: what begins later is left out.
	traceMost = 4 * time.Second
	// quickTimes shorter is everything with -quick.
	quickTimes = 10
)

// from says what add counts from. A nil timeline takes nothing.
func (t *timeline) from(start time.Time) {
	if t != nil {
		t.offset = start.Sub(t.zero)
	}
}

// add takes an operation that began and ended so long after from.
func (t *timeline) add(began, ended time.Duration) {
	if t == nil {
		return
	}
	began, ended = began+t.offset, ended+t.offset
	took := ended - began
	b := latencyBucket(took)
	for i := int(began / traceStep); i < len(t.windows); i++ {
		first, last := time.Duration(i)*traceStep, time.Duration(i+1)*traceStep
		w := &t.windows[i]
		w.weight[b] += min(ended, last) - max(began, first)
		w.longest = max(w.longest, took)
		if ended <= last {
			return
		}
	}
}

// merge takes all of o.
func (w *window) merge(o *window) {
	for b, d := range o.weight {
		w.weight[b] += d
	}
	w.longest = max(w.longest, o.longest)
}

// quantile is within 2 % of the duration that, at q of all instants of the window, the operation under
// way does not exceed; 0 if there was none.
func (w *window) quantile(q float64) time.Duration {
	total := time.Duration(0)
	for _, d := range w.weight {
		total += d
	}
	rest := time.Duration((1 - q) * float64(total))
	for b := len(w.weight) - 1; b >= 0; b-- {
		if rest -= w.weight[b]; rest < 0 {
			return min(bucketMiddle(b), w.longest)
		}
	}
	return 0
}

// bucketMiddle is the middle of what latencyBucket puts into b.
func bucketMiddle(b int) time.Duration {
	shift := max(b>>bucketBits-1, 0)
	return time.Duration(b-shift<<bucketBits)<<shift + time.Duration(1)<<shift/2
}

// timelines are those of several goroutines with the same windows.
type timelines struct {
	zero time.Time
	mu   sync.Mutex
	each []*timeline // guarded by mu
}

func newTimelines() *timelines { return &timelines{zero: time.Now()} }

// another is for one more goroutine. All of its memory is there.
func (t *timelines) another() *timeline {
	one := &timeline{zero: t.zero, windows: make([]window, traceMost/traceStep)}
	for i := range one.windows {
		one.windows[i].longest = -1 // the first touch of memory is not to be seen in what is measured
		clear(one.windows[i].weight[:])
		one.windows[i].longest = 0
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.each = append(t.each, one)
	return one
}

// trace is how long operations took about an instant, window by window.
type trace struct {
	Series string  `json:"series"` // which way
	Unit   string  `json:"unit"`   // of the lines
	From   float64 `json:"from"`   // ms from the instant to the beginning of the first window
	Step   float64 `json:"step"`   // ms
	Until  float64 `json:"until"`  // ms from the instant until what was frozen was given up
	// Lines have a value a window, 0 where no operation was under way.
	Lines map[string][]float64 `json:"lines"`
}

// traceLines are those of each trace, the greatest first.
var traceLines = []string{longest, "p99", "p50"}

// about is what was under way around an instant, once the goroutines have ended. until is when what
// was frozen then was given up.
func (t *timelines) about(series string, instant, until time.Time) *trace {
	at := instant.Sub(t.zero)
	first := max(int((at-traceBefore)/traceStep), 0)
	last := min(int((at+traceAfter)/traceStep), int(traceMost/traceStep))
	for first < last && !t.anybody(first) {
		first++
	}
	for first < last && !t.anybody(last-1) {
		last--
	}
	ms := func(d time.Duration) float64 { return shorten(d.Seconds() * 1e3) }
	all := &trace{
		Series: series, Unit: "us", Step: ms(traceStep), Lines: map[string][]float64{},
		From: ms(time.Duration(first)*traceStep - at), Until: ms(until.Sub(instant)),
	}
	for i := first; i < last; i++ {
		var w window
		for _, one := range t.each {
			w.merge(&one.windows[i])
		}
		for name, d := range map[string]time.Duration{"p50": w.quantile(0.5), "p99": w.quantile(0.99), longest: w.longest} {
			all.Lines[name] = append(all.Lines[name], significant(float64(d.Nanoseconds())/1e3))
		}
	}
	return all
}

// anybody tells whether an operation was under way in a window.
func (t *timelines) anybody(window int) bool {
	for _, one := range t.each {
		if one.windows[window].longest > 0 {
			return true
		}
	}
	return false
}

// significant keeps three digits: a picture has no room for more, and a file of lines is read by people.
func significant(v float64) float64 {
	if v == 0 {
		return 0
	}
	scale := math.Pow(10, 2-math.Floor(math.Log10(math.Abs(v))))
	return shorten(math.Round(v*scale) / scale)
}
