package main

import (
	"errors"
	"testing"
)

func TestOneMeasurementServesEachVariantOnce(t *testing.T) {
	b, made := batch{}, 0
	measure := func() (map[string]Reading, error) {
		made++
		return map[string]Reading{"x": {Value: float64(made)}, "y": {Value: float64(10 * made)}}, nil
	}
	// Rounds begin with another variant each.
	for i, want := range []struct {
		variant string
		value   float64
	}{{"x", 1}, {"y", 10}, {"y", 20}, {"x", 2}, {"x", 3}, {"x", 4}, {"y", 40}} {
		r, err := b.take("m", want.variant, measure)
		if err != nil || r.Value != want.value {
			t.Errorf("number %d: %s is %v, want %v; error %v", i, want.variant, r.Value, want.value, err)
		}
	}
	broken := errors.New("broken")
	if _, err := b.take("other", "x", func() (map[string]Reading, error) { return nil, broken }); err != broken {
		t.Errorf("error %v", err)
	}
}
