package main

import (
	"math/bits"
	"time"
)

// costs is what the game's frames took.
type costs struct {
	Save, Load, Step histogram
	Frame            histogram // of Save and Load in a frame, as the player sees frames
	Rollbacks        int
	Deepest          int // frames
	Again            int // frames simulated again
	Changed, Final   int // pages that differ from the frame before, summed up over this many frames

	frame time.Duration
}

func (c *costs) save(d time.Duration) { c.Save.add(d); c.frame += d }
func (c *costs) load(d time.Duration) { c.Load.add(d); c.frame += d }
func (c *costs) step(d time.Duration) { c.Step.add(d) }

// end ends a frame.
func (c *costs) end() {
	c.Frame.add(c.frame)
	c.frame = 0
}

func (c *costs) rollback(depth int) {
	c.Rollbacks++
	c.Again += depth
	c.Deepest = max(c.Deepest, depth)
}

func (c *costs) changed(pages int) {
	c.Changed += pages
	c.Final++
}

// merge adds another peer's.
func (c *costs) merge(o costs) {
	c.Save.merge(o.Save)
	c.Load.merge(o.Load)
	c.Step.merge(o.Step)
	c.Frame.merge(o.Frame)
	c.Rollbacks += o.Rollbacks
	c.Again += o.Again
	c.Deepest = max(c.Deepest, o.Deepest)
	c.Changed += o.Changed
	c.Final += o.Final
}

// histogram counts durations in buckets 3 % wide.
type histogram struct {
	Count map[int]int
	N     int
	Max   time.Duration
}

func (h *histogram) add(d time.Duration) {
	if h.Count == nil {
		h.Count = map[int]int{}
	}
	h.Count[bucket(d)]++
	h.N++
	h.Max = max(h.Max, d)
}

func (h *histogram) merge(o histogram) {
	if h.Count == nil {
		h.Count = map[int]int{}
	}
	for b, n := range o.Count {
		h.Count[b] += n
	}
	h.N += o.N
	h.Max = max(h.Max, o.Max)
}

const (
	fineBits = 5 // a power of two has 32 buckets
	buckets  = 64 << fineBits
)

func bucket(d time.Duration) int {
	n := uint64(max(d, 1<<fineBits)) // below 32 ns it does not matter
	e := bits.Len64(n) - fineBits - 1
	return e<<fineBits | int(n>>e)&(1<<fineBits-1)
}

// lower is the least duration in a bucket.
func lower(b int) time.Duration {
	return time.Duration((1<<fineBits | b&(1<<fineBits-1)) << (b >> fineBits))
}

// quantile is what a share q of all do not exceed, to 3 %.
func (h *histogram) quantile(q float64) time.Duration {
	left := int(q * float64(h.N))
	for b := range buckets {
		if left -= h.Count[b]; left < 0 {
			return min(lower(b+1), h.Max)
		}
	}
	return h.Max
}
