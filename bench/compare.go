package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"math"
	"strings"

	"golang.org/x/perf/benchmath"
)

// go run ./bench compare OLD NEW tells whether something has become slower between two files of
// lines (bench -json, or report.jsonl), which may be of different machines: only ratios are
// compared, each of a variant to its reference in the same round of the same run.
//
// A ratio has regressed if it has grown worse by more than the bound and the rounds agree that it has:
// the Mann-Whitney test of benchstat gives a p below 0.05, which needs at least four rounds in
// each file. With fewer there is no such test, and the rounds agree if the best new one is beyond the
// bound of the worst old one.

// defaultBound is how many times worse a ratio may be. Of 41 ratios (pause, fault, frames, restore)
// in three runs on a virtual machine of two processors with another thirteen threads that wanted them, the
// greatest change that the rounds agreed on was 2.8 times. So 4 tells of what somebody has broken: a pass over
// all memory where there was none, not a per cent. On a quiet machine -bound 1.5 is of use, between two machines 10.
const defaultBound = 4

const compareUsage = "usage: go run ./bench compare [-bound 4] [-all] OLD.jsonl NEW.jsonl"

// errRegressed makes the program end with 1.
var errRegressed = errors.New("something has become slower than the bound allows")

// compare is the subcommand.
func compare(args []string, stdout, stderr io.Writer) error {
	set := flag.NewFlagSet("bench compare", flag.ContinueOnError)
	set.SetOutput(stderr)
	bound := set.Float64("bound", defaultBound, "how many `times` worse a ratio may be")
	everything := set.Bool("all", false, "print all ratios, not only those that have changed")
	set.Usage = func() {
		fmt.Fprintln(stderr, compareUsage)
		set.PrintDefaults()
	}
	if err := set.Parse(args); err != nil {
		return err
	}
	if set.NArg() != 2 {
		return fmt.Errorf("%d files: want two (%s)", set.NArg(), compareUsage)
	}
	if *bound <= 1 {
		return fmt.Errorf("-bound %v: want more than 1", *bound)
	}
	old, err := readLinesOf(set.Arg(0))
	if err != nil {
		return err
	}
	now, err := readLinesOf(set.Arg(1))
	if err != nil {
		return err
	}
	return compareMeasurements(stdout, old, now, *bound, *everything)
}

// change is one ratio then and now.
type change struct {
	name     string // case and variant
	old, now []float64
	worse    float64 // how many times; below 1: better
	p        float64 // that both are the same; NaN if there are too few rounds to tell
}

// alpha is the p below which two sets of rounds count as different.
const alpha = 0.05

// fewRounds are too few for a test: of three against three, no outcome has p < 0.05.
const fewRounds = 4

func compareMeasurements(w io.Writer, old, now *measurements, bound float64, everything bool) error {
	changes, alone := changesBetween(old, now)
	var b strings.Builder
	regressed := 0
	table := grid{{"ratio", "", "", "old", "new", "worse", "p"}}
	for _, c := range changes {
		verdict := ""
		switch {
		case c.regressed(bound):
			verdict = "REGRESSED"
			regressed++
		case c.differs() && c.worse > 1:
			verdict = "worse"
		case c.differs():
			verdict = "better"
		}
		if verdict == "" && !everything {
			continue
		}
		p := "?"
		if !math.IsNaN(c.p) {
			p = fmt.Sprintf("%.3f", c.p)
		}
		table = append(table, []string{c.name, verdict, "", formatRatio(middle(c.old)), formatRatio(middle(c.now)), formatRatio(c.worse) + " x", p})
	}
	if len(table) > 1 {
		table.write(&b)
	}
	fmt.Fprintf(&b, "%d ratios compared, %d regressed by more than %s x\n", len(changes), regressed, formatRatio(bound))
	if alone > 0 {
		fmt.Fprintf(&b, "%d ratios are in one of the files only\n", alone)
	}
	if _, err := io.WriteString(w, b.String()); err != nil {
		return err
	}
	switch {
	case len(changes) == 0:
		return errors.New("the files have no ratio in common: want lines of go run ./bench -json or report, of the same cases")
	case regressed > 0:
		return errRegressed
	}
	return nil
}

// changesBetween are the ratios that both have; alone is how many one of them has.
func changesBetween(old, now *measurements) (all []change, alone int) {
	then := map[string][]float64{}
	for _, c := range old.Cases {
		for _, f := range c.Figures {
			if r := c.ratios(f); r != nil {
				then[ratioName(c, f)] = r
			}
		}
	}
	for _, c := range now.Cases {
		for _, f := range c.Figures {
			r := c.ratios(f)
			if r == nil {
				continue
			}
			name := ratioName(c, f)
			was, ok := then[name]
			if !ok {
				alone++
				continue
			}
			delete(then, name)
			all = append(all, newChange(name, was, r, moreIsBetter(f.Unit)))
		}
	}
	return all, alone + len(then)
}

func ratioName(c *measuredCase, f figureLine) string {
	return c.Case + ": " + f.Variant + " / " + f.Reference
}

// ratios are a variant's, one a round; nil if it has no reference, or the rounds of the two do not
// belong together.
func (c *measuredCase) ratios(f figureLine) (all []float64) {
	ref := c.figure(f.Reference)
	if ref == nil || f.Reference == f.Variant || len(f.Samples) == 0 || len(ref.Samples) != len(f.Samples) {
		return nil
	}
	for i, v := range f.Samples {
		if v <= 0 || ref.Samples[i] <= 0 {
			return nil // too small to be told from nothing
		}
		all = append(all, v/ref.Samples[i])
	}
	return all
}

// newChange compares two sets of ratios. more: of a unit of which more is better.
func newChange(name string, old, now []float64, more bool) change {
	c := change{name: name, old: old, now: now, p: math.NaN()}
	c.worse = middle(now) / middle(old)
	if more {
		c.worse = 1 / c.worse
	}
	if len(old) >= fewRounds && len(now) >= fewRounds {
		thresholds := benchmath.DefaultThresholds
		c.p = benchmath.AssumeNothing.Compare(
			benchmath.NewSample(clone(old), &thresholds), benchmath.NewSample(clone(now), &thresholds)).P
	}
	return c
}

// clone keeps the rounds in order: samples are sorted in place.
func clone(v []float64) []float64 { return append([]float64(nil), v...) }

// differs tells whether the rounds agree that something has changed.
func (c change) differs() bool { return c.p < alpha }

// regressed tells whether it has become worse by more than the bound.
func (c change) regressed(bound float64) bool {
	if c.worse <= bound {
		return false
	}
	if !math.IsNaN(c.p) {
		return c.differs()
	}
	// Too few for a test: even the closest two must be apart.
	least, most := extremes(c.old)
	low, high := extremes(c.now)
	if middle(c.now) > middle(c.old) {
		return low/most > bound
	}
	return least/high > bound
}

// middle is the median.
func middle(v []float64) float64 { return (&Figure{Samples: v}).Median() }

func extremes(v []float64) (least, most float64) {
	f := Figure{Samples: v}
	return f.Min(), f.Max()
}
