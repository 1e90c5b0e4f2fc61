package block

// Sizes. They are part of the format: another value is another format version.
const (
	PageSize    = 4096                   // bytes of a page
	RegionPages = 512                    // pages of a region
	RegionSize  = PageSize * RegionPages // bytes of a region, 2 MiB
	HeaderSize  = 4096                   // bytes of a block's header
	BitmapSize  = RegionPages / 8        // bytes of the bitmap
	IDSize      = 16                     // bytes of the checkpoint's UUID

	MinSize = HeaderSize + PageSize   // bytes of the smallest block: one page
	MaxSize = HeaderSize + RegionSize // bytes of the largest block: all pages
)

// Magic is the first word of a block, "CWB1" read as little-endian.
const Magic = 'C' | 'W'<<8 | 'B'<<16 | '1'<<24

// Offsets in a block's header, in bytes. All numbers are little-endian.
const (
	MagicOff    = 0    // u32 [Magic]
	RegionOff   = 4    // u32 number of the region: arena offset / [RegionSize]
	CountOff    = 8    // u32 number of stored pages, 1 to [RegionPages]
	CRCOff      = 12   // u32 CRC32-C of the header without these four bytes
	BitmapOff   = 16   // [64]byte bit i%8 of byte i/8: page i is stored
	IDOff       = 80   // [16]byte UUID of the checkpoint
	ReservedOff = 96   // zero up to PageCRCOff
	PageCRCOff  = 2048 // [512]u32 CRC32-C of each page, 0 where not stored
)
