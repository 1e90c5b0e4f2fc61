package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"runtime"
	"runtime/debug"
	"strings"
)

// run takes one case through its rounds.
type run struct {
	c        *Case
	settings settings
	progress *progress
}

func newRun(c *Case, s settings, stderr io.Writer) *run {
	return &run{c, s, newProgress(stderr)}
}

// size is how many bytes the case works on.
func (r *run) size() size {
	switch {
	case r.settings.size != 0:
		return r.settings.size
	case r.settings.quick:
		return r.c.Quick
	}
	return r.c.Size
}

// rounds is how many count.
func (r *run) rounds() int {
	switch {
	case r.settings.rounds != 0:
		return r.settings.rounds
	case r.c.Rounds != 0:
		return r.c.Rounds
	}
	return minRounds
}

// measure runs all rounds. A case that cannot be opened for want of support is
// a report in which everything is skipped. A cancelled ctx ends it after the
// measurement under way, with ctx's error.
func (r *run) measure(ctx context.Context) (report *Report, err error) {
	report = &Report{Case: r.c, Size: size(r.size().blocks()), Rounds: r.rounds(), Quick: r.settings.quick}
	for _, v := range r.c.Variants {
		if strings.Contains(v.Name, r.settings.only) {
			report.Figures = append(report.Figures, &Figure{Variant: v})
		}
	}
	if len(report.Figures) == 0 {
		return report, nil
	}
	dir, err := os.MkdirTemp(r.settings.dir, "cowheap-bench-")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	defer r.progress.clear()

	r.progress.say("%s: getting ready", r.c.Name)
	bench, err := r.c.Open(Setup{Size: int64(report.Size), Dir: dir, Quick: report.Quick})
	if errors.Is(err, errors.ErrUnsupported) {
		for _, f := range report.Figures {
			f.Skipped = err
		}
		return report, nil
	}
	if err != nil {
		return nil, fmt.Errorf("getting ready: %w", err)
	}
	defer func() {
		if e := bench.Close(); e != nil {
			err = errors.Join(err, fmt.Errorf("closing: %w", e))
		}
	}()
	if err := r.turns(ctx, bench, report.Figures); err != nil {
		return nil, err
	}
	for _, b := range r.c.Bounds {
		if b.within(r.settings.only) {
			report.Verdicts = append(report.Verdicts, b.judge(report.Figures))
		}
	}
	return report, nil
}

// turns measures every variant once a round. What the machine does besides
// changes by the second, so variants that are to be compared stand close to one
// another in time; and each round starts with another one, so that none always
// comes first after the pause for printing.
func (r *run) turns(ctx context.Context, bench Bench, figures []*Figure) error {
	defer debug.SetMemoryLimit(debug.SetMemoryLimit(math.MaxInt64))
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	first := 0 // the round to be thrown away
	if r.settings.quick || r.c.Rounds != 0 {
		first = 1
	}
	for round := first; round <= r.rounds(); round++ {
		for i := range figures {
			f := figures[(i+round)%len(figures)]
			if f.Skipped != nil {
				continue
			}
			if err := ctx.Err(); err != nil {
				return err
			}
			if round == 0 {
				r.progress.say("%s: warming up: %s", r.c.Name, f.Variant.Name)
			} else {
				r.progress.say("%s: round %d of %d: %s", r.c.Name, round, r.rounds(), f.Variant.Name)
			}
			runtime.GC()
			reading, err := bench.Measure(f.Variant.Name)
			switch {
			case errors.Is(err, errors.ErrUnsupported):
				f.Skipped, f.Samples = err, nil
			case err != nil:
				return fmt.Errorf("measuring %s: %w", f.Variant.Name, err)
			case round > 0:
				f.Samples = append(f.Samples, reading.Value)
				f.Bytes, f.Dirty = reading.Bytes, reading.Dirty
			}
		}
	}
	return nil
}
