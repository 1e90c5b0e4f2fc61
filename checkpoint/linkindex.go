package checkpoint

import "github.com/cowheap/cowheap/internal/block"

// measure derives the size of every block from where the next one starts, and
// verifies that the blocks fill the file from the header to the index: what the
// index points to can then be read without asking the block. In a compressed
// checkpoint only the blocks know how many pages they have; there the trailer is
// believed here, and held to it by Verify.
func (l *link) measure(end *ending, pages int64) error {
	info := &l.header.info
	first, last := -1, -1 // regions of the block before
	entries := 0          // of that, if it is sparse
	until := func(next int64) error {
		if last < 0 {
			if next != l.header.length {
				return corrupt(info.Path, end.offset, "the first block is at byte %d, the header ends at %d", next, l.header.length)
			}
			return nil
		}
		off := l.blockOffset(last)
		n := (next - off) / block.PageSize
		least, most := int64(2), int64(entries) // header and a page
		if !l.isSparse(last) {
			most = int64(pagesIn(int64(last), info.Size))
		}
		if info.Incremental {
			least = 1
		}
		if next%block.PageSize != 0 || n < least || n-1 > most {
			return corrupt(info.Path, end.offset, "the block of region %d would be from byte %d to %d", last, off, next)
		}
		for region := first; region <= last; region++ {
			if l.has(region) {
				l.sizes[region] = uint16(n)
			}
		}
		end.blocks++
		end.pages += n - 1
		return nil
	}
	for region, entry := range l.index {
		if entry == 0 {
			continue
		}
		if entry > uint64(end.offset) || !l.sane(entry) {
			return corrupt(info.Path, end.offset, "the block of region %d would be at byte %d", region, entry)
		}
		if last >= 0 && l.isSparse(region) && l.sameBlock(last, region) {
			entries += l.partLen(region)
		} else {
			if err := until(l.blockOffset(region)); err != nil {
				return err
			}
			first, entries = region, l.partLen(region)
		}
		if entries > block.MaxEntries {
			return corrupt(info.Path, end.offset, "the block of regions %d to %d would have %d pages", first, region, entries)
		}
		last = region
	}
	if err := until(end.offset); err != nil {
		return err
	}
	if info.Compressed {
		if pages < 0 || pages > end.blocks*block.RegionPages {
			return corrupt(info.Path, end.offset+end.indexLen(), "%d blocks cannot have %d pages", end.blocks, pages)
		}
		end.pages = pages
	}
	return nil
}

// sane reports whether what an index entry says besides the offset can be.
func (l *link) sane(entry uint64) bool {
	info := &l.header.info
	n := entry &^ entryOffset / entryPages
	if entry&entrySparse != 0 {
		return info.Sparse && n > 0 && (entry&entryCompressed == 0 || info.Compressed)
	}
	return n == 0 && (entry&entryCompressed == 0 || info.Compressed)
}

// blockOffset is where a region's block starts, 0 if there is none.
func (l *link) blockOffset(region int) int64 { return int64(l.index[region] & entryOffset) }

// blockSize is the number of bytes of a region's block, 0 if there is none. A
// sparse one has other regions' pages, too.
func (l *link) blockSize(region int) int { return int(l.sizes[region]) * block.PageSize }

// regionSize is the number of bytes of a region's block; of a sparse one that of
// the region's pages.
func (l *link) regionSize(region int) int {
	if l.isSparse(region) {
		return l.partLen(region) * block.PageSize
	}
	return l.blockSize(region)
}

// isCompressed reports whether a region has a block and that is compressed.
func (l *link) isCompressed(region int) bool { return l.index[region]&entryCompressed != 0 }

// isSparse reports whether a region has a block and that is sparse.
func (l *link) isSparse(region int) bool { return l.index[region]&entrySparse != 0 }

// partLen is how many pages of a region its sparse block has, 0 if it has no
// sparse block.
func (l *link) partLen(region int) int { return int(l.index[region] &^ entryOffset / entryPages) }

// sameBlock reports whether two regions that have blocks have the same.
func (l *link) sameBlock(a, b int) bool {
	const pages = ^entryOffset / entryPages * entryPages
	return l.index[a]&^pages == l.index[b]&^pages
}

// has reports whether there is a block of region, whatever the arena's size.
func (l *link) has(region int) bool { return region < len(l.index) && l.index[region] != 0 }

// isFirst reports whether a region has a block, and is the first that has it.
func (l *link) isFirst(region int) bool {
	if !l.isSparse(region) {
		return l.has(region)
	}
	for before := region - 1; before >= 0; before-- {
		if l.has(before) {
			return !l.sameBlock(before, region)
		}
	}
	return true
}

// isDirect reports whether a region has a block, and that has the region's pages
// as they are and no others.
func (l *link) isDirect(region int) bool {
	return l.has(region) && l.index[region]&^entryOffset == 0
}
