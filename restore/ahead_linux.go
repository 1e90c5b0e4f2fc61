package restore

import (
	"context"
	"iter"
	"os"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/cowheap/cowheap/checkpoint"
	"github.com/cowheap/cowheap/internal/block"
)

// aheadBatch is how many faults of a set the system is told of at a time, in the order of the file: few enough that
// those that were touched first come first.
const aheadBatch = 4096

// ahead has the system read what a set brings in, many pages at a time, while nobody waits for them: whoever
// faults at one then finds it in the page cache. It is advice, so errors are of no interest,
// and the headers are not verified: whoever reads a page does that.
func ahead(ctx context.Context, d checkpoint.Direct, set []uint32) {
	for batch := range slices.Chunk(set, aheadBatch) {
		batch = slices.DeleteFunc(slices.Sorted(slices.Values(batch)), func(page uint32) bool {
			return d.Index[page/block.RegionPages] == 0
		})
		// Where the pages are is in the headers of their blocks.
		last := uint64(0)
		for _, page := range batch {
			if at := d.Index[page/block.RegionPages]; at != last {
				willNeed(d.File, at, block.HeaderSize)
				last = at
			}
		}
		for off, n := range placesOf(d, batch) {
			if ctx.Err() != nil {
				return
			}
			willNeed(d.File, off, n)
		}
	}
}

// placesOf iterates over where in d's file, and in how many bytes, the rows are that the faults stand for. They are
// sorted, and in blocks of that file. It ends at a header that cannot be read.
func placesOf(d checkpoint.Direct, faults []uint32) iter.Seq2[uint64, uint64] {
	return func(yield func(off, n uint64) bool) {
		head := make(block.Header, block.HeaderSize)
		last := uint64(0)
		for _, page := range faults {
			at, i := d.Index[page/block.RegionPages], int(page%block.RegionPages)
			if at != last {
				if _, err := d.File.ReadAt(head, int64(at)); err != nil {
					return
				}
				last = at
			}
			first, end := head.Rank(i), head.Rank(i+rowOf(page))
			if first < end && !yield(at+block.HeaderSize+uint64(first)*block.PageSize, uint64(end-first)*block.PageSize) {
				return
			}
		}
	}
}

func willNeed(f *os.File, off, n uint64) {
	_ = unix.Fadvise(int(f.Fd()), int64(off), int64(n), unix.FADV_WILLNEED)
}
