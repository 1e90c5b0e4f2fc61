package checkpoint

import (
	"cmp"
	"fmt"
	"iter"
	"slices"

	"github.com/cowheap/cowheap/internal/block"
)

// latePage is a page that [Settled] gave: its number in the arena, and its content.
type latePage struct {
	number int64
	data   *[block.PageSize]byte
}

// latePages are ascending, each there once.
type latePages []latePage

// collectLate takes what s gives, until out's context ends it. It copies no page.
func collectLate(out *output, s *Settled) (latePages, error) {
	if s.Pages == nil {
		return nil, nil
	}
	var l latePages
	for off, page := range s.Pages {
		if off < 0 || off >= s.Size || off%block.PageSize != 0 || len(page) != block.PageSize {
			return nil, &SourceError{Offset: off, Err: fmt.Errorf("it has settled with %d bytes there: must be pages of %d, aligned, below its size of %d", len(page), block.PageSize, s.Size)}
		}
		if len(l)%block.RegionPages == 0 {
			if err := out.cancelled(); err != nil {
				return nil, err
			}
		}
		l = append(l, latePage{off / block.PageSize, (*[block.PageSize]byte)(page)})
	}
	slices.SortStableFunc(l, func(a, b latePage) int { return cmp.Compare(a.number, b.number) })
	kept := l[:0]
	for i, p := range l {
		if i+1 == len(l) || l[i+1].number != p.number {
			kept = append(kept, p)
		}
	}
	return kept, nil
}

// from is the index of the first page at or after this number.
func (l latePages) from(number int64) int {
	i, _ := slices.BinarySearchFunc(l, number, func(p latePage, number int64) int { return cmp.Compare(p.number, number) })
	return i
}

// cut parts those below size, in bytes, from the others.
func (l latePages) cut(size int64) (below, beyond latePages) {
	i := l.from(size / block.PageSize)
	return l[:i], l[i:]
}

// regions yields the pages of each region that has any, ascending.
func (l latePages) regions() iter.Seq2[int64, latePages] {
	return func(yield func(int64, latePages) bool) {
		for left := l; len(left) > 0; {
			region := left[0].number / block.RegionPages
			n := left.from((region + 1) * block.RegionPages)
			if !yield(region, left[:n]) {
				return
			}
			left = left[n:]
		}
	}
}

// runs yields the rows of neighbours, ascending.
func (l latePages) runs() iter.Seq[latePages] {
	return func(yield func(latePages) bool) {
		for left := l; len(left) > 0; {
			n := 1
			for n < len(left) && left[n].number == left[0].number+int64(n) {
				n++
			}
			if !yield(left[:n]) {
				return
			}
			left = left[n:]
		}
	}
}

// tasks yields a block for each region that has pages.
func (l latePages) tasks() iter.Seq[task] {
	return func(yield func(task) bool) {
		for region, pages := range l.regions() {
			r := changedRegion{region: region}
			for _, p := range pages {
				r.pages.Add(int(p.number % block.RegionPages))
			}
			if !yield(task{[]changedRegion{r}}) {
				return
			}
		}
	}
}

// lateSource is an arena of size bytes that has these pages and may be asked for no others.
type lateSource struct {
	pages latePages
	size  int64
}

func (s lateSource) Size() int64 { return s.size }

func (s lateSource) ReadAt(p []byte, off int64) (int, error) {
	n := 0
	for _, page := range s.pages[s.pages.from(off/block.PageSize):] {
		if n == len(p) {
			break
		}
		n += copy(p[n:], page.data[:])
	}
	return n, nil
}
