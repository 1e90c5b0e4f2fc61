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
	"slices"
	"strings"
)

// run takes one case through its rounds.
type run struct {
	c        *Case
	settings settings
	progress *progress
	step     func() // called before each measurement
}

func newRun(c *Case, s settings, stderr io.Writer) *run {
	return &run{c: c, settings: s, progress: newProgress(stderr), step: func() {}}
}

// variants are those of a case that are to be measured.
func (s *settings) variants(c *Case) (all []Variant) {
	for _, v := range c.Variants {
		aside := func(part string) bool { return strings.Contains(v.Name, part) }
		if strings.Contains(v.Name, s.only) && !(s.brief && slices.ContainsFunc(c.Aside, aside)) {
			all = append(all, v)
		}
	}
	return all
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
	case r.settings.quick:
		return min(r.c.usualRounds(), quickRounds)
	}
	return r.c.usualRounds()
}

// quickRounds are enough to see that one does not disturb the next.
const quickRounds = 2

// usualRounds are those that count by default.
func (c *Case) usualRounds() int {
	if c.Rounds != 0 {
		return c.Rounds
	}
	return minRounds
}

// measure runs all rounds. A case that cannot be opened for want of support is
// an outcome in which everything is skipped. A cancelled ctx ends it after the
// measurement under way, with ctx's error. Whatever the error, the outcome has what was
// measured until then.
func (r *run) measure(ctx context.Context) (out *Outcome, err error) {
	out = &Outcome{Case: r.c, Size: size(r.size().blocks()), Rounds: r.rounds(), Quick: r.settings.quick}
	for _, v := range r.settings.variants(r.c) {
		out.Figures = append(out.Figures, &Figure{Variant: v})
	}
	if len(out.Figures) == 0 {
		return out, nil
	}
	dir, err := os.MkdirTemp(r.settings.dir, "cowheap-bench-")
	if err != nil {
		return out, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	defer r.progress.clear()

	r.progress.say("%s: getting ready", r.c.Name)
	bench, err := r.c.Open(Setup{Size: int64(out.Size), Dir: dir, Quick: out.Quick})
	if errors.Is(err, errors.ErrUnsupported) {
		for _, f := range out.Figures {
			f.Skipped = err
		}
		return out, nil
	}
	if err != nil {
		return out, fmt.Errorf("getting ready: %w", err)
	}
	defer func() {
		if e := bench.Close(); e != nil {
			err = errors.Join(err, fmt.Errorf("closing: %w", e))
		}
	}()
	if err := r.turns(ctx, bench, out.Figures); err != nil {
		return out, err
	}
	for _, b := range r.c.Bounds {
		if b.within(out.Figures) {
			out.Verdicts = append(out.Verdicts, b.judge(out.Figures))
		}
	}
	return out, nil
}

// measureSafely is measure for one who has other cases to go on with: a panic is an error.
func (r *run) measureSafely(ctx context.Context) (out *Outcome, err error) {
	defer func() {
		if p := recover(); p != nil {
			out = &Outcome{Case: r.c, Size: size(r.size().blocks()), Rounds: r.rounds(), Quick: r.settings.quick}
			err = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
		}
	}()
	return r.measure(ctx)
}

// first is the round that measuring begins with: 0 is to be thrown away.
func (r *run) first() int {
	if r.settings.quick || r.c.Rounds != 0 {
		return 1
	}
	return 0
}

// steps is how many times step will be called.
func (r *run) steps(variants int) int { return (r.rounds() - r.first() + 1) * variants }

// turns measures every variant once a round. What the machine does besides
// changes by the second, so variants that are to be compared stand close to one
// another in time; and each round starts with another one, so that none always
// comes first after the pause for printing.
func (r *run) turns(ctx context.Context, bench Bench, figures []*Figure) error {
	defer debug.SetMemoryLimit(debug.SetMemoryLimit(math.MaxInt64))
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	for round := r.first(); round <= r.rounds(); round++ {
		for i := range figures {
			f := figures[(i+round)%len(figures)]
			r.step()
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
			if b, ok := bench.(collecting); !ok || b.collect(f.Variant.Name) {
				runtime.GC()
			}
			reading, err := bench.Measure(f.Variant.Name)
			switch {
			case errors.Is(err, errors.ErrUnsupported):
				f.Skipped, f.Samples, f.Traces = err, nil, nil
			case err != nil:
				return fmt.Errorf("measuring %s: %w", f.Variant.Name, err)
			case round > 0:
				f.Samples = append(f.Samples, reading.Value)
				f.Traces = append(f.Traces, reading.Trace)
				f.Bytes, f.Dirty = reading.Bytes, reading.Dirty
			}
		}
	}
	return nil
}
