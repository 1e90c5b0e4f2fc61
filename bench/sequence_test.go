package main

import (
	"math"
	"slices"
	"testing"
)

func TestSkewedSequenceIsSkewedScatteredAndAlwaysTheSame(t *testing.T) {
	const total, length = 1000, 200_000
	s := zipfSequence(total, length)
	if !slices.Equal(s, zipfSequence(total, length)) {
		t.Error("two sequences differ")
	}
	counts := make([]float64, total)
	for _, p := range s {
		counts[p]++
	}
	sum := 0.0
	for i := range total {
		sum += math.Pow(float64(i+1), -zipfTheta)
	}
	place := samplePages(total, total)
	for _, rank := range []int{0, 1, 9} {
		want := length / sum * math.Pow(float64(rank+1), -zipfTheta)
		if got := counts[place[rank]]; math.Abs(got-want) > 0.05*want {
			t.Errorf("page number %d by heat was chosen %v times, want about %.0f", rank, got, want)
		}
	}
	if slices.IsSorted(place[:10]) {
		t.Errorf("the hot pages lie in order: %v", place[:10])
	}
}

func TestChooserGoesAroundItsSequence(t *testing.T) {
	c := chooser{sequence: []uint32{7, 8, 9}, next: 2}
	for _, want := range []uint32{9, 7, 8, 9} {
		if got := c.page(); got != want {
			t.Errorf("page %d, want %d", got, want)
		}
	}
}

func TestChooserWithoutASequenceTakesEveryPage(t *testing.T) {
	c := chooser{pages: 100}
	counts := [100]int{}
	for range 100_000 {
		counts[c.page()]++
	}
	if least, most := slices.Min(counts[:]), slices.Max(counts[:]); least < 800 || most > 1200 {
		t.Errorf("pages were chosen %d to %d times of 1000", least, most)
	}
}
