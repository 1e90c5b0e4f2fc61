package main

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
)

// Case is one question, put to several variants in turns.
type Case struct {
	Name  string
	About string // one line
	Size  size   // bytes that it works on by default
	Quick size   // with -quick
	// Rounds is how many there are by default where a round takes minutes. Such
	// a case warms up by itself. 0: five, after one that is thrown away.
	Rounds   int
	Variants []Variant
	// Aside are parts of the names of variants that a report of everything leaves out: they say whether cowheap chooses well
	// among its own ways, and take minutes. Who names the case has them.
	Aside  []string
	Bounds []Bound
	// Open gets ready what the variants share. It fails with an error that is
	// errors.ErrUnsupported where none of them can run.
	Open func(Setup) (Bench, error)
}

// Variant is one way to do what a case is about.
type Variant struct {
	Name      string
	Unit      string // ns, us, GB/s: of the figure
	Reference string // variant of the same case and unit that the ratio is taken to; "": none
}

// Setup is what a case is opened with.
type Setup struct {
	Size  int64  // bytes, a multiple of 2 MiB
	Dir   string // directory for files, the case's own until it is closed
	Quick bool   // the figures mean nothing: whatever takes time may be cut short
}

// Bench is an open case. One goroutine calls its methods.
type Bench interface {
	// Measure measures a variant once. An error that is errors.ErrUnsupported
	// means that it cannot be done here, and Measure is not called for it again.
	Measure(variant string) (Reading, error)
	// Close gives everything back.
	Close() error
}

// collecting is a Bench that knows before which variants garbage has to be collected; before the others it
// is not. With millions of objects that are kept, a collection takes longer than what is measured.
type collecting interface {
	collect(variant string) bool
}

// Reading is what one measurement says.
type Reading struct {
	Value float64 // in the variant's unit
	Bytes int64   // worked on; 0 where size does not matter
	Dirty float64 // percent of its pages that are written each time; 0 where that is no question
	Trace *trace  // what it was like over time; nil: not told
}

const usage = "usage: go run ./bench [-json] [-size 1GiB] [-rounds 5] [-quick] [-only TEXT] [-dir DIR] CASE...\n       go run ./bench report [-out DIR] [-quick]      everything, with plots\n       go run ./bench compare OLD.jsonl NEW.jsonl     has something become slower?"

// everything stands for all cases on the command line.
const everything = "all"

// pick finds cases by name, in the order in which they were asked for.
func pick(all []*Case, names []string) ([]*Case, error) {
	var picked []*Case
	for _, name := range names {
		if name == everything {
			picked = append(picked, all...)
			continue
		}
		i := slices.IndexFunc(all, func(c *Case) bool { return c.Name == name })
		if i < 0 {
			known := make([]string, len(all))
			for i, c := range all {
				known[i] = c.Name
			}
			return nil, fmt.Errorf("no case %q: there are %s, and %q", name, strings.Join(known, ", "), everything)
		}
		picked = append(picked, all[i])
	}
	return picked, nil
}

// list says what there is.
func list(w io.Writer, all []*Case) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n\ncases (%q runs every one):\n", usage, everything)
	for _, c := range all {
		fmt.Fprintf(&b, "\n  %-12s %s (%v by default)\n", c.Name, c.About, c.Size)
		for _, v := range c.Variants {
			fmt.Fprintf(&b, "  %-12s   %-26s %s\n", "", v.Name, v.Unit)
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// check finds mistakes in the definition of a case.
func (c *Case) check() error {
	var errs []error
	unit := map[string]string{}
	for _, v := range c.Variants {
		if unit[v.Name] != "" {
			errs = append(errs, fmt.Errorf("%s: variant %s twice", c.Name, v.Name))
		}
		unit[v.Name] = v.Unit
	}
	for _, v := range c.Variants {
		if v.Reference != "" && unit[v.Reference] != v.Unit {
			errs = append(errs, fmt.Errorf("%s: %s in %s refers to %s in %q", c.Name, v.Name, v.Unit, v.Reference, unit[v.Reference]))
		}
	}
	for _, b := range c.Bounds {
		if unit[b.Left] == "" {
			errs = append(errs, fmt.Errorf("%s: bound %v is on nothing", c.Name, b))
		}
		for _, right := range b.rights() {
			if unit[b.Left] != unit[right] {
				errs = append(errs, fmt.Errorf("%s: bound %v compares %q with %q", c.Name, b, unit[b.Left], unit[right]))
			}
		}
	}
	if c.Size < minSize || c.Quick < minSize {
		errs = append(errs, fmt.Errorf("%s: sizes %v and %v: want at least %v", c.Name, c.Size, c.Quick, size(minSize)))
	}
	return errors.Join(errs...)
}
