package block

// Sizes. They are part of the format: another value is another format version.
const (
	PageSize    = 4096                   // bytes of a page
	RegionPages = 512                    // pages of a region
	RegionSize  = PageSize * RegionPages // bytes of a region, 2 MiB
	HeaderSize  = 4096                   // bytes of a block's header
	BitmapSize  = RegionPages / 8        // bytes of the bitmap
	IDSize      = 16                     // bytes of the checkpoint's UUID

	PiecePages = 32                       // pages that are compressed together
	PieceSize  = PiecePages * PageSize    // bytes of a piece before compression, 128 KiB
	Pieces     = RegionPages / PiecePages // pieces of a block, at most

	MinSize = HeaderSize              // bytes of the smallest block: pages that have become zero
	MaxSize = HeaderSize + RegionSize // bytes of the largest block: all pages
)

// Magic is the first word of a block, "CWB1" read as little-endian.
const Magic = 'C' | 'W'<<8 | 'B'<<16 | '1'<<24

// Offsets in a block's header, in bytes. All numbers are little-endian.
const (
	MagicOff    = 0    // u32 [Magic]
	RegionOff   = 4    // u32 number of the region: arena offset / [RegionSize]
	CountOff    = 8    // u32 number of stored pages, 0 to [RegionPages]
	CRCOff      = 12   // u32 CRC32-C of the header without these four bytes
	BitmapOff   = 16   // [64]byte bit i%8 of byte i/8: page i is stored
	IDOff       = 80   // [16]byte UUID of the checkpoint
	ZeroOff     = 96   // [64]byte the same for pages that have become zero; none in a full checkpoint
	CodecOff    = 160  // u32 how pieces are compressed: [Raw], [S2] or [Zstd]
	PieceOff    = 192  // [16]{u32 bytes as stored, u32 CRC32-C of these}, all zero in a Raw block
	ReservedOff = 320  // zero up to PageCRCOff, and between CodecOff+4 and PieceOff
	PageCRCOff  = 2048 // [512]u32 CRC32-C of each page, 0 where not stored
)

// What CodecOff says.
const (
	Raw  = 0 // the pages follow as they are
	S2   = 1 // pieces are blocks of S2
	Zstd = 2 // pieces are frames of Zstandard
)
