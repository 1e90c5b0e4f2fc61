package checkpoint

import "github.com/cowheap/cowheap/internal/block"

// source is one link's part in a region: its block's header, and what of the
// region comes from it.
type source struct {
	link   *link
	region int
	head   block.Header // of the region's pages; of those in a sparse block what a block of their own would have
	stored block.Header // as it stands in the file: head, or that of a sparse block
	before int          // stored pages of a sparse block before the region's
	pages  block.Pages
	kept   *keptPiece
}

// keptPiece is a piece of a file that was expanded for some of its pages: of a
// sparse block the regions that come next most likely want others.
type keptPiece struct {
	link  uint64 // number of the link that it is of, 0: there is none
	at    int64  // where it starts in the file
	pages []byte // room for one, when it is needed
}

// read reads n stored pages of the region from the rank-th on into dst. They are
// not verified but for what was compressed.
func (s *source) read(dst []byte, rank, n int) error {
	off := s.link.blockOffset(s.region)
	rank += s.before
	if s.stored.Codec() == block.Raw {
		return s.link.readAt(dst[:n*block.PageSize], off+block.HeaderSize+int64(rank)*block.PageSize, "pages")
	}
	for n > 0 {
		p := s.stored.Piece(rank / block.PiecePages)
		skip := rank - p.Rank
		k := min(n, p.Count-skip)
		at := off + int64(p.Offset)
		var err error
		switch {
		case p.IsRaw():
			err = s.link.readAt(dst[:k*block.PageSize], at+int64(skip)*block.PageSize, "pages")
		case k == p.Count:
			err = s.expand(p, at, dst[:k*block.PageSize])
		default:
			if err = s.keep(p, at); err == nil {
				copy(dst, s.kept.pages[skip*block.PageSize:][:k*block.PageSize])
			}
		}
		if err != nil {
			return err
		}
		dst = dst[k*block.PageSize:]
		rank += k
		n -= k
	}
	return nil
}

// keep makes sure that the kept piece is the one at offset at.
func (s *source) keep(p block.Piece, at int64) error {
	if s.kept.link == s.link.number && s.kept.at == at {
		return nil
	}
	if s.kept.pages == nil {
		s.kept.pages = make([]byte, block.PieceSize)
	}
	s.kept.link = 0
	if err := s.expand(p, at, s.kept.pages[:p.Count*block.PageSize]); err != nil {
		return err
	}
	s.kept.link, s.kept.at = s.link.number, at
	return nil
}

// expand reads a compressed piece at offset at.
func (s *source) expand(p block.Piece, at int64, dst []byte) error {
	scratch := scratchPool.Get().(*[]byte)
	defer scratchPool.Put(scratch)
	stored := (*scratch)[:p.Size]
	if err := s.link.readAt(stored, at, "compressed pages"); err != nil {
		return err
	}
	return expandPiece(s.link.header.info.Path, at, s.stored, p, dst, stored)
}

// check verifies page i of the region.
func (s *source) check(page []byte, i int) error {
	want, got := s.head.PageCRC(i), block.CRC(page)
	if want == got {
		return nil
	}
	return pageError(s.link.header.info.Path, s.link.blockOffset(s.region), s.stored, s.before+s.head.Rank(i), want, got)
}
