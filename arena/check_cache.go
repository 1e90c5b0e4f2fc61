package arena

// checkCaches goes through the table of caches. That each claimed descriptor is in it
// has been seen to already.
func (c *checker) checkCaches() {
	for i := range c.caches {
		counts := c.caches[i].counts
		c.expectZero(counts+countObjects+8, counts+countSize)
	}
	table := c.cacheTable.Load()
	if table == 0 {
		return
	}
	c.expectZero(table+numCaches*cacheSize, table+cachePages<<runPageShift)
	for n := range uint64(numCaches) {
		words := table + n*cacheSize
		c.expectZero(words+cacheEnd, words+cacheSize)
		for class := range numClasses {
			at := claimAt(words, class)
			if id := c.load32(at); id != 0 && c.claimedBy(id, class) != int(n) {
				c.report(at, "cache %d has claimed descriptor %#x for class %d, which says otherwise", n, id, class)
			}
		}
	}
}
