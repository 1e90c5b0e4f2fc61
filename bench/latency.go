package main

import (
	"math/bits"
	"time"
)

// latencies are any number of durations in fixed memory: buckets that are a
// thirty-second wide, with the exact sum of what is in each.
//
// Quantiles are of time, not of updates. A writer that is held for 40 ms has one slow
// update among thousands of quick ones, while those whom it serves send as they
// always do, and find it held four times out of five in a window of 50 ms
// (coordinated omission). So the quantile q is the latency that, at q of all
// instants, the update under way then does not exceed.
type latencies struct {
	count   [latencyBuckets]int64
	sum     [latencyBuckets]time.Duration
	number  int64
	total   time.Duration
	longest time.Duration
}

const (
	bucketBits     = 5
	latencyBuckets = (64 - bucketBits) << bucketBits
)

// latencyBucket keeps the six highest digits of d.
func latencyBucket(d time.Duration) int {
	shift := max(bits.Len64(uint64(d))-bucketBits-1, 0)
	return shift<<bucketBits + int(d>>shift)
}

// add takes one more.
func (l *latencies) add(d time.Duration) {
	d = max(d, 0)
	b := latencyBucket(d)
	l.count[b]++
	l.sum[b] += d
	l.number++
	l.total += d
	l.longest = max(l.longest, d)
}

// merge takes all of o.
func (l *latencies) merge(o *latencies) {
	for b := range o.count {
		l.count[b] += o.count[b]
		l.sum[b] += o.sum[b]
	}
	l.number += o.number
	l.total += o.total
	l.longest = max(l.longest, o.longest)
}

// mean is that of the durations; 0 if there are none.
func (l *latencies) mean() float64 {
	return float64(l.total) / float64(max(l.number, 1))
}

// quantile is within 3 % of the quantile q of the time; 0 if there are none.
func (l *latencies) quantile(q float64) time.Duration {
	rest := time.Duration((1 - q) * float64(l.total))
	for b := len(l.sum) - 1; b >= 0; b-- {
		if rest -= l.sum[b]; rest < 0 {
			return l.sum[b] / time.Duration(l.count[b])
		}
	}
	return 0
}
