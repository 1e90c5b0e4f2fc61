package checkpoint

import (
	"fmt"
	"io"

	"github.com/cowheap/cowheap/internal/block"
)

// ReadBlock reads and verifies a region: its pages that are not zero, from
// whichever files of the chain have them, not compressed. buf must have room for
// a header and these pages; 2 MiB + 4 KiB are enough for any. What it returns lies
// in buf. Of a region without any it returns a Block without Header and Pages:
// all its pages are zero.
//
// A block that is not compressed, of a full checkpoint, is one pread. The error
// is a [*ChecksumError], a [*FormatError] (ErrTruncated if the file has become
// shorter) or a [*ReadError].
func (im *Image) ReadBlock(region int, buf []byte) (Block, error) {
	size := im.BlockSize(region)
	if size == 0 {
		return Block{Region: region}, nil
	}
	if l := im.links[0]; len(im.links) == 1 && !l.isCompressed(region) {
		if len(buf) < size {
			return Block{}, shortBuffer(buf, "block", size)
		}
		h, pages, err := l.readBlock(region, buf, nil)
		if err != nil {
			return Block{}, err
		}
		return Block{Region: region, Header: h, Pages: pages}, nil
	}
	p, err := im.plan(region)
	if err != nil {
		return Block{}, err
	}
	defer p.free()
	if p.pages == 0 {
		return Block{Region: region}, nil
	}
	if size := block.HeaderSize + p.pages*block.PageSize; len(buf) < size {
		return Block{}, shortBuffer(buf, "block", size)
	}
	h := block.Header(buf[:block.HeaderSize])
	h.Reset(uint32(region), im.info.ID)
	pages := buf[block.HeaderSize:][:p.pages*block.PageSize]
	b := Block{Region: region, Header: h, Pages: pages}
	stored := p.stored()
	for first, n := range stored.Runs() {
		if err := p.read(pages, first, n); err != nil {
			return Block{}, err
		}
		for i := first; i < first+n; i++ {
			h.SetPage(i, p.sources[p.from[i]-1].head.PageCRC(i))
		}
		pages = pages[n*block.PageSize:]
	}
	h.Seal()
	return b, nil
}

// ReadHeader reads and verifies the header of a region's block in the
// checkpoint's own file into buf, at least 4096 bytes. Of pages in a block that
// several regions share it makes the header that a block of their own would have.
// It is nil if the file has no block of the region.
func (im *Image) ReadHeader(region int, buf []byte) (block.Header, error) {
	l := im.links[0]
	if !l.has(region) {
		return nil, nil
	}
	if len(buf) < block.HeaderSize {
		return nil, shortBuffer(buf, "header", block.HeaderSize)
	}
	if !l.isSparse(region) {
		return l.readHeader(region, buf)
	}
	var list [block.HeaderSize]byte
	s, err := l.readHeader(region, list[:])
	if err != nil {
		return nil, err
	}
	h := block.Header(buf[:block.HeaderSize])
	block.Sparse(s).PutHeader(block.Sparse(s).Part(int64(region)), h)
	return h, nil
}

func shortBuffer(buf []byte, what string, size int) error {
	return fmt.Errorf("buffer of %d bytes for a %s of %d: %w", len(buf), what, size, io.ErrShortBuffer)
}

// ReadPage reads and verifies page number page of the arena (its offset / 4096)
// into buf, at least 4096 bytes. It reads the headers of the blocks each time:
// whoever wants many pages reads blocks.
func (im *Image) ReadPage(page int64, buf []byte) error {
	if page < 0 || page >= im.Size()/block.PageSize {
		return fmt.Errorf("page %d of an arena of %d pages: %w", page, im.Size()/block.PageSize, io.EOF)
	}
	if len(buf) < block.PageSize {
		return shortBuffer(buf, "page", block.PageSize)
	}
	p, err := im.plan(int(page / block.RegionPages))
	if err != nil {
		return err
	}
	defer p.free()
	return p.page(int(page%block.RegionPages), buf[:block.PageSize])
}

// page reads page i, stored or not.
func (p *plan) page(i int, buf []byte) error {
	if p.from[i] == 0 {
		clear(buf)
		return nil
	}
	return p.read(buf, i, 1)
}

// ReadAt reads verified bytes of the arena, as [io.ReaderAt] has it.
func (im *Image) ReadAt(p []byte, off int64) (n int, err error) {
	if off < 0 {
		return 0, fmt.Errorf("reading at %d: negative offset", off)
	}
	var page [block.PageSize]byte
	var at *plan // of the region that is being read
	defer func() {
		if at != nil {
			at.free()
		}
	}()
	for n < len(p) && off < im.Size() {
		if r := int(off / block.RegionSize); at == nil || at.region != r {
			if at != nil {
				at.free()
			}
			if at, err = im.plan(r); err != nil {
				return n, err
			}
		}
		i := int(off % block.RegionSize / block.PageSize)
		from := int(off % block.PageSize)
		dst := p[n:min(len(p), n+block.PageSize-from)]
		if len(dst) == block.PageSize {
			err = at.page(i, dst)
		} else {
			err = at.page(i, page[:])
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
