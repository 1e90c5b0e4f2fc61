package checkpoint

import (
	"fmt"
	"io"

	"github.com/cowheap/cowheap/internal/block"
)

// ReadRuns reads the stored pages of a region in rows, and calls do with the
// number of a row's first page in the region and its verified bytes, ascending,
// as many at a time as fit into buf behind a header. What do gets lies in buf and
// is valid until it returns. A region without a block has no rows.
//
// With a buffer that fits the processor's cache this is faster than ReadBlock:
// what was read is verified, and used by do, before it leaves the cache. The
// errors are those of ReadBlock, and do's.
func (im *Image) ReadRuns(region int, buf []byte, do func(page int, pages []byte) error) error {
	if len(buf) < block.MinSize {
		return fmt.Errorf("buffer of %d bytes for a header and a page of %d: %w", len(buf), block.MinSize, io.ErrShortBuffer)
	}
	h, err := im.ReadHeader(region, buf)
	if err != nil || h == nil {
		return err
	}
	pages := buf[block.HeaderSize:]
	most := len(pages) / block.PageSize
	for run := range h.Runs() {
		for done := 0; done < run.Count; {
			n := min(run.Count-done, most)
			off := im.BlockOffset(region) + block.HeaderSize + int64(run.Rank+done)*block.PageSize
			row := pages[:n*block.PageSize]
			if err := im.readAt(row, off, "pages"); err != nil {
				return err
			}
			for i := range n {
				p := run.Page + done + i
				if want, got := h.PageCRC(p), block.CRC(row[i*block.PageSize:][:block.PageSize]); want != got {
					return &ChecksumError{Path: im.header.info.Path, Offset: off + int64(i)*block.PageSize, What: fmt.Sprintf("page %d of region %d", p, region), Want: want, Got: got}
				}
			}
			if err := do(run.Page+done, row); err != nil {
				return err
			}
			done += n
		}
	}
	return nil
}
