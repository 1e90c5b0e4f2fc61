package arena

// checkIndex compares the index, page by page, with the descriptors.
func (c *checker) checkIndex() {
	var groups [indexedStride]uint64
	for i := range tableSize(tableIndex, c.chunks.Load(), c.descSpace.Load()) {
		var rows [indexedStride][4]uint64
		for page := i << 8; page < min((i+1)<<8, c.descPages.Load()); page++ {
			c.indexDescPage(page, &rows)
		}
		for x := range indexedStride {
			for w := range uint64(4) {
				at := c.indexRow(x, i) + w*8
				if got := c.load64(at); got != rows[x][w] {
					c.report(at, "row %d of the index is %#x for descriptor pages from %d on, should be %#x", x, got, i<<8|w<<6, rows[x][w])
				}
				if rows[x][w] != 0 {
					groups[x] |= 1 << (i / indexGroup)
				}
			}
		}
	}
	for x, want := range groups {
		at := headIndexed + uint64(x)*8
		if got := c.load64(at); got != want {
			c.report(at, "index pages with row %d are %#x, should be %#x", x, got, want)
		}
	}
	for class := range numClasses {
		cur := c.cursors[class]
		if cur.desc != 0 && (!c.isDesc(cur.id) || cur.desc != c.descOff(cur.id)) {
			c.report(cur.desc, "the cursor of class %d is at %#x", class, cur.id)
		}
	}
}

// indexDescPage sets the bits that the index should have for a page.
func (c *checker) indexDescPage(page uint64, rows *[indexedStride][4]uint64) {
	head := c.tablePage(tableDescs, page)
	word, bit := page>>6&3, uint64(1)<<(page&63)
	for w := range uint64(4) {
		free := ^c.load64(head + descHeadTaken + w*8)
		if free != 0 {
			rows[indexFree1][word] |= bit
		}
		if free&(free>>1)&(free>>2)&(free>>3) != 0 {
			rows[indexFree4][word] |= bit
		}
	}
	for slot := uint64(descHeadSlots); slot < 256; slot++ {
		if c.load64(head+descHeadRoom+slot>>6*8)>>(slot&63)&1 == 0 {
			continue
		}
		class := descInfo(c.load64(head + slot*descSize + 8)).class()
		if uint(class) < numClasses {
			rows[class][word] |= bit
		}
	}
}
