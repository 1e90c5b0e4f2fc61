package main

import (
	"fmt"
	"math"
	"strings"
)

// axis maps values to a length in a picture.
type axis struct {
	low, high float64 // values at its ends
	log       bool
	from, to  float64 // where these are
	unit      string
}

// logFrom is how many times the least value the greatest must be for an axis to be logarithmic.
const logFrom = 12

// newAxis holds all the values. A linear one begins at zero, or below it if something does.
func newAxis(values []float64, unit string, from, to float64) axis {
	low, high, least := math.Inf(1), math.Inf(-1), 0.0
	for _, v := range values {
		least = min(least, v)
		if v > 0 {
			low = min(low, v)
		}
		high = max(high, v)
	}
	if high <= 0 || math.IsInf(low, 1) {
		low, high = 0, 1
	}
	a := axis{unit: unit, from: from, to: to}
	if a.log = least >= 0 && low > 0 && high/low >= logFrom; a.log {
		a.low, a.high = low/1.4, high*1.4
	} else {
		a.low, a.high = least*1.08, high*1.08
	}
	return a
}

// at is where a value is. What a logarithmic axis cannot show is at its beginning.
func (a axis) at(v float64) float64 {
	share := 0.0
	if a.log {
		share = (math.Log(max(v, a.low)) - math.Log(a.low)) / (math.Log(a.high) - math.Log(a.low))
	} else if a.high > a.low {
		share = (v - a.low) / (a.high - a.low)
	}
	return a.from + share*(a.to-a.from)
}

// ticks are values to be labelled: 1, 10, 100 on a logarithmic axis, with 3 between them if
// there are few, else round steps.
func (a axis) ticks() (all []float64) {
	// Steps are round in the unit that the labels are in.
	scale := tickScale(a.unit, a.high)
	low, high := a.low/scale, a.high/scale
	if a.log {
		between := math.Log10(high/low) < 3
		for e := math.Floor(math.Log10(low)); e <= math.Log10(high); e++ {
			for _, digit := range []float64{1, 3} {
				v := digit * math.Pow(10, e)
				if v >= low && v <= high && (digit == 1 || between) {
					all = append(all, v*scale)
				}
			}
		}
		return all
	}
	step := math.Pow(10, math.Floor(math.Log10((high-low)/3)))
	for _, factor := range []float64{1, 2, 5, 10} {
		if (high-low)/(step*factor) <= 6 {
			step *= factor
			break
		}
	}
	for v := math.Ceil(low/step) * step; v <= high; v += step {
		all = append(all, v*scale)
	}
	return all
}

// tickScale is what ticks are multiples of: bytes go by 1,024, and everything else by 10.
func tickScale(unit string, high float64) float64 {
	if unit != "MiB" {
		return 1
	}
	if high >= 2048 {
		return 1024
	}
	return 1
}

// nanoseconds are how many there are in units of time.
var nanoseconds = map[string]float64{"ns": 1, "us": 1e3, "ms": 1e6, "s": 1e9}

// formatUnit writes a value and a unit that suits it: 0.25 ms is 250 us.
func formatUnit(v float64, unit string) string {
	if ns, ok := nanoseconds[unit]; ok {
		return formatTime(v * ns)
	}
	switch {
	case unit == "MiB" && math.Abs(v) >= 1024:
		return shortNumber(v/1024) + " GiB"
	case unit == "B" && math.Abs(v) >= gib:
		return shortNumber(v/gib) + " GiB"
	case unit == "B" && math.Abs(v) >= mib:
		return shortNumber(v/mib) + " MiB"
	case unit == "B" && math.Abs(v) >= 1024:
		return shortNumber(v/1024) + " KiB"
	case unit == "1/ms":
		return shortNumber(v) + "/ms"
	case unit == "%":
		return shortNumber(v) + "%"
	}
	return strings.TrimSpace(shortNumber(v) + " " + unit)
}

// formatTime writes nanoseconds.
func formatTime(ns float64) string {
	switch a := math.Abs(ns); {
	case a == 0:
		return "0"
	case a < 1e3:
		return shortNumber(ns) + " ns"
	case a < 1e6:
		return shortNumber(ns/1e3) + " us"
	case a < 1e9:
		return shortNumber(ns/1e6) + " ms"
	}
	return shortNumber(ns/1e9) + " s"
}

// shortNumber has about three digits, and no zeros at its end.
func shortNumber(v float64) string {
	if v == 0 {
		return "0"
	}
	return trimZeros(formatDigits(v, []digits{{100, 0}, {10, 1}, {0.01, 2}}, significantDigits(2)))
}

func trimZeros(digits string) string {
	if !strings.Contains(digits, ".") || strings.Contains(digits, "e") {
		return digits
	}
	return strings.TrimSuffix(strings.TrimRight(digits, "0"), ".")
}

// formatSize writes bytes as people do: 64 MiB, 1.5 GiB.
func formatSize(bytes float64) string {
	switch {
	case bytes >= 1<<40:
		return shortNumber(bytes/(1<<40)) + " TiB"
	case bytes >= gib:
		return shortNumber(bytes/gib) + " GiB"
	case bytes >= mib:
		return shortNumber(bytes/mib) + " MiB"
	case bytes >= 1024:
		return shortNumber(bytes/1024) + " KiB"
	}
	return fmt.Sprintf("%.0f B", bytes)
}
