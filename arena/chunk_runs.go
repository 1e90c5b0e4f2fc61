package arena

import "math/bits"

// The table of free runs says for each chunk, each 64 chunks and each 256
// chunks (1 GiB) how many pages are free at its beginning, at its end, and in
// the longest free run inside, so that the lowest place for a run is found
// without reading the bitmaps of everything below it (the Go runtime's page
// allocator does the same). A page of the table stands for 1 GiB: 256 words
// for the chunks, 4 for the groups of 64, 1 for the whole.
const (
	runsGroups = 256 * 8
	runsWhole  = runsGroups + 4*8

	groupPages = 64 * chunkPages
	wholePages = 4 * groupPages
)

// freeRuns packs three counts of 21 bits each, every one as what it lacks of
// all pages being free: so 0 is a chunk that was never touched.
type freeRuns uint64

func makeFreeRuns(start, most, end, all uint64) freeRuns {
	return freeRuns(all - start | (all-most)<<21 | (all-end)<<42)
}

func (f freeRuns) start(all uint64) uint64 { return all - uint64(f)&(1<<21-1) }
func (f freeRuns) most(all uint64) uint64  { return all - uint64(f)>>21&(1<<21-1) }
func (f freeRuns) end(all uint64) uint64   { return all - uint64(f)>>42&(1<<21-1) }

// findRun returns the lowest page from which on n pages are free. Pages that
// the tables have no room for yet count as free.
func (al *allocator) findRun(n uint64) uint64 {
	f := runFinder{al: al, n: n}
	for i := uint64(0); i < (al.chunks.Load()+255)/256 && !f.found; i++ {
		f.scanTable(i)
	}
	return f.page - f.run
}

// runFinder walks over the pages in ascending order.
type runFinder struct {
	al    *allocator
	n     uint64
	page  uint64 // next page to look at
	run   uint64 // free pages right below it
	found bool   // these, and perhaps more from page on, are enough
}

// enter looks at a summary of the next all pages. It goes on beyond them and
// reports false if the run cannot end there; else it stays.
func (f *runFinder) enter(summary, all uint64) bool {
	s := freeRuns(summary)
	if f.run+s.start(all) >= f.n {
		f.found = true
		return false
	}
	if s.most(all) >= f.n {
		return true
	}
	if s.end(all) == all {
		f.run += all
	} else {
		f.run = s.end(all)
	}
	f.page += all
	return false
}

// scanTable goes through what page i of the table stands for.
func (f *runFinder) scanTable(i uint64) {
	table := f.al.tablePage(tableFreeRuns, i)
	if !f.enter(f.al.load64(table+runsWhole), wholePages) {
		return
	}
	for g := uint64(0); g < 4 && !f.found; g++ {
		if !f.enter(f.al.load64(table+runsGroups+g*8), groupPages) {
			continue
		}
		for c := g * 64; c < (g+1)*64 && !f.found; c++ {
			chunk := i*256 + c
			if chunk >= f.al.chunks.Load() {
				f.enter(0, chunkPages) // free, whatever a stray write left there
			} else if f.enter(f.al.load64(table+c*8), chunkPages) {
				f.scanChunk(chunk)
			}
		}
	}
}

// scanChunk finds the run in the bitmap of a chunk that has one, or goes on
// beyond it if the summary was wrong.
func (f *runFinder) scanChunk(chunk uint64) {
	at := f.al.pageBits(chunk * chunkPages)
	f.run = 0
	for w := range uint64(chunkPages / 64) {
		taken := f.al.load64(at + w*8)
		for pos := uint64(0); pos < 64; {
			if free := min(uint64(bits.TrailingZeros64(taken>>pos)), 64-pos); free > 0 {
				f.run += free
				f.page += free
				pos += free
				if f.run >= f.n {
					f.found = true
					return
				}
				continue
			}
			used := uint64(bits.TrailingZeros64(^(taken >> pos)))
			f.run = 0
			f.page += used
			pos += used
		}
	}
}

// summarize brings the summaries of the chunks first to last up to date.
func (al *allocator) summarize(first, last uint64) {
	changed := false
	for c := first; c <= last; c++ {
		at := al.tablePage(tableFreeRuns, c>>8) + c&255*8
		if s := uint64(al.chunkRuns(c)); s != al.load64(at) {
			al.put64(at, s)
			changed = true
		}
	}
	if !changed {
		return
	}
	for g := first >> 6; g <= last>>6; g++ {
		table := al.tablePage(tableFreeRuns, g>>2)
		al.put64(table+runsGroups+g&3*8, uint64(al.mergeRuns(table+g&3*64*8, 64, chunkPages)))
	}
	for i := first >> 8; i <= last>>8; i++ {
		table := al.tablePage(tableFreeRuns, i)
		al.put64(table+runsWhole, uint64(al.mergeRuns(table+runsGroups, 4, groupPages)))
	}
}

// mergeRuns summarizes n summaries at an offset, of all pages each.
func (al *allocator) mergeRuns(at, n, all uint64) freeRuns {
	var start, most, run uint64
	whole := true // everything so far is free
	for i := range n {
		s := al.load64(at + i*8)
		if s == 0 {
			run += all
			continue
		}
		f := freeRuns(s)
		if whole {
			start, whole = run+f.start(all), false
		}
		most = max(most, run+f.start(all), f.most(all))
		run = f.end(all)
	}
	if whole {
		return 0
	}
	return makeFreeRuns(start, max(most, run), run, n*all)
}

// chunkRuns summarizes the bitmap of a chunk.
func (al *allocator) chunkRuns(chunk uint64) freeRuns {
	at := al.pageBits(chunk * chunkPages)
	var start, most, run uint64
	whole := true
	for w := range uint64(chunkPages / 64) {
		taken := al.load64(at + w*8)
		if taken == 0 {
			run += 64
			continue
		}
		run += uint64(bits.TrailingZeros64(taken))
		if whole {
			start, whole = run, false
		}
		most = max(most, run)
		run = uint64(bits.LeadingZeros64(taken))
		most = max(most, longestInside(taken, most))
	}
	if whole {
		return 0
	}
	return makeFreeRuns(start, max(most, run), run, chunkPages)
}

// longestInside returns the length of the longest run of clear bits between
// two set bits of a word that is not 0, if it is longer than known.
func longestInside(word, known uint64) uint64 {
	// Set the clear bits at both ends, then shrink every clear run by known: what
	// is left is longer.
	clearBits := ^(word | ^(^uint64(0) << bits.TrailingZeros64(word)) | ^(^uint64(0) >> bits.LeadingZeros64(word)))
	for range min(known, 64) {
		if clearBits == 0 {
			return 0
		}
		clearBits &= clearBits >> 1
	}
	for clearBits != 0 {
		clearBits &= clearBits >> 1
		known++
	}
	return known
}
