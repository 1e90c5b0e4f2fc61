package checkpoint

import (
	"encoding/binary"

	"github.com/google/uuid"

	"github.com/cowheap/cowheap/internal/block"
)

// ending is what follows the last block: the index and the trailer. All of it
// follows from what came before, so a reader computes it too and compares.
type ending struct {
	id        uuid.UUID
	headerCRC uint32
	size      int64 // of the arena
	offset    int64 // of the index, from the start of the checkpoint
	blocks    int64
	pages     int64
}

func (e *ending) indexLen() int64 { return endingSize(e.size) - trailerSize }
func (e *ending) length() int64   { return e.offset + endingSize(e.size) }

// putIndexHead writes what stands before the entries.
func (e *ending) putIndexHead(b []byte) {
	clear(b[:xEntries])
	binary.LittleEndian.PutUint32(b[xMagic:], indexMagic)
	binary.LittleEndian.PutUint64(b[xRegions:], uint64(regionsOf(e.size)))
	copy(b[xID:], e.id[:])
}

// putTrailer writes the last trailerSize bytes.
func (e *ending) putTrailer(b []byte, indexCRC uint32) {
	b = b[:trailerSize]
	clear(b)
	binary.LittleEndian.PutUint32(b[tMagic:], trailerMagic)
	binary.LittleEndian.PutUint64(b[tIndexOff:], uint64(e.offset))
	binary.LittleEndian.PutUint64(b[tIndexLen:], uint64(e.indexLen()))
	binary.LittleEndian.PutUint32(b[tIndexCRC:], indexCRC)
	binary.LittleEndian.PutUint32(b[tHeaderCRC:], e.headerCRC)
	binary.LittleEndian.PutUint64(b[tBlocks:], uint64(e.blocks))
	binary.LittleEndian.PutUint64(b[tPages:], uint64(e.pages))
	binary.LittleEndian.PutUint64(b[tLength:], uint64(e.length()))
	copy(b[tID:], e.id[:])
	binary.LittleEndian.PutUint32(b[tCRC:], block.CRCWithout(b, tCRC))
}

// encode returns index and trailer. entries has one a region, 0 where there is
// no block.
func (e *ending) encode(entries []uint64) []byte {
	b := make([]byte, endingSize(e.size))
	e.putIndexHead(b)
	for i, entry := range entries {
		binary.LittleEndian.PutUint64(b[xEntries+8*i:], entry)
	}
	index := b[:e.indexLen()]
	e.putTrailer(b[len(index):], block.CRC(index))
	return b
}

// scan reads index and trailer in pieces of bounded size: next returns the next
// n bytes, valid until it is called again, and entry is told each entry of the
// index. It returns the trailer and the checksum of the index; sane says whether
// everything else in the index is what it must be.
func (e *ending) scan(next func(n int64) ([]byte, error), entry func(region int64, off uint64)) (trailer [trailerSize]byte, crc uint32, sane bool, err error) {
	regions := regionsOf(e.size)
	region := int64(0)
	// The first piece is what a stream reader must have read to know that this
	// is the index. The trailer fits into the last one, whatever its size: all
	// are counted in units of a block's header.
	n := int64(block.HeaderSize)
	for left := endingSize(e.size); left > 0; n = min(left, block.RegionSize) {
		b, err := next(n)
		if err != nil {
			return trailer, 0, false, err
		}
		first := left == endingSize(e.size)
		if left -= n; left == 0 {
			trailer = [trailerSize]byte(b[n-trailerSize:])
			b = b[:n-trailerSize]
		}
		crc = block.UpdateCRC(crc, b)
		if first {
			var head [xEntries]byte
			e.putIndexHead(head[:])
			sane = string(head[:]) == string(b[:xEntries])
			b = b[xEntries:]
		}
		for ; len(b) > 0 && region < regions; b = b[8:] {
			entry(region, binary.LittleEndian.Uint64(b))
			region++
		}
		sane = sane && block.IsZero(b) // padding
	}
	return trailer, crc, sane, nil
}

// checkSums verifies the trailer's checksum and, by the trailer, the index's.
func (e *ending) checkSums(path string, trailer *[trailerSize]byte, indexCRC uint32) error {
	b := trailer[:]
	at := e.offset + e.indexLen()
	if binary.LittleEndian.Uint32(b[tMagic:]) != trailerMagic {
		return truncated(path, at, "no trailer where the checkpoint should end")
	}
	want := binary.LittleEndian.Uint32(b[tCRC:])
	if got := block.CRCWithout(b, tCRC); got != want {
		return &ChecksumError{Path: path, Offset: at, What: "the trailer", Want: want, Got: got}
	}
	if want := binary.LittleEndian.Uint32(b[tIndexCRC:]); want != indexCRC {
		return &ChecksumError{Path: path, Offset: e.offset, What: "the index", Want: want, Got: indexCRC}
	}
	return nil
}

// checkTrailer verifies a trailer against everything that came before it.
func (e *ending) checkTrailer(path string, trailer *[trailerSize]byte, indexCRC uint32) error {
	var expected [trailerSize]byte
	e.putTrailer(expected[:], indexCRC)
	if expected != *trailer {
		return corrupt(path, e.offset+e.indexLen(), "the trailer does not belong to this header and these blocks")
	}
	return nil
}
