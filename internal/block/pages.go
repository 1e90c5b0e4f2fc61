package block

import (
	"iter"
	"math/bits"
)

// Pages is a set of the pages of a region.
type Pages [RegionPages / 64]uint64

// StoredPages is the set of stored pages.
func (h Header) StoredPages() (p Pages) {
	for w := range p {
		p[w] = h.word(w)
	}
	return p
}

// FirstPages is the set of the pages [0, n), 0 <= n <= RegionPages.
func FirstPages(n int) (p Pages) {
	for w := range p {
		switch k := n - 64*w; {
		case k >= 64:
			p[w] = ^uint64(0)
		case k > 0:
			p[w] = 1<<k - 1
		}
	}
	return p
}

// And is the set of the pages that are in both.
func (p Pages) And(q Pages) Pages {
	for w := range p {
		p[w] &= q[w]
	}
	return p
}

// Without is the set of the pages that are in p and not in q.
func (p Pages) Without(q Pages) Pages {
	for w := range p {
		p[w] &^= q[w]
	}
	return p
}

// Add puts page 0 <= i < RegionPages in.
func (p *Pages) Add(i int) { p[i/64] |= 1 << (i % 64) }

// Has reports whether page 0 <= i < RegionPages is in.
func (p *Pages) Has(i int) bool { return p[i/64]>>(i%64)&1 != 0 }

// Empty reports whether no page is in.
func (p *Pages) Empty() bool { return *p == Pages{} }

// Len is the number of pages.
func (p *Pages) Len() (n int) {
	for _, w := range p {
		n += bits.OnesCount64(w)
	}
	return n
}

// Runs yields the rows of pages [first, first+n), ascending.
func (p *Pages) Runs() iter.Seq2[int, int] {
	return func(yield func(first, n int) bool) {
		for i := p.next(0, true); i < RegionPages; {
			end := p.next(i, false)
			if !yield(i, end-i) {
				return
			}
			i = p.next(end, true)
		}
	}
}

// next is the first page at or after i that is in (or is not), RegionPages if
// there is none.
func (p *Pages) next(i int, in bool) int {
	for ; i < RegionPages; i = (i/64 + 1) * 64 {
		w := p[i/64]
		if !in {
			w = ^w
		}
		if w >>= i % 64; w != 0 {
			return i + bits.TrailingZeros64(w)
		}
	}
	return RegionPages
}
