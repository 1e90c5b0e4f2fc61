package arena

// checkPages goes through the page map and the bitmaps, and compares the
// summaries with them.
func (c *checker) checkPages() {
	metadata := c.metadataPages()
	run := uint64(0) // pages left of the large allocation that we are in
	for page := range c.chunks.Load() * chunkPages {
		if page >= c.top.Load() {
			c.checkUntouched(page)
			continue
		}
		at := c.pageEntry(page)
		entry, taken := c.load32(at), c.isTaken(page)
		switch {
		case run > 0:
			run--
			if entry != 0 || !taken || metadata[page] {
				c.report(at, "page %d is inside a large allocation: entry %#x, taken %v, metadata %v", page, entry, taken, metadata[page])
			}
		case entry == 0:
			if taken != metadata[page] {
				c.report(c.pageBits(page), "page %d: taken %v, metadata %v", page, taken, metadata[page])
			}
		case !taken || metadata[page]:
			c.report(at, "page %d has the entry %#x: taken %v, metadata %v", page, entry, taken, metadata[page])
		case entry&^entryValue == entryRun:
			run = c.checkRun(page, uint64(entry&entryValue))
		case entry&^entryValue == entrySpan:
			c.checkSpanEntry(page, entry&entryValue)
		default:
			c.report(at, "page %d has the entry %#x", page, entry)
		}
	}
	c.checkSummaries()
}

// metadataPages returns the pages of the header and the tables.
func (c *checker) metadataPages() map[uint64]bool {
	pages := map[uint64]bool{0: true}
	if first := c.cacheTable.Load() >> runPageShift; first != 0 {
		for page := first; page < first+cachePages; page++ {
			pages[page] = true
		}
	}
	for t := range numTables {
		for i := range tableSize(t, c.chunks.Load(), c.descSpace.Load()) {
			pages[c.tablePage(t, i)>>runPageShift] = true
		}
	}
	return pages
}

// checkUntouched expects that nothing was ever written about a page.
func (c *checker) checkUntouched(page uint64) {
	if entry := c.load32(c.pageEntry(page)); entry != 0 || c.isTaken(page) {
		c.report(c.pageEntry(page), "page %d is beyond the top %d: entry %#x, taken %v", page, c.top.Load(), entry, c.isTaken(page))
	}
}

// checkRun returns how many pages of a large allocation come after its first.
func (c *checker) checkRun(page, n uint64) uint64 {
	if n == 0 || n > c.top.Load()-page || (page+n)<<runPageShift > c.used.Load() {
		c.report(c.pageEntry(page), "a large allocation of %d pages at page %d", n, page)
		return 0
	}
	c.objects++
	c.bytes += n << runPageShift
	return n - 1
}

// checkSpanEntry expects that the descriptor that a page names is about it.
func (c *checker) checkSpanEntry(page uint64, id uint32) {
	at := c.pageEntry(page)
	info, ok := c.spanInfo(id)
	if !ok || page < info.page() || page-info.page() >= uint64(info.shape().pages) {
		c.report(at, "page %d names descriptor %#x, which is not about it: %#x", page, id, uint64(info))
	}
}

// checkSummaries compares the table of free runs with the bitmaps.
func (c *checker) checkSummaries() {
	for i := range tableSize(tableFreeRuns, c.chunks.Load(), c.descSpace.Load()) {
		table := c.tablePage(tableFreeRuns, i)
		for n := range uint64(256) {
			var want freeRuns
			if chunk := i*256 + n; chunk < c.chunks.Load() {
				want = c.chunkRuns(chunk)
			}
			c.expectRuns(table+n*8, want)
		}
		for g := range uint64(4) {
			c.expectRuns(table+runsGroups+g*8, c.mergeRuns(table+g*64*8, 64, chunkPages))
		}
		c.expectRuns(table+runsWhole, c.mergeRuns(table+runsGroups, 4, groupPages))
	}
}

func (c *checker) expectRuns(at uint64, want freeRuns) {
	if got := freeRuns(c.load64(at)); got != want {
		c.report(at, "free runs are summarized as %#x, should be %#x", uint64(got), uint64(want))
	}
}
