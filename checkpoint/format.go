package checkpoint

import (
	"github.com/cowheap/cowheap/internal/block"
)

// FormatVersion is the format that this package writes. It reads 1 to FormatVersion.
const FormatVersion = 1

// MaxSize is the largest arena that the format can describe, in bytes: 4 PiB. A
// region's number then fits an int also where it has 32 bits.
const MaxSize int64 = block.RegionSize << 31

// maxHeader bounds the file header, and with it what a hostile one can make a
// reader allocate.
const maxHeader = 16 << 20

// headerMagic cannot be the start of a text, and a transfer that converts line
// ends or drops the eighth bit destroys it (the trick is PNG's).
const headerMagic = "\x89CWH\r\n\x1a\n"

// Offsets in the file header. All numbers are little-endian.
const (
	hMagic     = 0  // [8]byte headerMagic
	hVersion   = 8  // u32 format version
	hCRC       = 12 // u32 CRC32-C of the header without these four bytes
	hPageSize  = 16 // u32 bytes of a page
	hLength    = 20 // u32 bytes of the header, a multiple of 4096
	hMetaLen   = 24 // u32 bytes of the metadata
	hFlags     = 28 // u32 features needed to read the file
	hSize      = 32 // u64 bytes of the arena
	hTime      = 40 // i64 nanoseconds since 1970
	hID        = 48 // [16]byte UUIDv7
	hParent    = 64 // [16]byte UUID of the parent, zero if none
	hParentLen = 80 // u64 bytes of the parent's arena, zero in a full checkpoint
	hReserved  = 88 // [8]byte zero
	hMetadata  = 96 // msgpack, then zero up to the header's length
	headerUnit = 4096
)

// Features: bits of hFlags that a reader must know.
const (
	flagIncremental = 1 << 0 // holds only what differs from the parent
	flagCompressed  = 1 << 1 // blocks may be compressed
	flagSparse      = 1 << 2 // blocks may have pages of many regions
	knownFlags      = flagIncremental | flagCompressed | flagSparse
)

// Offsets in the index, which stands where another block's header would.
const (
	indexMagic = 'C' | 'W'<<8 | 'X'<<16 | '1'<<24
	xMagic     = 0  // u32 indexMagic
	xReserved  = 4  // u32 zero
	xRegions   = 8  // u64 number of entries
	xID        = 16 // [16]byte as in the header
	xEntries   = 32 // u64 an entry: offset of the region's block in the file, 0 if it has none; and what is below
)

// What an index entry says of a block besides its offset, which is a multiple of
// 4096.
const (
	entryCompressed = 1 << 0                  // it is compressed
	entrySparse     = 1 << 1                  // it is sparse, and
	entryPages      = 1 << 2                  // has this many times so many of the region's pages: 1 to block.MaxEntries
	entryOffset     = ^uint64(headerUnit - 1) // where the offset is
)

// partEntry is the index entry of a region that has n pages in a sparse block.
func partEntry(offset int64, n int) uint64 {
	return uint64(offset) | entrySparse | entryPages*uint64(n)
}

// Offsets in the trailer, the last trailerSize bytes.
const (
	trailerMagic = 'C' | 'W'<<8 | 'T'<<16 | '1'<<24
	tMagic       = 0  // u32 trailerMagic
	tCRC         = 4  // u32 CRC32-C of the trailer without these four bytes
	tIndexOff    = 8  // u64 offset of the index
	tIndexLen    = 16 // u64 bytes of the index with its padding, up to the trailer
	tIndexCRC    = 24 // u32 CRC32-C of these bytes
	tHeaderCRC   = 28 // u32 as in the header
	tBlocks      = 32 // u64 number of blocks
	tPages       = 40 // u64 number of stored pages
	tLength      = 48 // u64 bytes of the whole checkpoint
	tID          = 56 // [16]byte as in the header
	tReserved    = 72 // zero
	trailerSize  = 128
)

// roundUp is n rounded up to a multiple of unit.
func roundUp(n, unit int64) int64 { return (n + unit - 1) / unit * unit }

// regionsOf is the number of regions of an arena of size bytes.
func regionsOf(size int64) int64 { return roundUp(size, block.RegionSize) / block.RegionSize }

// endingSize is the number of bytes of index, padding and trailer together. It
// is a multiple of a block header's size, so that a stream reader, which reads
// that much before it knows what it has, never reads past the end.
func endingSize(size int64) int64 {
	return roundUp(xEntries+8*regionsOf(size)+trailerSize, block.HeaderSize)
}

// pagesIn is the number of pages of a region: less than block.RegionPages only
// in the last one.
func pagesIn(region, size int64) int {
	return int(min(size-region*block.RegionSize, block.RegionSize) / block.PageSize)
}
