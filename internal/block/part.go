package block

import (
	"encoding/binary"
	"iter"
)

// Part is what a sparse block has of one region.
type Part struct {
	Region int64
	First  int // its first entry
	Len    int // number of its entries
	Rank   int // stored pages of the block before it
	Count  int // stored pages in it
}

// PartAt is what a checked header has of the region of entry first, which must be
// the first of that region. rank is the number of stored pages before it. Its Len
// is 0 if there is no such entry.
func (s Sparse) PartAt(first, rank int) Part {
	p := Part{First: first, Rank: rank}
	for i := first; i < s.Len(); i++ {
		e := s.Entry(i)
		if p.Len > 0 && e.Region != p.Region {
			break
		}
		p.Region = e.Region
		p.Len++
		if !e.Zero {
			p.Count++
		}
	}
	return p
}

// Parts yields the regions that a checked header has entries of, ascending.
func (s Sparse) Parts() iter.Seq[Part] {
	return func(yield func(Part) bool) {
		for p := s.PartAt(0, 0); p.Len > 0 && yield(p); {
			p = s.PartAt(p.First+p.Len, p.Rank+p.Count)
		}
	}
}

// Part is what a checked header has of a region. Its Len is 0 if that is nothing.
func (s Sparse) Part(region int64) Part {
	for p := range s.Parts() {
		if p.Region == region {
			return p
		}
	}
	return Part{Region: region}
}

// PutHeader makes h the header of the block, not compressed, that would have the
// pages of p and nothing else. h must not be s.
func (s Sparse) PutHeader(p Part, h Header) {
	h.Reset(uint32(p.Region), Header(s).ID())
	for i := range p.Len {
		if e := s.Entry(p.First + i); e.Zero {
			h.SetZero(e.Page)
		} else {
			h.SetPage(e.Page, e.CRC)
		}
	}
	h.Seal()
}

// PageOf is which page the rank-th stored page of a checked header is.
func (s Sparse) PageOf(rank int) Entry {
	for i := range s.Len() {
		if binary.LittleEndian.Uint32(s[EntryOff+8*i:])&zeroMark != 0 {
			continue
		}
		if rank == 0 {
			return s.Entry(i)
		}
		rank--
	}
	return Entry{}
}
