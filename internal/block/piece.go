package block

import "encoding/binary"

// Piece is a row of stored pages that are compressed together.
type Piece struct {
	Rank   int    // stored pages of the block before it
	Count  int    // pages in it, 1 to PiecePages
	Offset int    // where it starts, in bytes from the start of the block
	Size   int    // bytes as stored; Count*PageSize: it is not compressed
	CRC    uint32 // CRC32-C of the bytes as stored
}

// IsRaw reports whether the piece is stored as it is.
func (p Piece) IsRaw() bool { return p.Size == p.Count*PageSize }

// Codec is how pieces are compressed: [Raw], [S2] or [Zstd].
func (h Header) Codec() uint32 { return binary.LittleEndian.Uint32(h[CodecOff:]) }

// Size is the number of bytes of the whole block: a multiple of 4096.
func (h Header) Size() int {
	if h.Codec() == Raw {
		return HeaderSize + h.Count()*PageSize
	}
	return (h.StoredSize() + HeaderSize - 1) / HeaderSize * HeaderSize
}

// StoredSize is the number of bytes of the whole block but for the zeros that
// fill it up to Size.
func (h Header) StoredSize() int {
	if h.Codec() == Raw {
		return h.Size()
	}
	n := HeaderSize
	for i := range Pieces {
		n += int(binary.LittleEndian.Uint32(h[PieceOff+8*i:]))
	}
	return n
}

// PieceCount is the number of pieces of a compressed block, 0 of a Raw one.
func (h Header) PieceCount() int {
	if h.Codec() == Raw {
		return 0
	}
	return (h.Count() + PiecePages - 1) / PiecePages
}

// Piece is piece 0 <= i < PieceCount of a checked header.
func (h Header) Piece(i int) Piece {
	p := Piece{Rank: i * PiecePages, Count: min(h.Count()-i*PiecePages, PiecePages), Offset: HeaderSize}
	for j := range i {
		p.Offset += int(binary.LittleEndian.Uint32(h[PieceOff+8*j:]))
	}
	p.Size = int(binary.LittleEndian.Uint32(h[PieceOff+8*i:]))
	p.CRC = binary.LittleEndian.Uint32(h[PieceOff+8*i+4:])
	return p
}

// SetCodec records how pieces are compressed. SetPiece must follow for each.
func (h Header) SetCodec(codec uint32) { binary.LittleEndian.PutUint32(h[CodecOff:], codec) }

// SetPiece records what is stored of piece i.
func (h Header) SetPiece(i int, stored []byte) {
	binary.LittleEndian.PutUint32(h[PieceOff+8*i:], uint32(len(stored)))
	binary.LittleEndian.PutUint32(h[PieceOff+8*i+4:], CRC(stored))
}

// checkPieces verifies codec and pieces of a header with count pages: every
// piece has at least a byte and at most what its pages have, one has less.
func (h Header) checkPieces(count int) error {
	codec := h.Codec()
	if codec > Zstd {
		return &Error{Field: FieldCodec, Want: Zstd, Got: uint64(codec)}
	}
	pieces := (count + PiecePages - 1) / PiecePages
	if codec == Raw {
		pieces = 0
	}
	if !IsZero(h[PieceOff+8*pieces : ReservedOff]) {
		return &Error{Field: FieldReserved, Want: 0, Got: 1}
	}
	if codec == Raw {
		return nil
	}
	smaller := false
	for i := range pieces {
		size := uint64(binary.LittleEndian.Uint32(h[PieceOff+8*i:]))
		most := uint64(min(count-i*PiecePages, PiecePages)) * PageSize
		if size == 0 || size > most {
			return &Error{Field: FieldPiece, Page: i, Want: most, Got: size}
		}
		smaller = smaller || size < most
	}
	if !smaller {
		return &Error{Field: FieldCodec, Want: Raw, Got: uint64(codec)}
	}
	return nil
}
