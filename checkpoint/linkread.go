package checkpoint

import "github.com/cowheap/cowheap/internal/block"

// readHeader reads and verifies the header of a region's block as it stands in the
// file, into buf, 4096 bytes.
func (l *link) readHeader(region int, buf []byte) (block.Header, error) {
	h := block.Header(buf[:block.HeaderSize])
	if err := l.readAt(h, l.blockOffset(region), "block"); err != nil {
		return nil, err
	}
	return h, l.checkHeader(region, h)
}

// checkHeader verifies a block's header by itself, by the file's header and by
// what the index says of region.
func (l *link) checkHeader(region int, h block.Header) error {
	off := l.blockOffset(region)
	sparse := l.isSparse(region)
	got, n := int64(region), 0 // as the block has it
	if sparse {
		if err := checkSparseHeader(l.header, off, block.Sparse(h)); err != nil {
			return err
		}
		n = block.Sparse(h).Part(int64(region)).Len
	} else {
		var err error
		if got, err = checkBlockHeader(l.header, off, h); err != nil {
			return err
		}
	}
	if got != int64(region) || h.Size() != l.blockSize(region) {
		return corrupt(l.header.info.Path, off, "the index promises %d bytes of region %d, the block has %d bytes of region %d",
			l.blockSize(region), region, h.Size(), got)
	}
	if n != l.partLen(region) {
		return corrupt(l.header.info.Path, off, "the index promises %d pages of region %d, the sparse block has %d", l.partLen(region), region, n)
	}
	if (h.Codec() != block.Raw) != l.isCompressed(region) {
		return corrupt(l.header.info.Path, off, "index and block do not agree whether region %d is compressed", region)
	}
	return nil
}

// readBlock reads the block of a region into buf, by one pread, verifies all of
// it, and returns its header, as it stands in the file, and its pages, of a sparse
// one all of them. Those of a compressed one are in out.
func (l *link) readBlock(region int, buf []byte, out *ioBuffer) (block.Header, []byte, error) {
	off := l.blockOffset(region)
	buf = buf[:l.blockSize(region)]
	if err := l.readAt(buf, off, "block"); err != nil {
		return nil, nil, err
	}
	h := block.Header(buf[:block.HeaderSize])
	if err := l.checkHeader(region, h); err != nil {
		return nil, nil, err
	}
	pages, err := openBlock(l.header.info.Path, off, h, buf[block.HeaderSize:], out)
	return h, pages, err
}

// openBlock verifies what follows a block's header, which has been checked, and
// returns its pages: stored itself, or what that expands to, in out.
func openBlock(path string, off int64, h block.Header, stored []byte, out *ioBuffer) (pages []byte, err error) {
	pages = stored
	if h.Codec() != block.Raw {
		pages = out[:h.Count()*block.PageSize]
		if err := expandBlock(path, off, h, pages, stored); err != nil {
			return nil, err
		}
	}
	if isSparse(h) {
		err = block.Sparse(h).CheckPages(pages)
	} else {
		err = h.CheckPages(pages)
	}
	if err != nil {
		return nil, blockError(path, off, h, err)
	}
	return pages, nil
}
