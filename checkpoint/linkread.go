package checkpoint

import "github.com/cowheap/cowheap/internal/block"

// readHeader reads and verifies the header of a region's block into buf, 4096
// bytes.
func (l *link) readHeader(region int, buf []byte) (block.Header, error) {
	h := block.Header(buf[:block.HeaderSize])
	if err := l.readAt(h, l.blockOffset(region), "block"); err != nil {
		return nil, err
	}
	return h, l.checkHeader(region, h)
}

// checkHeader verifies a block's header by itself, by the file's header and by
// the index.
func (l *link) checkHeader(region int, h block.Header) error {
	off := l.blockOffset(region)
	got, err := checkBlockHeader(l.header, off, h)
	if err != nil {
		return err
	}
	if got != int64(region) || h.Size() != l.blockSize(region) {
		return corrupt(l.header.info.Path, off, "the index promises %d bytes of region %d, the block has %d bytes of region %d",
			l.blockSize(region), region, h.Size(), got)
	}
	if (h.Codec() != block.Raw) != l.isCompressed(region) {
		return corrupt(l.header.info.Path, off, "index and block do not agree whether region %d is compressed", region)
	}
	return nil
}

// readBlock reads the block of a region into buf, by one pread, verifies all of
// it, and returns header and pages. Those of a compressed one are in out.
func (l *link) readBlock(region int, buf []byte, out *ioBuffer) (Block, error) {
	off := l.blockOffset(region)
	buf = buf[:l.blockSize(region)]
	if err := l.readAt(buf, off, "block"); err != nil {
		return Block{}, err
	}
	h := block.Header(buf[:block.HeaderSize])
	pages := buf[block.HeaderSize:]
	if err := l.checkHeader(region, h); err != nil {
		return Block{}, err
	}
	if h.Codec() != block.Raw {
		stored := pages
		pages = out[:h.Count()*block.PageSize]
		if err := expandBlock(l.header.info.Path, off, h, pages, stored); err != nil {
			return Block{}, err
		}
	}
	if err := h.CheckPages(pages); err != nil {
		return Block{}, blockError(l.header.info.Path, off, h, err)
	}
	return Block{Region: region, Header: h, Pages: pages}, nil
}

// source is one link's part in a region: its block's header, and what of the
// region comes from it.
type source struct {
	link   *link
	region int
	head   block.Header
	pages  block.Pages
	piece  int    // what stands in pieces: that of this number, -1 for none
	pieces []byte // room for one, when it is needed
}

// read reads n stored pages from the rank-th on into dst. They are not verified
// but for what was compressed.
func (s *source) read(dst []byte, rank, n int) error {
	off := s.link.blockOffset(s.region)
	if s.head.Codec() == block.Raw {
		return s.link.readAt(dst[:n*block.PageSize], off+block.HeaderSize+int64(rank)*block.PageSize, "pages")
	}
	for n > 0 {
		i := rank / block.PiecePages
		p := s.head.Piece(i)
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
			if s.piece != i {
				if s.pieces == nil {
					s.pieces = make([]byte, block.PieceSize)
				}
				s.piece = -1
				err = s.expand(p, at, s.pieces[:p.Count*block.PageSize])
			}
			if err == nil {
				s.piece = i
				copy(dst, s.pieces[skip*block.PageSize:][:k*block.PageSize])
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

// expand reads a compressed piece at offset at.
func (s *source) expand(p block.Piece, at int64, dst []byte) error {
	scratch := scratchPool.Get().(*[]byte)
	defer scratchPool.Put(scratch)
	stored := (*scratch)[:p.Size]
	if err := s.link.readAt(stored, at, "compressed pages"); err != nil {
		return err
	}
	return expandPiece(s.link.header.info.Path, at, s.head.Codec(), p, dst, stored)
}

// check verifies page i of the region.
func (s *source) check(page []byte, i int) error {
	want, got := s.head.PageCRC(i), block.CRC(page)
	if want == got {
		return nil
	}
	return pageError(s.link.header.info.Path, s.link.blockOffset(s.region), s.head, i, want, got)
}
