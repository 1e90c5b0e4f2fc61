package checkpoint

import (
	"github.com/cowheap/cowheap/internal/block"
)

// ReadRuns reads the pages of a region that are not zero in rows, and calls do
// with the number of a row's first page in the region and its verified bytes,
// ascending, as many at a time as fit into buf, at least 4096 bytes. What do gets
// lies in buf and is valid until it returns. A region of zeros has no rows.
//
// With a buffer that fits the processor's cache this is faster than ReadBlock:
// what was read is verified, and used by do, before it leaves the cache. The
// errors are those of ReadBlock, and do's.
func (im *Image) ReadRuns(region int, buf []byte, do func(page int, pages []byte) error) error {
	if len(buf) < block.PageSize {
		return shortBuffer(buf, "page", block.PageSize)
	}
	if im.BlockSize(region) == 0 {
		return nil
	}
	p, err := im.plan(region)
	if err != nil {
		return err
	}
	defer p.free()
	return p.rows(block.FirstPages(block.RegionPages), buf, do)
}
