package arena

import (
	"math/bits"
)

// The header is the arena's page 0. All words are 64 bits, little-endian on
// every processor that cowheap runs on.
const (
	runPageShift = 12
	runPageSize  = 1 << runPageShift

	headMagic     = 0  // allocMagic
	headVersion   = 8  // allocVersion
	headHigh      = 16 // bytes; nothing at or beyond was ever touched
	headRoot      = 24 // the user's word
	headBytes     = 32 // bytes in allocated objects, rounded up to their class
	headObjects   = 40 // allocated objects
	headTop       = 48 // pages; every page from here on is free and was never given out
	headChunks    = 56 // chunks that the chunk tables have room for, a power of two
	headDescPages = 64 // descriptor pages in use
	headDescSpace = 72 // descriptor pages that there is room for, a power of two
	headCaches    = 80 // offset of the table of caches, 0: there is none yet; see cache.go

	headSegments = 128                                    // [numTables][24]: offset of each segment, 0: none
	headClasses  = headSegments + numTables*segmentStride // [80]: tight << 63 | spans << 32 | base id of the empty span kept
	headIndexed  = headClasses + indexedStride*8          // [80]: bit g: index pages [64g, 64g+64) have a bit set
	headCounts   = headIndexed + indexedStride*8          // [numCaches]: bytes, objects, see cache.go
	headEnd      = headCounts + numCaches*countSize

	allocMagic = 0x5041454857_4f43 // "COWHEAP"
	// allocVersion is what new arenas have. Version 1 knew no caches; it becomes
	// version 2 with the first.
	allocVersion = 2

	// maxArena is where 30 bits of page number end.
	maxArena = 1 << 42

	// firstTop is the top of a fresh arena: the header and the first page of
	// each table.
	firstTop = 1 + numTables
)

// The header and the rows of an index page fit into a page.
const (
	_ = uint(runPageSize - headEnd)
	_ = uint(-(headCounts % 64)) // cache lines
	_ = uint(indexedStride - numIndexed)
	_ = uint(runPageSize - indexedStride*32)
)

// A table is an array of pages that only grows. It lies in the arena in
// segments: page 0, page 1, pages 2 and 3, pages 4 to 7 and so on, each as
// large as all before it. So page i is found by the length of i in bits, no
// table needs more than 21 segments, and metadata breaks the free space of a
// 64 GiB arena in a few dozen places rather than in every chunk.
// (Rejected: metadata at the start of every chunk. An arena that was once full
// of small objects could never again hold one larger than a chunk.)
const (
	tablePageMap  = iota // a page for each chunk: 1024 entries of 32 bits, see chunk.go
	tablePageBits        // a page for 32 chunks: a bit for each page, set: taken
	tableFreeRuns        // a page for 256 chunks: see chunk_runs.go
	tableDescs           // 252 descriptors a page: see alloc_desc.go
	tableIndex           // a page for 256 pages of descriptors: see alloc_index.go
	numTables

	maxSegments   = 21
	segmentStride = 24 * 8
)

// segmentPages returns how many pages the segment k of a table has, and the
// number of the first.
func segmentPages(k int) (first, n uint64) {
	if k == 0 {
		return 0, 1
	}
	return 1 << (k - 1), 1 << (k - 1)
}

// tableSize returns how many pages of table t there is room for when there is
// room for that many chunks or descriptor pages.
func tableSize(t int, chunks, descSpace uint64) uint64 {
	switch t {
	case tablePageMap:
		return chunks
	case tablePageBits:
		return max(1, chunks/32)
	case tableFreeRuns:
		return max(1, chunks/256)
	case tableDescs:
		return descSpace
	default:
		return max(1, descSpace/256)
	}
}

func segmentOff(t, k int) uint64 {
	return headSegments + uint64(t)*segmentStride + uint64(k)*8
}

// tablePage returns the offset of page i of table t.
//
// Preconditions: i is below tableSize.
func (al *allocator) tablePage(t int, i uint64) uint64 {
	return al.segments[t][bits.Len64(i)].Load() + i<<runPageShift
}

// addSegments records that the new segments of the tables from t on lie one
// after the other at off, as their sizes grow from the old figures to the new.
func (al *allocator) addSegments(tables []int, off uint64, oldChunks, oldDescs, chunks, descs uint64) {
	for _, t := range tables {
		old, size := tableSize(t, oldChunks, oldDescs), tableSize(t, chunks, descs)
		if size == old {
			continue
		}
		k := bits.Len64(old)
		al.put64(segmentOff(t, k), off)
		al.segments[t][k].Store(off - old<<runPageShift)
		off += (size - old) << runPageShift
	}
}

// reload takes over what the header says, after it was validated.
func (al *allocator) reload() {
	al.used.Store(al.load64(headHigh))
	al.top.Store(al.load64(headTop))
	al.chunks.Store(al.load64(headChunks))
	al.descPages.Store(al.load64(headDescPages))
	al.descSpace.Store(al.load64(headDescSpace))
	al.cacheTable.Store(al.load64(headCaches))
	al.epoch.Add(1)
	for t := range numTables {
		for k := range maxSegments {
			first, _ := segmentPages(k)
			al.segments[t][k].Store(al.load64(segmentOff(t, k)) - first<<runPageShift)
		}
	}
	al.cursors = [numIndexed]cursor{}
}

// checkHeader reports what is wrong with the header. If it reports nothing,
// every table can be read: its segments lie inside [0, high).
//
// Preconditions: page 0 is accessible.
func (al *allocator) checkHeader(report func(off uint64, format string, args ...any)) {
	if magic := al.load64(headMagic); magic != allocMagic {
		report(headMagic, "magic is %#x, not %#x", magic, uint64(allocMagic))
		return
	}
	if version := al.load64(headVersion); version == 0 || version > allocVersion {
		report(headVersion, "layout version %d, this program knows those up to %d", version, allocVersion)
		return
	}
	high, top := al.load64(headHigh), al.load64(headTop)
	chunks, descPages, descSpace := al.load64(headChunks), al.load64(headDescPages), al.load64(headDescSpace)
	if high%runPageSize != 0 || high < firstTop*runPageSize {
		report(headHigh, "%d bytes in use, not whole pages or too few", high)
	} else if high > al.limit {
		report(headHigh, "%d bytes in use, more than MaxSize of %d", high, al.limit)
	}
	if bits.OnesCount64(chunks) != 1 || chunks > maxChunks {
		report(headChunks, "room for %d chunks", chunks)
		chunks = 1
	}
	if top > chunks*chunkPages || top < high>>runPageShift {
		report(headTop, "%d pages given out, %d in use, room for %d", top, high>>runPageShift, chunks*chunkPages)
	}
	if bits.OnesCount64(descSpace) != 1 || descSpace > maxDescPages {
		report(headDescSpace, "room for %d descriptor pages", descSpace)
		descSpace = 1
	}
	if descPages == 0 || descPages > descSpace {
		report(headDescPages, "%d descriptor pages, room for %d", descPages, descSpace)
	}
	al.checkSegments(report, high, chunks, descSpace)
}

func (al *allocator) checkSegments(report func(off uint64, format string, args ...any), high, chunks, descSpace uint64) {
	taken := []pageRange{{0, 1, headMagic}}
	for t := range numTables {
		size := tableSize(t, chunks, descSpace)
		for k := range segmentStride / 8 {
			first, n := segmentPages(k)
			at := segmentOff(t, k)
			off := al.load64(at)
			if first >= size {
				if off != 0 {
					report(at, "table %d has a segment %d at %#x, but only %d pages", t, k, off, size)
				}
				continue
			}
			if off%runPageSize != 0 || off > high || high-off < n<<runPageShift {
				report(at, "segment %d of table %d at %#x, %d pages, is not inside the %#x bytes in use", k, t, off, n, high)
				continue
			}
			r := pageRange{off >> runPageShift, n, at}
			for _, other := range taken {
				if r.page < other.page+other.n && other.page < r.page+r.n {
					report(at, "segment %d of table %d at %#x lies over that of word %#x", k, t, off, other.at)
				}
			}
			taken = append(taken, r)
		}
	}
	off := al.load64(headCaches)
	if off == 0 {
		return
	}
	if off%runPageSize != 0 || off > high || high-off < cachePages<<runPageShift {
		report(headCaches, "the table of caches at %#x is not inside the %#x bytes in use", off, high)
	}
	for page, other := off>>runPageShift, 0; other < len(taken); other++ {
		if r := taken[other]; page < r.page+r.n && r.page < page+cachePages {
			report(headCaches, "the table of caches at %#x lies over what word %#x names", off, r.at)
		}
	}
}

// pageRange is a run of pages and the place in the header that names it.
type pageRange struct{ page, n, at uint64 }
