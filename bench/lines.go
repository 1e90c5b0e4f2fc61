package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
)

// machineLine says where and how the lines that follow were measured.
type machineLine struct {
	Machine   string  `json:"machine"`    // the processor's model
	CPUs      int     `json:"cpus"`       // that may be used
	Memory    int64   `json:"memory"`     // bytes
	System    string  `json:"system"`     // operating system and architecture
	Kernel    string  `json:"kernel"`     // its release
	HugePages string  `json:"huge_pages"` // madvise, always or never
	Go        string  `json:"go"`
	Commit    string  `json:"commit,omitempty"`
	Command   string  `json:"command"`
	Time      string  `json:"time"` // UTC, when it began
	Load      float64 `json:"load"` // of the last minute before
}

// caseLine precedes a case's figures.
type caseLine struct {
	Case    string  `json:"case"`
	About   string  `json:"about"`
	Size    int64   `json:"size"` // bytes
	Rounds  int     `json:"rounds"`
	Seconds float64 `json:"seconds"`          // that it took
	Failed  string  `json:"failed,omitempty"` // why it ended early
}

// figureLine is a variant's line. Value is the median of N samples.
type figureLine struct {
	Case    string  `json:"case"`
	Variant string  `json:"variant"`
	Unit    string  `json:"unit"`
	Value   float64 `json:"value"`
	N       int     `json:"n"`
	Min     float64 `json:"min"`
	Max     float64 `json:"max"`
	Bytes   int64   `json:"bytes,omitempty"`
	Dirty   float64 `json:"dirty,omitempty"` // percent of the pages that are written each time
	Quick   bool    `json:"quick,omitempty"` // the figure means nothing

	Reference string    `json:"reference,omitempty"` // variant of the case that its ratio is taken to
	Samples   []float64 `json:"samples,omitempty"`   // one a round
}

// skippedLine is the line of a variant that could not be measured here.
type skippedLine struct {
	Case    string `json:"case"`
	Variant string `json:"variant"`
	Skipped string `json:"skipped"` // why
}

// boundLine is a bound's line: Got is the ratio, Want what it is compared with.
type boundLine struct {
	Case  string  `json:"case"`
	Bound string  `json:"bound"`
	Want  float64 `json:"want"`
	Got   float64 `json:"got"`
	OK    bool    `json:"ok"`
}

// seriesLine is a trace: compare passes over it.
type seriesLine struct {
	Case string `json:"case"`
	trace
}

// writeJSON is the report for programs: one object a line, a line a variant, one a
// trace and then one a bound, apart from bounds on what was skipped.
func (o *Outcome) writeJSON(w io.Writer) error {
	lines := json.NewEncoder(w)
	lines.SetEscapeHTML(false) // bounds have < and > in them
	for _, f := range o.Figures {
		if len(f.Samples) == 0 && f.Skipped == nil {
			continue // the run ended before
		}
		if err := lines.Encode(o.line(f)); err != nil {
			return err
		}
	}
	for _, f := range o.Figures {
		if t := f.Trace(); t != nil {
			if err := lines.Encode(seriesLine{o.Case.Name, *t}); err != nil {
				return err
			}
		}
	}
	for _, v := range o.Verdicts {
		if math.IsNaN(v.Got) || math.IsInf(v.Got, 0) {
			continue // not in JSON
		}
		line := boundLine{o.Case.Name, v.Bound.String(), v.Bound.Factor, shorten(v.Got), v.OK}
		if err := lines.Encode(line); err != nil {
			return err
		}
	}
	return nil
}

// line is a variant's line.
func (o *Outcome) line(f *Figure) any {
	if len(f.Samples) == 0 {
		return skippedLine{o.Case.Name, f.Variant.Name, f.Skipped.Error()}
	}
	samples := make([]float64, len(f.Samples))
	for i, v := range f.Samples {
		samples[i] = shorten(v)
	}
	return figureLine{
		Case: o.Case.Name, Variant: f.Variant.Name, Unit: f.Variant.Unit,
		Value: shorten(f.Median()), N: len(f.Samples), Min: shorten(f.Min()), Max: shorten(f.Max()),
		Bytes: f.Bytes, Dirty: f.Dirty, Quick: o.Quick,
		Reference: f.Variant.Reference, Samples: samples,
	}
}

// shorten keeps four digits after the point.
func shorten(v float64) float64 { return math.Round(v*1e4) / 1e4 }

// measurements is what a file of lines says.
type measurements struct {
	Machine machineLine // zero if there is none
	Cases   []*measuredCase
}

// measuredCase is what was said of one case.
type measuredCase struct {
	caseLine // but for the name, zero if there is none
	Figures  []figureLine
	Skipped  []skippedLine
	Bounds   []boundLine
	Traces   []seriesLine
}

// readLines reads what writeJSON and report write. Figures of a case that come twice are
// an error: nobody could tell which counts.
func readLines(r io.Reader) (*measurements, error) {
	m := new(measurements)
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 1<<20)
	for number := 1; lines.Scan(); number++ {
		if len(lines.Bytes()) == 0 {
			continue
		}
		if err := m.read(lines.Bytes()); err != nil {
			return nil, fmt.Errorf("line %d: %w", number, err)
		}
	}
	return m, lines.Err()
}

// read takes one line.
func (m *measurements) read(line []byte) error {
	var kind struct{ Machine, Case, Variant, Unit, Skipped, Bound, Series string }
	if err := json.Unmarshal(line, &kind); err != nil {
		return err
	}
	if kind.Machine != "" {
		return json.Unmarshal(line, &m.Machine)
	}
	if kind.Case == "" {
		return errors.New("neither a machine nor a case: want lines of go run ./bench -json or report")
	}
	c := m.caseOf(kind.Case)
	if c == nil {
		c = &measuredCase{caseLine: caseLine{Case: kind.Case}}
		m.Cases = append(m.Cases, c)
	}
	switch {
	case kind.Skipped != "":
		return appendLine(&c.Skipped, line)
	case kind.Bound != "":
		return appendLine(&c.Bounds, line)
	case kind.Series != "":
		return appendLine(&c.Traces, line)
	case kind.Variant == "":
		return json.Unmarshal(line, &c.caseLine)
	case c.figure(kind.Variant) != nil:
		return fmt.Errorf("%s: %s is there twice", kind.Case, kind.Variant)
	}
	return appendLine(&c.Figures, line)
}

func appendLine[T any](all *[]T, line []byte) error {
	var one T
	err := json.Unmarshal(line, &one)
	*all = append(*all, one)
	return err
}

// caseOf is the case of that name, nil if there is none.
func (m *measurements) caseOf(name string) *measuredCase {
	for _, c := range m.Cases {
		if c.Case == name {
			return c
		}
	}
	return nil
}

// figure is that of a variant, nil if there is none.
func (c *measuredCase) figure(variant string) *figureLine {
	for i := range c.Figures {
		if c.Figures[i].Variant == variant {
			return &c.Figures[i]
		}
	}
	return nil
}
