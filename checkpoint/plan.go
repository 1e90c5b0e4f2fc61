package checkpoint

import (
	"sync"

	"github.com/cowheap/cowheap/internal/block"
)

// plan says for each page of a region which link of a chain has it.
type plan struct {
	region  int
	pages   int // that are stored, in all links
	sources []source
	from    [block.RegionPages]uint16 // 1 + index into sources; 0: the page is zero
	heads   []*[block.HeaderSize]byte // room for the headers of sources, kept
	lists   []*[block.HeaderSize]byte // for those of sparse blocks, nil until there is one
	kept    []*keptPiece              // one for each link, kept for the next plan
}

var planPool = sync.Pool{New: func() any { return new(plan) }}

func (p *plan) free() {
	clear(p.sources)
	p.sources = p.sources[:0]
	planPool.Put(p)
}

// plan reads the headers of region's blocks, from the newest file to the oldest,
// until it is known where each page is. The caller frees what it returns.
func (im *Image) plan(region int) (_ *plan, err error) {
	p := planPool.Get().(*plan)
	p.region, p.pages = region, 0
	clear(p.from[:])
	defer func() {
		if err != nil {
			p.free()
		}
	}()
	want := block.FirstPages(pagesIn(int64(region), im.Size()))
	for i, l := range im.links {
		if i == len(p.kept) {
			p.kept = append(p.kept, new(keptPiece))
		}
		if l.has(region) {
			s, err := p.source(l, p.kept[i])
			if err != nil {
				return nil, err
			}
			s.pages = want.And(s.head.StoredPages())
			if !s.pages.Empty() {
				p.add(s)
			}
			want = want.Without(s.head.StoredPages()).Without(s.head.ZeroPages())
		}
		// What lies beyond the parent is zero, also where its own parents reach
		// farther.
		left := max(l.header.info.ParentSize-int64(region)*block.RegionSize, 0)
		want = want.And(block.FirstPages(int(min(left, block.RegionSize) / block.PageSize)))
		if want.Empty() {
			break
		}
	}
	return p, nil
}

// source reads the headers that say what l has of the region, into the room of the
// next source.
func (p *plan) source(l *link, kept *keptPiece) (s source, err error) {
	k := len(p.sources)
	if k == len(p.heads) {
		p.heads = append(p.heads, new([block.HeaderSize]byte))
		p.lists = append(p.lists, nil)
	}
	s = source{link: l, region: p.region, kept: kept}
	if !l.isSparse(p.region) {
		s.head, err = l.readHeader(p.region, p.heads[k][:])
		s.stored = s.head
		return s, err
	}
	if p.lists[k] == nil {
		p.lists[k] = new([block.HeaderSize]byte)
	}
	if s.stored, err = l.readHeader(p.region, p.lists[k][:]); err != nil {
		return s, err
	}
	part := block.Sparse(s.stored).Part(int64(p.region))
	s.head, s.before = p.heads[k][:], part.Rank
	block.Sparse(s.stored).PutHeader(part, s.head)
	return s, nil
}

func (p *plan) add(s source) {
	p.sources = append(p.sources, s)
	p.pages += s.pages.Len()
	for first, n := range s.pages.Runs() {
		for i := first; i < first+n; i++ {
			p.from[i] = uint16(len(p.sources))
		}
	}
}

// stored is the set of pages that some link has; all others are zero.
func (p *plan) stored() (set block.Pages) {
	for i := range p.sources {
		for w, bits := range p.sources[i].pages {
			set[w] |= bits
		}
	}
	return set
}

// read reads and verifies the pages [first, first+n), all of them stored.
func (p *plan) read(dst []byte, first, n int) error {
	for end := first + n; first < end; {
		s := &p.sources[p.from[first]-1]
		k := 1
		for first+k < end && p.from[first+k] == p.from[first] {
			k++
		}
		// Neighbours that one link has are neighbours in its block.
		rank := s.head.Rank(first)
		if err := s.read(dst, rank, k); err != nil {
			return err
		}
		for i := range k {
			if err := s.check(dst[i*block.PageSize:][:block.PageSize], first+i); err != nil {
				return err
			}
		}
		dst = dst[k*block.PageSize:]
		first += k
	}
	return nil
}

// rows calls do for each row of neighbouring pages that are in set and stored,
// at most as many at a time as fit into buf.
func (p *plan) rows(set block.Pages, buf []byte, do func(page int, pages []byte) error) error {
	set = set.And(p.stored())
	most := len(buf) / block.PageSize
	for first, n := range set.Runs() {
		for n > 0 {
			k := min(n, most)
			row := buf[:k*block.PageSize]
			if err := p.read(row, first, k); err != nil {
				return err
			}
			if err := do(first, row); err != nil {
				return err
			}
			first += k
			n -= k
		}
	}
	return nil
}
