package arena

import "math/bits"

// The page map has an entry of 32 bits for each page: a tag and a value.
//
//	entrySpan  every page of a span; the id of the span's first descriptor
//	entryRun   the first page of a large allocation; its length in pages
//	0          all others: free, inside a large allocation, metadata
const (
	chunkPages = 1024
	maxChunks  = maxArena >> runPageShift / chunkPages

	entrySpan  = 1 << 30
	entryRun   = 2 << 30
	entryValue = 1<<30 - 1
)

// pageEntry returns the offset of a page's entry in the page map.
//
// Preconditions: page < chunks*chunkPages.
func (al *allocator) pageEntry(page uint64) uint64 {
	return al.segments[tablePageMap][bits.Len64(page>>10)].Load() + page*4
}

// pageBits returns the offset of the word with a page's bit.
func (al *allocator) pageBits(page uint64) uint64 {
	return al.segments[tablePageBits][bits.Len64(page>>15)].Load() + page>>6*8
}

// isTaken reports whether a page is part of a span, a run or metadata.
func (al *allocator) isTaken(page uint64) bool {
	return al.load64(al.pageBits(page))>>(page&63)&1 != 0
}

// takeRun takes n pages at the lowest address where they fit. Those from
// fresh on have never been touched. They become accessible by raise.
func (al *allocator) takeRun(n uint64) (page, fresh uint64, err error) {
	for {
		page = al.findRun(n)
		if n > al.limit>>runPageShift || page > al.limit>>runPageShift-n {
			return 0, 0, ErrFull
		}
		if page+n <= al.chunks.Load()*chunkPages {
			break
		}
		if err := al.growChunks(); err != nil {
			return 0, 0, err
		}
	}
	fresh = al.top.Load()
	if !al.markRun(page, n) {
		return 0, 0, corruptAt(al.pageBits(page), "%d pages from %d on are not free as the summaries say", n, page)
	}
	return page, fresh, nil
}

// markRun marks free pages as taken. It reports false if one was already.
func (al *allocator) markRun(page, n uint64) bool {
	if !al.flipRun(page, n, false) {
		return false
	}
	if page+n > al.top.Load() {
		al.top.Store(page + n)
		al.put64(headTop, al.top.Load())
	}
	return true
}

// freeRun marks taken pages as free. It reports false if one was already.
func (al *allocator) freeRun(page, n uint64) bool {
	return al.flipRun(page, n, true)
}

// flipRun changes the bits of pages that are all taken, or all free. If they
// are not it changes none.
func (al *allocator) flipRun(page, n uint64, taken bool) bool {
	var was uint64
	if taken {
		was = ^was
	}
	end := page + n
	for p := page; p < end; p = p&^63 + 64 {
		if (al.load64(al.pageBits(p))^was)&bitsOf(p, end) != 0 {
			return false
		}
	}
	for p := page; p < end; p = p&^63 + 64 {
		at := al.pageBits(p)
		al.put64(at, al.load64(at)^bitsOf(p, end))
	}
	al.summarize(page/chunkPages, (end-1)/chunkPages)
	return true
}

// bitsOf returns the bits of the pages from p to end, as far as they are in
// the word of p.
func bitsOf(p, end uint64) uint64 {
	return ^uint64(0) >> (64 - min(64-p&63, end-p)) << (p & 63)
}

// growChunks doubles the room in the chunk tables. The new segments lie at the
// top, where memory is fresh, and describe themselves.
func (al *allocator) growChunks() error {
	chunks := al.chunks.Load()
	if chunks == maxChunks {
		return ErrFull
	}
	tables := []int{tablePageMap, tablePageBits, tableFreeRuns}
	var n uint64
	for _, t := range tables {
		n += tableSize(t, chunks*2, 0) - tableSize(t, chunks, 0)
	}
	page := al.top.Load()
	al.put64(headTop, page+n)
	al.top.Store(page + n)
	if err := al.raise((page + n) << runPageShift); err != nil {
		return err
	}
	al.addSegments(tables, page<<runPageShift, chunks, 0, chunks*2, 0)
	al.put64(headChunks, chunks*2)
	al.chunks.Store(chunks * 2)
	if !al.markRun(page, n) {
		return corruptAt(al.pageBits(page), "pages from the top on are not free")
	}
	return nil
}
