package checkpoint

import (
	"fmt"
	"io"

	"github.com/cowheap/cowheap/internal/block"
)

// ReadBlock reads the block of a region into buf, which must have room for
// [Image.BlockSize] bytes (2 MiB + 4 KiB are enough for any), by one pread, and
// verifies all of it. What it returns lies in buf. Of a region without a block it
// returns a Block without Header and Pages: all its pages are zero.
//
// The error is a [*ChecksumError], a [*FormatError] (ErrTruncated if the file
// has become shorter) or a [*ReadError].
func (im *Image) ReadBlock(region int, buf []byte) (Block, error) {
	size := im.BlockSize(region)
	if size == 0 {
		return Block{Region: region}, nil
	}
	if len(buf) < size {
		return Block{}, fmt.Errorf("buffer of %d bytes for a block of %d: %w", len(buf), size, io.ErrShortBuffer)
	}
	buf = buf[:size]
	off := im.BlockOffset(region)
	if err := im.readAt(buf, off, "block"); err != nil {
		return Block{}, err
	}
	h := block.Header(buf[:block.HeaderSize])
	pages := buf[block.HeaderSize:]
	if err := im.checkHeader(region, h); err != nil {
		return Block{}, err
	}
	if err := h.CheckPages(pages); err != nil {
		return Block{}, blockError(im.header.info.Path, off, err)
	}
	return Block{Region: region, Header: h, Pages: pages}, nil
}

// ReadHeader reads and verifies the header of a region's block into buf, at
// least 4096 bytes. It is nil if the region has no block.
func (im *Image) ReadHeader(region int, buf []byte) (block.Header, error) {
	if im.BlockSize(region) == 0 {
		return nil, nil
	}
	if len(buf) < block.HeaderSize {
		return nil, fmt.Errorf("buffer of %d bytes for a header of %d: %w", len(buf), block.HeaderSize, io.ErrShortBuffer)
	}
	h := block.Header(buf[:block.HeaderSize])
	if err := im.readAt(h, im.BlockOffset(region), "block"); err != nil {
		return nil, err
	}
	return h, im.checkHeader(region, h)
}

// checkHeader verifies a block's header by itself, by the file's header and by
// the index.
func (im *Image) checkHeader(region int, h block.Header) error {
	off := im.BlockOffset(region)
	got, err := checkBlockHeader(im.header, off, h)
	if err != nil {
		return err
	}
	if got != int64(region) || h.Size() != im.BlockSize(region) {
		return corrupt(im.header.info.Path, off, "the index promises %d bytes of region %d, the block has %d bytes of region %d",
			im.BlockSize(region), region, h.Size(), got)
	}
	return nil
}

// ReadPage reads and verifies page number page of the arena (its offset / 4096)
// into buf, at least 4096 bytes. It reads the block's header each time: whoever
// wants many pages reads blocks.
func (im *Image) ReadPage(page int64, buf []byte) error {
	if page < 0 || page >= im.Size()/block.PageSize {
		return fmt.Errorf("page %d of an arena of %d pages: %w", page, im.Size()/block.PageSize, io.EOF)
	}
	if len(buf) < block.PageSize {
		return fmt.Errorf("buffer of %d bytes for a page of %d: %w", len(buf), block.PageSize, io.ErrShortBuffer)
	}
	var head [block.HeaderSize]byte
	h, err := im.ReadHeader(int(page/block.RegionPages), head[:])
	if err != nil {
		return err
	}
	return im.page(h, int(page%block.RegionPages), int(page/block.RegionPages), buf[:block.PageSize])
}

// page reads page i of a region whose block has header h, nil if it has none.
func (im *Image) page(h block.Header, i, region int, buf []byte) error {
	if h == nil || !h.Stored(i) {
		clear(buf)
		return nil
	}
	off := im.BlockOffset(region) + block.HeaderSize + int64(h.Rank(i))*block.PageSize
	if err := im.readAt(buf, off, "page"); err != nil {
		return err
	}
	if want, got := h.PageCRC(i), block.CRC(buf); want != got {
		return &ChecksumError{Path: im.header.info.Path, Offset: off, What: fmt.Sprintf("page %d of region %d", i, region), Want: want, Got: got}
	}
	return nil
}

// ReadAt reads verified bytes of the arena, as [io.ReaderAt] has it.
func (im *Image) ReadAt(p []byte, off int64) (n int, err error) {
	if off < 0 {
		return 0, fmt.Errorf("reading at %d: negative offset", off)
	}
	var head [block.HeaderSize]byte
	var page [block.PageSize]byte
	var h block.Header
	region := -1
	for n < len(p) && off < im.Size() {
		if r := int(off / block.RegionSize); r != region {
			if h, err = im.ReadHeader(r, head[:]); err != nil {
				return n, err
			}
			region = r
		}
		i := int(off % block.RegionSize / block.PageSize)
		from := int(off % block.PageSize)
		dst := p[n:min(len(p), n+block.PageSize-from)]
		if len(dst) == block.PageSize {
			err = im.page(h, i, region, dst)
		} else {
			err = im.page(h, i, region, page[:])
			copy(dst, page[from:])
		}
		if err != nil {
			return n, err
		}
		n += len(dst)
		off += int64(len(dst))
	}
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}
