package main

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

func TestQuantilesAreOfTime(t *testing.T) {
	l := new(latencies)
	for range 1000 {
		l.add(10 * time.Microsecond)
	}
	l.add(40 * time.Millisecond) // four fifths of the time
	for q, want := range map[float64]time.Duration{0.1: 10 * time.Microsecond, 0.19: 10 * time.Microsecond, 0.5: 40 * time.Millisecond, 0.999: 40 * time.Millisecond} {
		if got := l.quantile(q); got != want {
			t.Errorf("quantile %v is %v, want %v", q, got, want)
		}
	}
	if l.longest != 40*time.Millisecond || l.number != 1001 || l.total != 50*time.Millisecond {
		t.Errorf("longest %v of %d, %v in all", l.longest, l.number, l.total)
	}
	if got := new(latencies); got.quantile(0.5) != 0 || got.mean() != 0 {
		t.Errorf("quantile %v and mean %v of nothing", got.quantile(0.5), got.mean())
	}
}

// TestQuantilesAreNearTheExactOnes compares with sorted samples, taken down by
// two that are merged.
func TestQuantilesAreNearTheExactOnes(t *testing.T) {
	source := rand.New(rand.NewPCG(1, 2))
	parts := [2]latencies{}
	var samples []time.Duration
	total := time.Duration(0)
	for i := range 10_000 {
		d := time.Duration(1) << source.IntN(34) // up to 17 s
		d += time.Duration(source.Int64N(int64(d)))
		samples = append(samples, d)
		total += d
		parts[i%2].add(d)
	}
	parts[0].merge(&parts[1])
	slices.Sort(samples)
	exact := func(q float64) time.Duration {
		rest := time.Duration((1 - q) * float64(total))
		for _, d := range slices.Backward(samples) {
			if rest -= d; rest < 0 {
				return d
			}
		}
		return 0
	}
	for _, q := range []float64{0.01, 0.5, 0.9, 0.99, 0.999} {
		got, want := parts[0].quantile(q), exact(q)
		if diff := (got - want).Abs(); float64(diff) > 0.032*float64(want) {
			t.Errorf("quantile %v is %v, want %v", q, got, want)
		}
	}
	if want := samples[len(samples)-1]; parts[0].longest != want {
		t.Errorf("the longest is %v, want %v", parts[0].longest, want)
	}
}

func TestBucketsAreInOrder(t *testing.T) {
	last := -1
	for d := time.Duration(1); d > 0; d = d + d/64 + 1 {
		b := latencyBucket(d)
		if b < last || b > last+2 && last >= 0 || b >= latencyBuckets {
			t.Fatalf("%d is in bucket %d after %d", d, b, last)
		}
		last = b
	}
	if b := latencyBucket(1<<63 - 1); b != latencyBuckets-1 {
		t.Errorf("the largest is in bucket %d of %d", b, latencyBuckets)
	}
}
