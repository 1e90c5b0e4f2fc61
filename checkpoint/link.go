package checkpoint

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"os"

	"github.com/cowheap/cowheap/internal/block"
)

// link is one file of a chain: a full checkpoint, or an incremental one.
type link struct {
	r      io.ReaderAt
	file   *os.File // nil if r is not one
	header *fileHeader
	index  []uint64 // an entry a region, as in the file
	sizes  []uint16 // of each region's block in units of 4096 bytes, 0 if there is none
}

// openLink opens a file, but not its parent.
func openLink(path string, maxSize int64) (*link, error) {
	// Opening a named pipe would wait for a writer.
	if st, err := os.Stat(path); err != nil {
		return nil, fmt.Errorf("opening checkpoint: %w", err)
	} else if !st.Mode().IsRegular() {
		return nil, corrupt(path, 0, "not a regular file")
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("opening checkpoint: %w", err)
	}
	st, err := f.Stat()
	if err != nil {
		return nil, errors.Join(fmt.Errorf("opening checkpoint: %w", err), f.Close())
	}
	l, err := newLink(f, st.Size(), path, maxSize)
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	l.file = f
	return l, nil
}

func newLink(r io.ReaderAt, length int64, path string, maxSize int64) (*link, error) {
	h, err := readHeader(io.NewSectionReader(r, 0, length), path)
	if err != nil {
		return nil, err
	}
	size := h.info.Size
	if size > maxSize {
		return nil, &LimitError{Path: path, What: "arena size", Got: size, Limit: maxSize}
	}
	end := ending{id: h.info.ID, headerCRC: h.crc, size: size, offset: length - endingSize(size)}
	if end.offset < h.length {
		return nil, truncated(path, length, "%d bytes are too few for header, index and trailer", length)
	}
	if end.offset%block.HeaderSize != 0 {
		return nil, truncated(path, length, "%d bytes are not a whole number of pages", length)
	}
	regions := regionsOf(size)
	if regions > math.MaxInt/16 {
		return nil, &LimitError{Path: path, What: "number of 2 MiB regions on this processor", Got: regions, Limit: math.MaxInt / 16}
	}
	l := &link{
		r:      r,
		header: h,
		index:  make([]uint64, regions),
		sizes:  make([]uint16, regions),
	}
	if err := l.readIndex(&end); err != nil {
		return nil, err
	}
	h.info.Blocks, h.info.Pages, h.info.Bytes = end.blocks, end.pages, length
	h.info.Chain, h.info.ChainBytes = 1, length
	return l, nil
}

// readIndex reads and verifies index and trailer, and completes end.
func (l *link) readIndex(end *ending) error {
	path := l.header.info.Path
	buf := bufferPool.Get().(*ioBuffer)
	defer bufferPool.Put(buf)
	at := end.offset
	next := func(n int64) ([]byte, error) {
		b := buf[:n]
		err := l.readAt(b, at, "index")
		at += n
		return b, err
	}
	trailer, crc, sane, err := end.scan(next, func(region int64, off uint64) { l.index[region] = off })
	if err != nil {
		return err
	}
	if err := end.checkSums(path, &trailer, crc); err != nil {
		return err
	}
	if !sane {
		return corrupt(path, end.offset, "the index does not agree with the header")
	}
	if err := l.measure(end, int64(binary.LittleEndian.Uint64(trailer[tPages:]))); err != nil {
		return err
	}
	return end.checkTrailer(path, &trailer, crc)
}

// measure derives the size of every block from where the next one starts, and
// verifies that the blocks fill the file from the header to the index: what the
// index points to can then be read without asking the block. In a compressed
// checkpoint only the blocks know how many pages they have; there the trailer is
// believed here, and held to it by Verify.
func (l *link) measure(end *ending, pages int64) error {
	info := &l.header.info
	least := int64(2) // header and a page
	if info.Incremental {
		least = 1
	}
	last := -1 // region of the block before
	until := func(next int64) error {
		if last < 0 {
			if next != l.header.length {
				return corrupt(info.Path, end.offset, "the first block is at byte %d, the header ends at %d", next, l.header.length)
			}
			return nil
		}
		off := l.blockOffset(last)
		n := (next - off) / block.PageSize
		if next%block.PageSize != 0 || n < least || n-1 > int64(pagesIn(int64(last), info.Size)) {
			return corrupt(info.Path, end.offset, "the block of region %d would be from byte %d to %d", last, off, next)
		}
		l.sizes[last] = uint16(n)
		end.blocks++
		end.pages += n - 1
		return nil
	}
	for region, entry := range l.index {
		if entry == 0 {
			continue
		}
		if entry > uint64(end.offset) || entry&entryCompressed != 0 && !info.Compressed {
			return corrupt(info.Path, end.offset, "the block of region %d would be at byte %d", region, entry)
		}
		if err := until(l.blockOffset(region)); err != nil {
			return err
		}
		last = region
	}
	if err := until(end.offset); err != nil {
		return err
	}
	if info.Compressed {
		if pages < 0 || pages > end.blocks*block.RegionPages {
			return corrupt(info.Path, end.offset+end.indexLen(), "%d blocks cannot have %d pages", end.blocks, pages)
		}
		end.pages = pages
	}
	return nil
}

// readAt reads exactly len(b) bytes of the file.
func (l *link) readAt(b []byte, off int64, what string) error {
	n, err := l.r.ReadAt(b, off)
	if n == len(b) {
		return nil
	}
	if err == nil {
		err = io.ErrUnexpectedEOF
	}
	return readError(l.header.info.Path, off+int64(n), what, err)
}

// blockOffset is where a region's block starts, 0 if there is none.
func (l *link) blockOffset(region int) int64 { return int64(l.index[region] &^ entryCompressed) }

// blockSize is the number of bytes of a region's block, 0 if there is none.
func (l *link) blockSize(region int) int { return int(l.sizes[region]) * block.PageSize }

// isCompressed reports whether a region has a block and that is compressed.
func (l *link) isCompressed(region int) bool { return l.index[region]&entryCompressed != 0 }

// has reports whether there is a block of region, whatever the arena's size.
func (l *link) has(region int) bool { return region < len(l.index) && l.index[region] != 0 }

func (l *link) close() error {
	if l.file == nil {
		return nil
	}
	if err := l.file.Close(); err != nil {
		return fmt.Errorf("closing checkpoint: %w", err)
	}
	return nil
}
