package main

import (
	"math"
	"math/rand/v2"
	"sort"
)

// zipfTheta is the exponent of the usual skewed load (YCSB): the n-th page is chosen in
// proportion to 1/n^0.99.
const zipfTheta = 0.99

// zipfSequence is length pages out of total, chosen with that skew, the same
// ones at every call. Which pages are hot is a matter of chance, so that they do
// not lie side by side.
func zipfSequence(total, length int) []uint32 {
	sums := make([]float64, total)
	sum := 0.0
	for i := range sums {
		sum += math.Pow(float64(i+1), -zipfTheta)
		sums[i] = sum
	}
	place := samplePages(total, total)
	source := rand.New(rand.NewPCG(3, 1<<12))
	sequence := make([]uint32, length)
	for i := range sequence {
		rank := sort.SearchFloat64s(sums, source.Float64()*sum)
		sequence[i] = place[min(rank, total-1)]
	}
	return sequence
}
