package checkpoint

import (
	"fmt"
	"iter"

	"github.com/cowheap/cowheap/internal/block"
)

// changes is what an incremental checkpoint holds: a set of pages for each
// region that has any, ascending.
type changes struct {
	regions []changedRegion
	parent  int64 // pages of the parent's arena
}

type changedRegion struct {
	region int64
	pages  block.Pages
}

// collect takes the ranges of [WriteOptions.Changed] as far as they lie below
// size. It takes 72 bytes for each 2 MiB in which something has changed.
func collect(changed iter.Seq2[int64, int64], size, parentSize int64) (*changes, error) {
	c := &changes{parent: parentSize / block.PageSize}
	last := int64(0)
	var err error
	for off, n := range changed {
		if off < last || n < 0 || off%block.PageSize != 0 || n%block.PageSize != 0 || off+n < off {
			err = fmt.Errorf("changed range of %d bytes at %d, after one that ends at %d: ranges must be whole pages of %d bytes and ascend", n, off, last, block.PageSize)
			break
		}
		last = off + n
		for page := off / block.PageSize; page < min(last, size)/block.PageSize; page++ {
			region := page / block.RegionPages
			if k := len(c.regions); k == 0 || c.regions[k-1].region != region {
				c.regions = append(c.regions, changedRegion{region: region})
			}
			c.regions[len(c.regions)-1].pages.Add(int(page % block.RegionPages))
		}
	}
	return c, err
}

// all yields the ranges that were collected.
func (c *changes) all() iter.Seq2[int64, int64] {
	return func(yield func(off, n int64) bool) {
		for i := range c.regions {
			r := &c.regions[i]
			for first, n := range r.pages.Runs() {
				if !yield(r.region*block.RegionSize+int64(first)*block.PageSize, int64(n)*block.PageSize) {
					return
				}
			}
		}
	}
}

// pages counts them.
func (c *changes) pages() (n int64) {
	for i := range c.regions {
		n += int64(c.regions[i].pages.Len())
	}
	return n
}

// task is a region to be written.
type task struct {
	region int64
	pages  block.Pages // to read
	parent int         // pages of the region that the parent has: those from there on are zero unless stored
}

// tasks yields what has to be written: every region of a full checkpoint, those
// with changes of an incremental one.
func tasks(c *changes, size int64) iter.Seq[task] {
	return func(yield func(task) bool) {
		if c == nil {
			for region := range regionsOf(size) {
				if !yield(task{region: region, pages: block.FirstPages(pagesIn(region, size))}) {
					return
				}
			}
			return
		}
		for _, r := range c.regions {
			parent := min(max(c.parent-r.region*block.RegionPages, 0), block.RegionPages)
			if !yield(task{r.region, r.pages, int(parent)}) {
				return
			}
		}
	}
}
