package checkpoint

import (
	"errors"
	"fmt"

	"github.com/cowheap/cowheap/internal/block"
)

// blockError turns what internal/block found in the block at off, whose header is h, into an
// error of this package.
func blockError(path string, off int64, h block.Header, err error) error {
	e, ok := errors.AsType[*block.Error](err)
	switch {
	case !ok:
		return err
	case e.Field == block.FieldPage:
		rank := e.Page
		if !isSparse(h) {
			rank = h.Rank(e.Page)
		}
		return pageError(path, off, h, rank, uint32(e.Want), uint32(e.Got))
	case e.Field == block.FieldZero:
		return corrupt(path, off, "page %d of the block is both stored and zero", e.Page)
	case e.Field == block.FieldPiece:
		return corrupt(path, off, "piece %d of the block claims %d bytes of at most %d", e.Page, e.Got, e.Want)
	case e.Field == block.FieldEntry:
		return corrupt(path, off, "entry %d of the sparse block is page %d, after page %d, or not in its first region", e.Page, e.Got, int64(e.Want)-1)
	case e.Field == block.FieldEntries:
		return corrupt(path, off, "the sparse block claims %d entries, it can have 1 to %d", e.Got, e.Want)
	case e.Field == block.FieldCRC:
		return &ChecksumError{Path: path, Offset: off, What: "the block's header", Want: uint32(e.Want), Got: uint32(e.Got)}
	default:
		return corrupt(path, off, "%v", e)
	}
}

// isSparse reports whether a block's header is that of a sparse one.
func isSparse(h block.Header) bool { return h.Magic() == block.SparseMagic }

// pageError says which the rank-th stored page of the block at off is, and where that
// stands, or the compressed piece that has it. h is as it stands in the file, and has
// passed its own check.
func pageError(path string, off int64, h block.Header, rank int, want, got uint32) error {
	if h.Codec() == block.Raw {
		off += block.HeaderSize + int64(rank)*block.PageSize
	} else {
		off += int64(h.Piece(rank / block.PiecePages).Offset)
	}
	return &ChecksumError{Path: path, Offset: off, What: pageName(h, rank), Want: want, Got: got}
}

// pageName is what the rank-th stored page of a block is called.
func pageName(h block.Header, rank int) string {
	region, page := int64(h.Region()), 0
	if isSparse(h) {
		e := block.Sparse(h).PageOf(rank)
		region, page = e.Region, e.Page
	} else {
		for run := range h.Runs() {
			if rank >= run.Rank {
				page = run.Page + rank - run.Rank
			}
		}
	}
	return fmt.Sprintf("page %d of region %d", page, region)
}

// pieceName is what a piece of a compressed block is called.
func pieceName(h block.Header, p block.Piece) string {
	first, last := p.Rank, p.Rank+p.Count-1
	if isSparse(h) {
		return fmt.Sprintf("the piece from %s to %s", pageName(h, first), pageName(h, last))
	}
	return fmt.Sprintf("the piece of pages %d to %d of the block", first, last)
}
