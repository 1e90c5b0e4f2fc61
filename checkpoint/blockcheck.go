package checkpoint

import "github.com/cowheap/cowheap/internal/block"

// checkBlockHeader verifies a block's header against the file's: it must belong
// to this checkpoint and lie in its arena.
func checkBlockHeader(file *fileHeader, at int64, h block.Header) (region int64, err error) {
	path := file.info.Path
	if err := h.Check(); err != nil {
		return 0, blockError(path, at, h, err)
	}
	if id := h.ID(); id != file.info.ID {
		return 0, corrupt(path, at, "the block belongs to checkpoint %x, this is %s", id, file.info.ID)
	}
	region = int64(h.Region())
	if region >= regionsOf(file.info.Size) {
		return 0, corrupt(path, at, "region %d is outside the arena of %d bytes", region, file.info.Size)
	}
	zeros := h.ZeroPages()
	n := pagesIn(region, file.info.Size)
	if outside := zeros.Without(block.FirstPages(n)); h.Rank(n) != h.Count() || !outside.Empty() {
		return 0, corrupt(path, at, "region %d has a page outside the arena of %d bytes", region, file.info.Size)
	}
	if !file.info.Incremental && !zeros.Empty() {
		return 0, corrupt(path, at, "region %d of a full checkpoint has pages that have become zero", region)
	}
	if !file.info.Compressed && h.Codec() != block.Raw {
		return 0, corrupt(path, at, "region %d is compressed, the checkpoint is not", region)
	}
	return region, nil
}

// checkSparseHeader is checkBlockHeader for a sparse block.
func checkSparseHeader(file *fileHeader, at int64, s block.Sparse) error {
	path := file.info.Path
	h := block.Header(s)
	if err := s.Check(); err != nil {
		return blockError(path, at, h, err)
	}
	if id := h.ID(); id != file.info.ID {
		return corrupt(path, at, "the block belongs to checkpoint %x, this is %s", id, file.info.ID)
	}
	last := s.Entry(s.Len() - 1)
	if last.Region*block.RegionPages+int64(last.Page) >= file.info.Size/block.PageSize {
		return corrupt(path, at, "page %d of region %d is outside the arena of %d bytes", last.Page, last.Region, file.info.Size)
	}
	if !file.info.Compressed && h.Codec() != block.Raw {
		return corrupt(path, at, "the sparse block of region %d is compressed, the checkpoint is not", h.Region())
	}
	return nil
}
