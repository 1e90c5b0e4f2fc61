package checkpoint

import (
	"errors"
	"fmt"
	"io"
	"math"
	"os"

	"github.com/cowheap/cowheap/internal/block"
)

// Image is an opened checkpoint file, ready to give regions and pages. Opening
// one verifies header, index and trailer, 8 bytes for each 2 MiB of the arena;
// every block is verified as it is read.
//
// All methods may run concurrently, apart from Close, which must be the last.
// An Image is a [Source].
type Image struct {
	r      io.ReaderAt
	file   *os.File // nil if r is not one
	header *fileHeader
	index  []uint64 // an entry a region: offset of the block, 0 if there is none
	counts []uint16 // stored pages of each region
}

var _ Source = (*Image)(nil)

// OpenImage opens the checkpoint in a file. Its errors are those of [NewReader],
// and what the system says of a file that cannot be opened.
func OpenImage(path string) (*Image, error) { return OpenImageMax(path, MaxSize) }

// OpenImageMax is [OpenImage] for files from untrusted hands: it refuses an
// arena of more than maxSize bytes with a [*LimitError] before it takes memory
// for the index, 10 bytes for each 2 MiB.
func OpenImageMax(path string, maxSize int64) (*Image, error) {
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
	im, err := newImage(f, st.Size(), path, maxSize)
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	im.file = f
	return im, nil
}

// NewImage is [OpenImage] for a checkpoint of size bytes that is not in a file
// of its own. The Image does not close r.
func NewImage(r io.ReaderAt, size int64) (*Image, error) { return newImage(r, size, "", MaxSize) }

func newImage(r io.ReaderAt, length int64, path string, maxSize int64) (*Image, error) {
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
	im := &Image{
		r:      r,
		header: h,
		index:  make([]uint64, regions),
		counts: make([]uint16, regions),
	}
	if err := im.readIndex(&end); err != nil {
		return nil, err
	}
	h.info.Blocks, h.info.Pages, h.info.Bytes = end.blocks, end.pages, length
	return im, nil
}

// readIndex reads and verifies index and trailer, and completes end.
func (im *Image) readIndex(end *ending) error {
	path := im.header.info.Path
	buf := bufferPool.Get().(*ioBuffer)
	defer bufferPool.Put(buf)
	at := end.offset
	next := func(n int64) ([]byte, error) {
		b := buf[:n]
		err := im.readAt(b, at, "index")
		at += n
		return b, err
	}
	trailer, crc, sane, err := end.scan(next, func(region int64, off uint64) { im.index[region] = off })
	if err != nil {
		return err
	}
	if err := end.checkSums(path, &trailer, crc); err != nil {
		return err
	}
	if !sane {
		return corrupt(path, end.offset, "the index does not agree with the header")
	}
	if err := im.countPages(end); err != nil {
		return err
	}
	return end.checkTrailer(path, &trailer, crc)
}

// countPages derives the size of every block from where the next one starts, and
// verifies that the blocks fill the file from the header to the index: what the
// index points to can then be read without asking the block.
func (im *Image) countPages(end *ending) error {
	path := im.header.info.Path
	size := im.header.info.Size
	last := -1 // region of the block before
	until := func(next int64) error {
		if last < 0 {
			if next != im.header.length {
				return corrupt(path, end.offset, "the first block is at byte %d, the header ends at %d", next, im.header.length)
			}
			return nil
		}
		off := int64(im.index[last])
		n := (next-off)/block.PageSize - 1
		if next%block.PageSize != 0 || n < 1 || n > int64(pagesIn(int64(last), size)) {
			return corrupt(path, end.offset, "the block of region %d would be from byte %d to %d", last, off, next)
		}
		im.counts[last] = uint16(n)
		end.blocks++
		end.pages += n
		return nil
	}
	for region, off := range im.index {
		if off == 0 {
			continue
		}
		if off > uint64(end.offset) {
			return corrupt(path, end.offset, "the block of region %d would be at byte %d", region, off)
		}
		if err := until(int64(off)); err != nil {
			return err
		}
		last = region
	}
	return until(end.offset)
}

// readAt reads exactly len(b) bytes of the file.
func (im *Image) readAt(b []byte, off int64, what string) error {
	n, err := im.r.ReadAt(b, off)
	if n == len(b) {
		return nil
	}
	if err == nil {
		err = io.ErrUnexpectedEOF
	}
	return readError(im.header.info.Path, off+int64(n), what, err)
}

// Info describes the checkpoint.
func (im *Image) Info() Info { return im.header.info }

// Size is the number of bytes of the arena.
func (im *Image) Size() int64 { return im.header.info.Size }

// Regions is the number of regions of the arena.
func (im *Image) Regions() int { return len(im.index) }

// Index has an entry for each region: the offset of its block in the file, 0 if
// all its pages are zero. The caller must not write to it.
func (im *Image) Index() []uint64 { return im.index }

// BlockOffset is where the block of a region starts in the file, 0 if all its
// pages are zero.
func (im *Image) BlockOffset(region int) int64 { return int64(im.index[region]) }

// BlockSize is the number of bytes of a region's block, 0 if it has none.
func (im *Image) BlockSize(region int) int {
	if im.counts[region] == 0 {
		return 0
	}
	return block.HeaderSize + int(im.counts[region])*block.PageSize
}

// File is the open file, for those who read it by its descriptor; nil if the
// image was opened by [NewImage]. It is closed by Close, and nobody else.
func (im *Image) File() *os.File { return im.file }

// Close closes the file.
func (im *Image) Close() error {
	if im.file == nil {
		return nil
	}
	if err := im.file.Close(); err != nil {
		return fmt.Errorf("closing checkpoint: %w", err)
	}
	return nil
}
