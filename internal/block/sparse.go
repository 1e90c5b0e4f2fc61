package block

import "encoding/binary"

// Sparse is a view of the header of a sparse block: one header for changed pages
// of many neighbouring regions. It starts with a list of entries, ascending, one
// for each page that has changed; then, as in any block, the pages follow, but
// for those that have become zero. Magic, count, checksum, UUID and pieces stand
// where a [Header] has them, and Header(s) may be asked for them, not for more.
//
// The rules of Header for methods that run concurrently hold here too:
// [Sparse.Reset], [Sparse.Add], [Sparse.AddZero] and [Sparse.Seal] need the header
// for themselves.
type Sparse []byte

// SparseMagic is the first word of a sparse block, "CWS1" read as little-endian.
const SparseMagic = 'C' | 'W'<<8 | 'S'<<16 | '1'<<24

// MaxEntries is how many pages a sparse block can have: a region's 2 MiB, which
// bound what a reader must hold, are more.
const MaxEntries = (HeaderSize - EntryOff) / 8

// MaxSpan is how many regions there can be from a sparse block's first to its
// last, as entries count pages from the first region's: 8 TiB.
const MaxSpan = zeroMark / RegionPages

// Offsets in a sparse block's header, in bytes, where they are not a [Header]'s.
const (
	// RegionOff has the number of the first entry's region.
	EntriesOff = 16  // u32 number of entries, 1 to MaxEntries
	EntryOff   = 320 // {u32 page, from the first of the region in RegionOff; u32 CRC32-C of it}
	zeroMark   = 1 << 31
)

// Entry is one page of a sparse block.
type Entry struct {
	Region int64
	Page   int    // in the region
	Zero   bool   // it has become zero, and does not follow
	CRC    uint32 // of the page; 0 if it has become zero
}

// Len is the number of entries.
func (s Sparse) Len() int { return int(binary.LittleEndian.Uint32(s[EntriesOff:])) }

// Entry is entry 0 <= i < Len of a checked header.
func (s Sparse) Entry(i int) Entry {
	word := binary.LittleEndian.Uint32(s[EntryOff+8*i:])
	page := word &^ zeroMark
	return Entry{
		Region: int64(Header(s).Region()) + int64(page/RegionPages),
		Page:   int(page % RegionPages),
		Zero:   word&zeroMark != 0,
		CRC:    binary.LittleEndian.Uint32(s[EntryOff+8*i+4:]),
	}
}

// Check verifies everything that a header says about itself, as [Header.Check]
// does. Which regions the arena has, the UUID and what the checkpoint's features
// allow are the caller's to compare. The error is an [*Error].
func (s Sparse) Check() error {
	if len(s) < HeaderSize {
		return &Error{Field: FieldSize, Want: HeaderSize, Got: uint64(len(s))}
	}
	s = s[:HeaderSize]
	h := Header(s)
	if m := h.Magic(); m != SparseMagic {
		return &Error{Field: FieldMagic, Want: SparseMagic, Got: uint64(m)}
	}
	if sum := CRCWithout(s, CRCOff); sum != h.CRC() {
		return &Error{Field: FieldCRC, Want: uint64(h.CRC()), Got: uint64(sum)}
	}
	entries := binary.LittleEndian.Uint32(s[EntriesOff:])
	if entries == 0 || entries > MaxEntries {
		return &Error{Field: FieldEntries, Want: MaxEntries, Got: uint64(entries)}
	}
	stored, err := s.checkEntries(int(entries))
	if err != nil {
		return err
	}
	if raw := binary.LittleEndian.Uint32(s[CountOff:]); uint64(raw) != uint64(stored) {
		return &Error{Field: FieldCount, Want: uint64(stored), Got: uint64(raw)}
	}
	if !IsZero(s[EntriesOff+4:IDOff]) || !IsZero(s[ZeroOff:CodecOff]) || !IsZero(s[CodecOff+4:PieceOff]) || !IsZero(s[EntryOff+8*entries:]) {
		return &Error{Field: FieldReserved, Want: 0, Got: 1}
	}
	return h.checkPieces(stored)
}

// checkEntries verifies that n entries ascend from the first region on, and says
// how many pages follow.
func (s Sparse) checkEntries(n int) (stored int, err error) {
	last := int64(-1)
	for i := range n {
		word := binary.LittleEndian.Uint32(s[EntryOff+8*i:])
		sum := binary.LittleEndian.Uint32(s[EntryOff+8*i+4:])
		page := word &^ zeroMark
		if int64(page) <= last || i == 0 && page >= RegionPages {
			return 0, &Error{Field: FieldEntry, Page: i, Want: uint64(last + 1), Got: uint64(page)}
		}
		last = int64(page)
		switch {
		case word&zeroMark == 0:
			stored++
		case sum != 0:
			return 0, &Error{Field: FieldReserved, Want: 0, Got: uint64(sum)}
		}
	}
	return stored, nil
}

// CheckPages verifies the checksum of every stored page of a checked header.
// pages is what follows the header in the block, expanded. The error is an
// [*Error] whose Page is the rank of the first damaged page, see [Sparse.PageOf].
func (s Sparse) CheckPages(pages []byte) error {
	if want := Header(s).Count() * PageSize; len(pages) != want {
		return &Error{Field: FieldSize, Want: uint64(want), Got: uint64(len(pages))}
	}
	rank := 0
	for i := range s.Len() {
		e := s.Entry(i)
		if e.Zero {
			continue
		}
		if sum := CRC(pages[rank*PageSize:][:PageSize]); sum != e.CRC {
			return &Error{Field: FieldPage, Page: rank, Want: uint64(e.CRC), Got: uint64(sum)}
		}
		rank++
	}
	return nil
}

// Reset makes s the header of a block without entries. At least one must be
// added, then [Sparse.Seal] completes it.
func (s Sparse) Reset(id [IDSize]byte) {
	Header(s).Reset(0, id)
	binary.LittleEndian.PutUint32(s[MagicOff:], SparseMagic)
}

// Add records that page 0 <= i < RegionPages of a region is stored and has this
// checksum. Pages must be added ascending, at most MaxEntries of them, of regions
// less than MaxSpan apart.
func (s Sparse) Add(region int64, i int, sum uint32) {
	s.add(region, i, 0, sum)
	binary.LittleEndian.PutUint32(s[CountOff:], uint32(Header(s).Count()+1))
}

// AddZero records that a page has become zero, as Add does.
func (s Sparse) AddZero(region int64, i int) { s.add(region, i, zeroMark, 0) }

func (s Sparse) add(region int64, i int, mark, sum uint32) {
	n := s.Len()
	if n == 0 {
		binary.LittleEndian.PutUint32(s[RegionOff:], uint32(region))
	}
	page := uint32(region-int64(Header(s).Region()))*RegionPages + uint32(i)
	binary.LittleEndian.PutUint32(s[EntryOff+8*n:], page|mark)
	binary.LittleEndian.PutUint32(s[EntryOff+8*n+4:], sum)
	binary.LittleEndian.PutUint32(s[EntriesOff:], uint32(n+1))
}

// Seal writes the header's checksum. Nothing may change after it.
func (s Sparse) Seal() {
	s = s[:HeaderSize]
	binary.LittleEndian.PutUint32(s[CRCOff:], CRCWithout(s, CRCOff))
}
