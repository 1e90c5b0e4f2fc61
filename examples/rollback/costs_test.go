package main

import (
	"encoding/json"
	"testing"
	"time"
)

func TestHistogramQuantiles(t *testing.T) {
	var a, b histogram
	for i := range 1000 {
		h := &a
		if i%2 == 1 {
			h = &b
		}
		h.add(time.Duration(i+1) * time.Microsecond)
	}
	text, err := json.Marshal(b) // as it comes from another process
	if err != nil {
		t.Fatal(err)
	}
	var c histogram
	if err := json.Unmarshal(text, &c); err != nil {
		t.Fatal(err)
	}
	a.merge(c)
	for q, want := range map[float64]time.Duration{0: time.Microsecond, 0.5: 500 * time.Microsecond, 0.99: 990 * time.Microsecond, 1: time.Millisecond} {
		if got := a.quantile(q); got < want || float64(got) > 1.05*float64(want) {
			t.Errorf("quantile %v is %v, want %v", q, got, want)
		}
	}
	if a.N != 1000 || a.Max != time.Millisecond {
		t.Errorf("%d durations up to %v", a.N, a.Max)
	}
	if (&histogram{}).quantile(0.5) != 0 {
		t.Error("an empty histogram has a median")
	}
}

func TestBucketsAreInOrder(t *testing.T) {
	for d := time.Duration(1); d < time.Hour; d += d/7 + 1 {
		b := bucket(d)
		if low, high := lower(b), lower(b+1); d >= 32 && (d < low || d >= high) {
			t.Fatalf("%d is in bucket %d, from %d to %d", d, b, low, high)
		}
	}
}
