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
}

type changedRegion struct {
	region int64
	pages  block.Pages
}

// collect takes the ranges of [WriteOptions.Changed] as far as they lie below
// size. It takes 72 bytes for each 2 MiB in which something has changed.
func collect(changed iter.Seq2[int64, int64], size int64) (*changes, error) {
	c := &changes{}
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

// blocks is how many blocks they make.
func (c *changes) blocks() (n int64) {
	for range tasks(c, 0) {
		n++
	}
	return n
}

// sparse reports whether some of them are sparse.
func (c *changes) sparse() bool {
	for t := range tasks(c, 0) {
		if len(t.regions) > 1 {
			return true
		}
	}
	return false
}

// task is what makes one block: a region, or the changes in several, which make
// a sparse one.
type task struct {
	regions []changedRegion // at least one
}

// end is where the last region ends.
func (t task) end(size int64) int64 {
	return min(size, (t.regions[len(t.regions)-1].region+1)*block.RegionSize)
}

// runs yields the rows of pages [first, first+n) of the arena, ascending.
func (t task) runs() iter.Seq2[int64, int] {
	return func(yield func(first int64, n int) bool) {
		for i := range t.regions {
			r := &t.regions[i]
			for first, n := range r.pages.Runs() {
				if !yield(r.region*block.RegionPages+int64(first), n) {
					return
				}
			}
		}
	}
}

// tasks yields what has to be written: every region of a full checkpoint of size
// bytes, those with changes of an incremental one. Of these as many neighbours
// share a block as have room in one: each region that does not stand alone saves a
// header, and no other way to part them needs fewer blocks.
func tasks(c *changes, size int64) iter.Seq[task] {
	return func(yield func(task) bool) {
		if c == nil {
			for region := range regionsOf(size) {
				if !yield(task{[]changedRegion{{region, block.FirstPages(pagesIn(region, size))}}}) {
					return
				}
			}
			return
		}
		for left := c.regions; len(left) > 0; {
			n, pages := 1, left[0].pages.Len()
			for n < len(left) && left[n].region-left[0].region < block.MaxSpan {
				if pages += left[n].pages.Len(); pages > block.MaxEntries {
					break
				}
				n++
			}
			if !yield(task{left[:n]}) {
				return
			}
			left = left[n:]
		}
	}
}
