package main

import (
	"math/rand/v2"
	"testing"
)

func randomPages(n int) []uint64 {
	rng := rand.New(rand.NewPCG(1, uint64(n)))
	p := make([]uint64, n)
	for i := range p {
		p[i] = rng.Uint64()
	}
	return p
}

// find lets two peers talk until the search has ended.
func find(t *testing.T, a, b []uint64) (page, questions int) {
	t.Helper()
	mine, theirs := &history{}, &history{}
	mine.add(1, a)
	theirs.add(2, b)
	s := newSearch(1, 0)
	for !s.done {
		if questions++; questions > 10 {
			t.Fatal("the search does not end")
		}
		ask := s.ask
		s.hear(mine, theirs.answer(ask))
		s.hear(mine, theirs.answer(ask)) // once more: the network may double it
	}
	return s.page, questions
}

func TestSearchFindsTheFirstPageThatDiffers(t *testing.T) {
	for _, n := range []int{1, 2, 63, 64, 65, 4096, 9401, 300000} {
		for _, page := range []int{0, n / 3, n - 1} {
			a, b := randomPages(n), randomPages(n)
			b[page]++
			if page+5 < n {
				b[page+5]++
			}
			if got, questions := find(t, a, b); got != page || questions > 4 {
				t.Errorf("%d pages: found page %d by %d questions, want %d by at most 4", n, got, questions, page)
			}
		}
	}
	if got, _ := find(t, randomPages(10), append(randomPages(10), 0, 5)); got != 11 {
		t.Errorf("one has more pages: found %d, want 11", got)
	}
	if got, _ := find(t, randomPages(10), randomPages(10)); got != pageUnknown {
		t.Errorf("nothing differs: found page %d", got)
	}
}

func TestSearchEndsWhereAFrameIsForgotten(t *testing.T) {
	mine, theirs := &history{}, &history{}
	for range kept + 3 {
		mine.add(1, randomPages(3))
	}
	theirs.add(2, randomPages(3))
	s := newSearch(1, 2)
	if s.hear(mine, theirs.answer(s.ask)); !s.done || s.page != pageUnknown {
		t.Errorf("the search is %+v", s)
	}
}

func TestHistoryCountsPagesThatChange(t *testing.T) {
	h := &history{}
	if n := h.add(0, []uint64{1, 2, 3}); n != 0 {
		t.Errorf("the first frame: %d pages", n)
	}
	if n := h.add(0, []uint64{1, 5, 3, 4}); n != 2 {
		t.Errorf("%d pages, want 2", n)
	}
}
