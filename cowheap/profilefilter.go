package cowheap

import (
	"math/bits"
	"sync/atomic"
)

// sampleFilter answers for nearly all offsets that they were not sampled, at the
// price of one load: most frees are of those. It has a bit for each hash, and counts
// the samples behind each: without, a place that is allocated and freed in turn would
// be taken for sampled ever after.
type sampleFilter struct {
	shift uint8
	most  int // samples it is good for
	words []atomic.Uint64
	// Guarded by the profiler's mu.
	counts []uint16
}

// newSampleFilter makes a filter for n samples, of which one in 16 offsets is
// mistaken when it is full.
func newSampleFilter(n int) *sampleFilter {
	log := bits.Len(uint(max(n, 64)-1)) + 4
	return &sampleFilter{shift: uint8(64 - log), most: 1 << (log - 4), words: make([]atomic.Uint64, 1<<(log-6)), counts: make([]uint16, 1<<log)}
}

func (f *sampleFilter) hash(off uint64) uint64 { return off >> 4 * 0x9e3779b97f4a7c15 >> f.shift }

func (f *sampleFilter) has(off uint64) bool {
	h := f.hash(off)
	return f.words[h>>6].Load()>>(h&63)&1 != 0
}

func (f *sampleFilter) set(off uint64) {
	h := f.hash(off)
	f.counts[h]++
	f.words[h>>6].Or(1 << (h & 63))
}

// unset undoes a set.
func (f *sampleFilter) unset(off uint64) {
	h := f.hash(off)
	if f.counts[h]--; f.counts[h] == 0 {
		f.words[h>>6].And(^uint64(1 << (h & 63)))
	}
}
