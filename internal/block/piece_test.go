package block

import (
	"encoding/binary"
	"errors"
	"slices"
	"testing"
)

// pieced is the header of a compressed block of count pages whose pieces have
// these sizes.
func pieced(count int, sizes ...int) Header {
	h := Header(make([]byte, HeaderSize))
	h.Reset(1, testID)
	for i := range count {
		h.SetPage(i, uint32(i+1))
	}
	h.SetCodec(S2)
	for i, size := range sizes {
		h.SetPiece(i, make([]byte, size))
	}
	h.Seal()
	return h
}

func TestPiecesFollowFromTheHeader(t *testing.T) {
	h := pieced(70, PieceSize, 5, 6*PageSize)
	if err := h.Check(); err != nil {
		t.Fatal(err)
	}
	if h.PieceCount() != 3 || h.StoredSize() != HeaderSize+PieceSize+5+6*PageSize || h.Size() != h.StoredSize()+PageSize-5 {
		t.Fatalf("%d pieces, %d bytes, %d with padding", h.PieceCount(), h.StoredSize(), h.Size())
	}
	zeros := CRC(make([]byte, 5))
	if p := h.Piece(1); (p != Piece{Rank: 32, Count: 32, Offset: HeaderSize + PieceSize, Size: 5, CRC: zeros}) || p.IsRaw() {
		t.Errorf("piece 1 is %+v", p)
	}
	if p := h.Piece(2); p.Rank != 64 || p.Count != 6 || p.Offset != HeaderSize+PieceSize+5 || !p.IsRaw() {
		t.Errorf("piece 2 is %+v", p)
	}
}

func TestPiecesThatCannotBeAreRefused(t *testing.T) {
	for name, c := range map[string]struct {
		h     Header
		field Field
	}{
		"larger than its pages": {pieced(40, 7, 8*PageSize+1), FieldPiece},
		"one missing":           {pieced(40, 7), FieldPiece},
		"one too many":          {pieced(32, 7, 7), FieldReserved},
		"none is smaller":       {pieced(33, PieceSize, PageSize), FieldCodec},
	} {
		if e, ok := errors.AsType[*Error](c.h.Check()); !ok || e.Field != c.field {
			t.Errorf("%s: %v", name, c.h.Check())
		}
	}
	h := pieced(32, 7)
	binary.LittleEndian.PutUint32(h[PieceOff:], 1<<31) // as a hostile writer would
	h.Seal()
	if h.Check() == nil {
		t.Error("a piece of 2 GiB was accepted")
	}
}

func TestZerosMayStandAlone(t *testing.T) {
	h := Header(make([]byte, HeaderSize))
	h.Reset(1, testID)
	for _, i := range []int{0, 63, 64, 65, 511} {
		h.SetZero(i)
	}
	h.Seal()
	if err := h.Check(); err != nil || h.Size() != MinSize {
		t.Fatal(err, h.Size())
	}
	zeros := h.ZeroPages()
	var got []int
	for first, n := range zeros.Runs() {
		got = append(got, first, n)
	}
	if !slices.Equal(got, []int{0, 1, 63, 3, 511, 1}) || zeros.Len() != 5 || !zeros.Has(64) || zeros.Has(66) {
		t.Errorf("rows %v of %d pages", got, zeros.Len())
	}
}

func TestSetsOfPages(t *testing.T) {
	for _, n := range []int{0, 1, 63, 64, 65, 511, 512} {
		p := FirstPages(n)
		if p.Len() != n || n > 0 && !p.Has(n-1) || n < 512 && p.Has(n) {
			t.Errorf("the first %d pages are %d", n, p.Len())
		}
	}
	a, b := FirstPages(100), FirstPages(70)
	if d := a.Without(b); d.Len() != 30 || d.Has(69) || !d.Has(70) {
		t.Errorf("difference %v", d)
	}
	if c := a.And(b); c != b {
		t.Errorf("intersection %v", c)
	}
}
