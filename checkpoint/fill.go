package checkpoint

import (
	"io"

	"github.com/cowheap/cowheap/internal/block"
)

// fillStep is how many bytes are read at a time: so few that they are still in
// the second-level cache when they are checked and summed, so many that the
// calls do not show.
const fillStep = 128 << 10

// fill makes the block.
func (f *filled) fill(src Source, info *Info) {
	f.begin(info)
	parent := info.ParentSize / block.PageSize
	for first, n := range f.runs() {
		for n > 0 {
			// The step is read to where its first page belongs: no page moves
			// unless a page of zeros stands before it in the same step.
			to := f.buf[block.HeaderSize+f.stored*block.PageSize:]
			step := to[:min(n*block.PageSize, fillStep)]
			start := first * block.PageSize
			if got, err := src.ReadAt(step, start); got < len(step) {
				if err == nil || err == io.EOF {
					err = io.ErrUnexpectedEOF
				}
				f.err = &SourceError{Offset: start + int64(got), Err: err}
				return
			}
			kept := 0
			for at := 0; at < len(step); at += block.PageSize {
				page := step[at : at+block.PageSize]
				zero := block.IsZero(page)
				if zero && f.keep {
					f.zeros++
				}
				switch {
				case !zero || f.keep:
					f.add(first, block.CRC(page))
					if dst := to[kept*block.PageSize:]; &dst[0] != &page[0] {
						copy(dst, page)
					}
					kept++
				case first < parent:
					f.addZero(first)
				}
				first++
				n--
			}
			f.stored += kept
		}
	}
	if f.stored > 0 || f.zeros > 0 {
		f.finish()
	}
}

// begin makes the header of a block without pages.
func (f *filled) begin(info *Info) {
	if f.sparse = len(f.regions) > 1; f.sparse {
		block.Sparse(f.buf[:block.HeaderSize]).Reset(info.ID)
	} else {
		block.Header(f.buf[:block.HeaderSize]).Reset(uint32(f.regions[0].region), info.ID)
	}
}

// add records a page of the arena and its checksum.
func (f *filled) add(page int64, sum uint32) {
	if f.sparse {
		block.Sparse(f.buf[:]).Add(page/block.RegionPages, int(page%block.RegionPages), sum)
	} else {
		block.Header(f.buf[:]).SetPage(int(page%block.RegionPages), sum)
	}
}

// addZero records a page of the arena that has become zero.
func (f *filled) addZero(page int64) {
	f.zeros++
	if f.sparse {
		block.Sparse(f.buf[:]).AddZero(page/block.RegionPages, int(page%block.RegionPages))
	} else {
		block.Header(f.buf[:]).SetZero(int(page % block.RegionPages))
	}
}

// finish completes the header.
func (f *filled) finish() {
	h := block.Header(f.buf[:block.HeaderSize])
	s := block.Sparse(h)
	if !f.sparse {
		h.Seal()
	} else if part := s.Part(int64(h.Region())); part.Len < s.Len() {
		s.Seal()
	} else {
		// What else has changed is zero and beyond the parent: one region gains
		// nothing by a sparse block.
		var alone [block.HeaderSize]byte
		s.PutHeader(part, alone[:])
		copy(h, alone[:])
		f.sparse = false
	}
	f.size = h.Size()
}
