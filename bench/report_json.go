package main

import (
	"encoding/json"
	"io"
	"math"
)

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

// writeJSON is the report for programs: one object a line, a line a variant and
// then a line a bound, apart from bounds on what was skipped.
func (r *Report) writeJSON(w io.Writer) error {
	lines := json.NewEncoder(w)
	lines.SetEscapeHTML(false) // bounds have < and > in them
	for _, f := range r.Figures {
		if err := lines.Encode(r.line(f)); err != nil {
			return err
		}
	}
	for _, v := range r.Verdicts {
		if math.IsNaN(v.Got) || math.IsInf(v.Got, 0) {
			continue // not in JSON
		}
		line := boundLine{r.Case.Name, v.Bound.String(), v.Bound.Factor, shorten(v.Got), v.OK}
		if err := lines.Encode(line); err != nil {
			return err
		}
	}
	return nil
}

// line is a variant's line.
func (r *Report) line(f *Figure) any {
	if len(f.Samples) == 0 {
		return skippedLine{r.Case.Name, f.Variant.Name, f.Skipped.Error()}
	}
	return figureLine{
		Case: r.Case.Name, Variant: f.Variant.Name, Unit: f.Variant.Unit,
		Value: shorten(f.Median()), N: len(f.Samples), Min: shorten(f.Min()), Max: shorten(f.Max()),
		Bytes: f.Bytes, Dirty: f.Dirty, Quick: r.Quick,
	}
}

// shorten keeps four digits after the point.
func shorten(v float64) float64 { return math.Round(v*1e4) / 1e4 }
