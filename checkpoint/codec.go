package checkpoint

import (
	"fmt"
	"sync"

	"github.com/klauspost/compress/s2"
	"github.com/klauspost/compress/zstd"

	"github.com/cowheap/cowheap/internal/block"
)

// codec is what a block's header says of this compression.
func (c Compression) codec() uint32 {
	switch c {
	case Uncompressed:
		return block.Raw
	case S2:
		return block.S2
	default:
		return block.Zstd
	}
}

func (c Compression) check() error {
	if int(c) >= len(compressionNames) {
		return fmt.Errorf("%v is not known: want one of %v", c, compressionNames)
	}
	return nil
}

// worthwhile is the size below which a piece of n bytes is stored compressed: a
// sixteenth must be gained, else reading it costs more than it saves.
func worthwhile(n int) int { return n - n/16 }

// compress appends the compressed form of a piece to dst, whose capacity must be
// that of maxCompressed, or returns false where it is not worthwhile. What it
// returns depends on c and src alone.
func (c Compression) compress(dst, src []byte) ([]byte, bool) {
	var out []byte
	if c == S2 {
		out = s2.Encode(dst[:cap(dst)], src)
	} else {
		out = encoders[c]().EncodeAll(src, dst[:0])
	}
	return out, len(out) < worthwhile(len(src))
}

// maxCompressed is the most room that compress needs for a piece.
var maxCompressed = max(s2.MaxEncodedLen(block.PieceSize), block.PieceSize+block.PieceSize/128+64)

// encoders make an encoder each when it is first asked for; it has an inner one
// for each processor and may be used by all of them.
var encoders = map[Compression]func() *zstd.Encoder{
	ZstdFastest: newEncoder(zstd.SpeedFastest),
	Zstd:        newEncoder(zstd.SpeedDefault),
	ZstdBetter:  newEncoder(zstd.SpeedBetterCompression),
	ZstdBest:    newEncoder(zstd.SpeedBestCompression),
}

func newEncoder(level zstd.EncoderLevel) func() *zstd.Encoder {
	return sync.OnceValue(func() *zstd.Encoder {
		// Pages have their own checksums, and a piece is all that there is to look back on.
		e, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(level), zstd.WithEncoderCRC(false),
			zstd.WithWindowSize(block.PieceSize), zstd.WithSingleSegment(true))
		if err != nil {
			panic(err) // the options are constants
		}
		return e
	})
}

// decoder refuses what would give more than there is room for, whatever the
// compressed bytes claim.
var decoder = sync.OnceValue(func() *zstd.Decoder {
	d, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(0), zstd.WithDecodeAllCapLimit(true),
		zstd.WithDecoderMaxMemory(block.PieceSize), zstd.WithDecoderMaxWindow(block.PieceSize))
	if err != nil {
		panic(err) // the options are constants
	}
	return d
})

// expand fills dst with what src was made from, exactly.
func expand(codec uint32, dst, src []byte) error {
	var n int
	if codec == block.S2 {
		var err error
		if n, err = s2.DecodedLen(src); err != nil {
			return err
		}
		if n == len(dst) {
			_, err = s2.Decode(dst, src)
			return err
		}
	} else {
		out, err := decoder().DecodeAll(src, dst[:0:len(dst)])
		if err != nil {
			return err
		}
		n = len(out)
	}
	if n != len(dst) {
		return fmt.Errorf("it expands to %d bytes", n)
	}
	return nil
}

// expandPiece verifies what is stored of a piece of h at offset at, and puts its
// pages into dst.
func expandPiece(path string, at int64, h block.Header, p block.Piece, dst, stored []byte) error {
	if got := block.CRC(stored); got != p.CRC {
		return &ChecksumError{Path: path, Offset: at, What: pieceName(h, p), Want: p.CRC, Got: got}
	}
	if p.IsRaw() {
		copy(dst, stored)
		return nil
	}
	if err := expand(h.Codec(), dst, stored); err != nil {
		return corrupt(path, at, "%d bytes that should expand to %d do not: %v", len(stored), len(dst), err)
	}
	return nil
}

// expandBlock verifies the pieces of a compressed block at offset at, and puts
// its pages into dst. stored is what follows the header.
func expandBlock(path string, at int64, h block.Header, dst, stored []byte) error {
	for i := range h.PieceCount() {
		p := h.Piece(i)
		to := dst[p.Rank*block.PageSize:][:p.Count*block.PageSize]
		from := p.Offset - block.HeaderSize
		if err := expandPiece(path, at+int64(p.Offset), h, p, to, stored[from:from+p.Size]); err != nil {
			return err
		}
	}
	if end := h.StoredSize(); !block.IsZero(stored[end-block.HeaderSize:]) {
		return corrupt(path, at+int64(end), "the bytes that fill the block up are not zero")
	}
	return nil
}
