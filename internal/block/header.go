package block

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"iter"
	"math/bits"
)

// Header is a view of a block's header: the first [HeaderSize] bytes of a
// block. Its methods panic, as a slice index does, on a view that is shorter.
// Reading methods may run concurrently; [Header.Reset], [Header.SetPage] and
// [Header.Seal] need the header for themselves.
type Header []byte

// Run is a row of neighbouring stored pages.
type Run struct {
	Page  int // first page, 0 to RegionPages-1
	Count int // pages in the row, at least 1
	Rank  int // stored pages before it: its bytes start at HeaderSize + Rank*PageSize of the block
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// CRC is the checksum of a page: CRC32-C, in one instruction for eight bytes
// where the processor has it.
func CRC(page []byte) uint32 { return crc32.Update(0, castagnoli, page) }

// UpdateCRC is the CRC32-C of what crc was computed over followed by b.
func UpdateCRC(crc uint32, b []byte) uint32 { return crc32.Update(crc, castagnoli, b) }

// CRCWithout is the CRC32-C of b without the four bytes at off, where b keeps
// the checksum itself.
func CRCWithout(b []byte, off int) uint32 {
	return crc32.Update(crc32.Update(0, castagnoli, b[:off]), castagnoli, b[off+4:])
}

// Magic is the first word, [Magic] in a block.
func (h Header) Magic() uint32 { return binary.LittleEndian.Uint32(h[MagicOff:]) }

// Region is the region's number.
func (h Header) Region() uint32 { return binary.LittleEndian.Uint32(h[RegionOff:]) }

// Count is the number of stored pages.
func (h Header) Count() int { return int(binary.LittleEndian.Uint32(h[CountOff:])) }

// CRC is the header's checksum as it stands in the header.
func (h Header) CRC() uint32 { return binary.LittleEndian.Uint32(h[CRCOff:]) }

// ID is the UUID of the checkpoint that the block belongs to.
func (h Header) ID() [IDSize]byte { return [IDSize]byte(h[IDOff : IDOff+IDSize]) }

// Stored reports whether page 0 <= i < RegionPages is in the block. A page that
// is not stored is zero in a full checkpoint, and in an incremental one if Zero
// says so.
func (h Header) Stored(i int) bool { return h[BitmapOff+i/8]>>(i%8)&1 != 0 }

// PageCRC is the checksum of page 0 <= i < RegionPages, 0 if it is not stored.
func (h Header) PageCRC(i int) uint32 { return binary.LittleEndian.Uint32(h[PageCRCOff+4*i:]) }

// Rank is the number of stored pages below page 0 <= i <= RegionPages. A stored
// page's bytes start at HeaderSize + Rank(i)*PageSize of the block.
func (h Header) Rank(i int) int {
	n := 0
	for w := range i / 64 {
		n += bits.OnesCount64(h.word(w))
	}
	if i%64 != 0 {
		n += bits.OnesCount64(h.word(i/64) & (1<<(i%64) - 1))
	}
	return n
}

// Runs yields the rows of stored pages in ascending order.
func (h Header) Runs() iter.Seq[Run] {
	return func(yield func(Run) bool) {
		rank := 0
		for i := h.next(0, true); i < RegionPages; {
			end := h.next(i, false)
			if !yield(Run{Page: i, Count: end - i, Rank: rank}) {
				return
			}
			rank += end - i
			i = h.next(end, true)
		}
	}
}

// Check verifies everything that a header says about itself: magic, checksum,
// count against bitmap, the sizes of pieces, and zero where the format asks for
// zero. The region, the UUID and what the checkpoint's features allow are the
// caller's to compare. The error is an [*Error].
func (h Header) Check() error {
	if len(h) < HeaderSize {
		return &Error{Field: FieldSize, Want: HeaderSize, Got: uint64(len(h))}
	}
	h = h[:HeaderSize]
	if m := h.Magic(); m != Magic {
		return &Error{Field: FieldMagic, Want: Magic, Got: uint64(m)}
	}
	if sum := CRCWithout(h, CRCOff); sum != h.CRC() {
		return &Error{Field: FieldCRC, Want: uint64(h.CRC()), Got: uint64(sum)}
	}
	n := h.Rank(RegionPages)
	if raw := binary.LittleEndian.Uint32(h[CountOff:]); n == 0 && !h.HasZeros() || uint64(raw) != uint64(n) {
		return &Error{Field: FieldCount, Want: uint64(n), Got: uint64(raw)}
	}
	for w := range RegionPages / 64 {
		if both := h.word(w) & h.zeroWord(w); both != 0 {
			return &Error{Field: FieldZero, Page: 64*w + bits.TrailingZeros64(both)}
		}
	}
	if !IsZero(h[CodecOff+4:PieceOff]) || !IsZero(h[ReservedOff:PageCRCOff]) {
		return &Error{Field: FieldReserved, Want: 0, Got: 1}
	}
	if err := h.checkPieces(n); err != nil {
		return err
	}
	for i := h.next(0, false); i < RegionPages; i = h.next(i+1, false) {
		if sum := h.PageCRC(i); sum != 0 {
			return &Error{Field: FieldReserved, Want: 0, Got: uint64(sum)}
		}
	}
	return nil
}

// CheckPages verifies the checksum of every stored page of a checked header.
// pages is what follows the header in the block, expanded. The error is an
// [*Error] whose Page is the first damaged page.
func (h Header) CheckPages(pages []byte) error {
	if want := h.Count() * PageSize; len(pages) != want {
		return &Error{Field: FieldSize, Want: uint64(want), Got: uint64(len(pages))}
	}
	for run := range h.Runs() {
		for j := range run.Count {
			at := (run.Rank + j) * PageSize
			want := h.PageCRC(run.Page + j)
			if sum := CRC(pages[at : at+PageSize]); sum != want {
				return &Error{Field: FieldPage, Page: run.Page + j, Want: uint64(want), Got: uint64(sum)}
			}
		}
	}
	return nil
}

// Reset makes h the header of an empty block. [Header.SetPage] and
// [Header.Seal] complete it.
func (h Header) Reset(region uint32, id [IDSize]byte) {
	h = h[:HeaderSize]
	clear(h)
	binary.LittleEndian.PutUint32(h[MagicOff:], Magic)
	binary.LittleEndian.PutUint32(h[RegionOff:], region)
	copy(h[IDOff:], id[:])
}

// SetPage records that page 0 <= i < RegionPages is stored and has this
// checksum.
func (h Header) SetPage(i int, sum uint32) {
	h[BitmapOff+i/8] |= 1 << (i % 8)
	binary.LittleEndian.PutUint32(h[PageCRCOff+4*i:], sum)
}

// Seal writes the count and the header's checksum. Nothing may change after it.
func (h Header) Seal() {
	h = h[:HeaderSize]
	binary.LittleEndian.PutUint32(h[CountOff:], uint32(h.Rank(RegionPages)))
	binary.LittleEndian.PutUint32(h[CRCOff:], CRCWithout(h, CRCOff))
}

// word is bits 64*w to 64*w+63 of the bitmap.
func (h Header) word(w int) uint64 { return binary.LittleEndian.Uint64(h[BitmapOff+8*w:]) }

// next is the first page at or after i that is stored (or is not), RegionPages
// if there is none.
func (h Header) next(i int, stored bool) int {
	for ; i < RegionPages; i = (i/64 + 1) * 64 {
		w := h.word(i / 64)
		if !stored {
			w = ^w
		}
		if w >>= i % 64; w != 0 {
			return i + bits.TrailingZeros64(w)
		}
	}
	return RegionPages
}

var zeroPage [PageSize]byte

// IsZero reports whether every byte of b is zero. It compares with a page of
// zeros, which runs at memory speed and ends at the first difference.
func IsZero(b []byte) bool {
	for len(b) > PageSize {
		if !bytes.Equal(b[:PageSize], zeroPage[:]) {
			return false
		}
		b = b[PageSize:]
	}
	return bytes.Equal(b, zeroPage[:len(b)])
}
