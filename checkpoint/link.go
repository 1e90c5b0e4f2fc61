package checkpoint

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"sync/atomic"

	"github.com/cowheap/cowheap/internal/block"
)

// link is one file of a chain: a full checkpoint, or an incremental one.
type link struct {
	number uint64 // no other link has, in this process
	r      io.ReaderAt
	file   *os.File // nil if r is not one
	header *fileHeader
	index  []uint64 // an entry a region, as in the file
	sizes  []uint16 // of each region's block in units of 4096 bytes, 0 if there is none; of a sparse one for each of its regions
}

// links counts the links that were opened.
var links atomic.Uint64

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
		number: links.Add(1),
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

func (l *link) close() error {
	if l.file == nil {
		return nil
	}
	if err := l.file.Close(); err != nil {
		return fmt.Errorf("closing checkpoint: %w", err)
	}
	return nil
}
