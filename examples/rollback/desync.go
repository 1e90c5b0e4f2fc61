package main

// history is the checksums of the frames that are final, which all peers must
// agree on, and for the latest of them the checksum of each page.
type history struct {
	sums  []uint64
	pages [kept][]uint64 // of frame f in pages[f%kept]
}

// kept is how many frames back a page can be named: a peer hears of a checksum at most a
// window and a few lost packets later than it computed its own, and stops when they
// differ, and everybody else with it.
const kept = 64

// add adds the next frame, and says how many pages differ from the one before.
func (h *history) add(sum uint64, pages []uint64) (changed int) {
	frame := len(h.sums)
	h.sums = append(h.sums, sum)
	h.pages[frame%kept] = pages
	if frame == 0 {
		return 0
	}
	before := h.pages[(frame-1)%kept]
	for i, p := range pages {
		if i >= len(before) || before[i] != p {
			changed++
		}
	}
	return changed
}

// answer sums up the pages of a frame in parts of a range.
func (h *history) answer(ask pages) pages {
	a := pages{frame: ask.frame, low: ask.low, high: ask.high}
	frame := int(ask.frame)
	if frame >= len(h.sums) || frame < len(h.sums)-kept {
		return a
	}
	a.known = true
	sums := h.pages[frame%kept]
	for i := range a.sums {
		low, high := part(ask.low, ask.high, i)
		low, high = min(low, uint32(len(sums))), min(high, uint32(len(sums)))
		for _, sum := range sums[low:high] {
			a.sums[i] += sum
		}
	}
	return a
}

// part is the i-th of the parts that [low, high) has. The last ones may be empty.
func part(low, high uint32, i int) (uint32, uint32) {
	n := (uint64(high-low) + parts - 1) / parts
	from := min(uint64(low)+uint64(i)*n, uint64(high))
	return uint32(from), uint32(min(from+n, uint64(high)))
}

// search looks for the first page in which a frame differs from another peer's. The page
// checksums of a frame add up to its checksum, so it asks for those of 64 parts, then of
// the parts of the first that differs: four packets for 64 GiB.
type search struct {
	peer  int
	frame int
	ask   pages
	page  int // found; unknown: pageUnknown
	done  bool
}

const pageUnknown = -1

func newSearch(peer, frame int) *search {
	return &search{peer: peer, frame: frame, page: pageUnknown, ask: pages{frame: uint32(frame), high: parts * parts * parts * parts}}
}

// hear takes the other peer's answer.
func (s *search) hear(h *history, theirs pages) {
	if s.done || theirs.frame != s.ask.frame || theirs.low != s.ask.low || theirs.high != s.ask.high {
		return // to an earlier question
	}
	mine := h.answer(s.ask)
	if !mine.known || !theirs.known {
		s.done = true
		return
	}
	i := 0
	for i < parts && mine.sums[i] == theirs.sums[i] {
		i++
	}
	if i == parts {
		s.done = true // the checksums differ and the pages do not: one of us did not tell the truth
		return
	}
	s.ask.low, s.ask.high = part(s.ask.low, s.ask.high, i)
	if s.ask.high-s.ask.low == 1 {
		s.page, s.done = int(s.ask.low), true
	}
}
