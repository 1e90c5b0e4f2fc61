package checkpoint

import (
	"encoding/binary"
	"fmt"
	"io"

	"github.com/cowheap/cowheap/internal/block"
)

// Reader reads a checkpoint from a stream, from front to back. It believes
// nothing: every byte is verified before it is handed out or used, and memory is
// taken only for what has arrived. It reads to the checkpoint's end and not a
// byte further, so that other data may follow on the stream.
//
// A Reader is for one goroutine.
type Reader struct {
	r      io.Reader
	header *fileHeader
	buf    *ioBuffer
	out    *ioBuffer // pages of a compressed block
	pos    int64     // bytes read from r
	next   int64     // lowest region that may come
	seen   []blockAt
	blocks int64
	pages  int64
	parts  parts // of a sparse block
	err    error // sticky
}

// blockAt is where the block of a region was seen.
type blockAt struct {
	region int64
	entry  uint64 // of the index
}

// Block is what [Reader.Next] and [Image.ReadBlock] give: a region that is not
// all zero, or, on the stream of an incremental checkpoint, one that has changed.
// What regions share in the file is given region by region.
type Block struct {
	Region int          // number of the region: it starts at Region * 2 MiB of the arena
	Header block.Header // says which pages are there, and which have become zero; verified
	Pages  []byte       // the stored pages, ascending, without gaps; verified, not compressed
}

// NewReader reads the header from r. The error is a [*FormatError], a
// [*ChecksumError], a [*VersionError], a [*PageSizeError] or, if r failed, a
// [*ReadError]; so are those of [Reader.Next].
func NewReader(r io.Reader) (*Reader, error) {
	h, err := readHeader(r, "")
	if err != nil {
		return nil, err
	}
	return &Reader{r: r, header: h, pos: h.length}, nil
}

// Info is what the header says, and the pages, blocks and bytes seen so far.
// Size was chosen by whoever wrote the checkpoint: compare it with what you can
// hold before you reserve it.
func (r *Reader) Info() Info {
	info := r.header.info
	info.Blocks, info.Pages, info.Bytes = r.blocks, r.pages, r.pos
	return info
}

// Next reads the next block: of a full checkpoint the next region that is not all
// zero, of an incremental one (see Info) the next that has changed, with only the
// pages that have: those in Block.Pages, and as zeros those in
// Block.Header.ZeroPages. What it returns is valid until the next call. io.EOF says that the checkpoint has ended and that
// everything about it was right; until then what was read may be the start of
// one that was cut off.
func (r *Reader) Next() (Block, error) {
	if r.err != nil {
		return Block{}, r.err
	}
	if r.buf == nil {
		r.buf = bufferPool.Get().(*ioBuffer)
	}
	b, err := r.read()
	if err != nil {
		r.err = err
		bufferPool.Put(r.buf)
		r.buf = nil
		if r.out != nil {
			bufferPool.Put(r.out)
			r.out = nil
		}
		return Block{}, err
	}
	return b, nil
}

func (r *Reader) read() (Block, error) {
	if b, ok := r.parts.next(); ok {
		return b, nil
	}
	at := r.pos
	head := r.buf[:block.HeaderSize]
	if err := r.fill(head, "header of a block, or the index"); err != nil {
		return Block{}, err
	}
	if binary.LittleEndian.Uint32(head) == indexMagic {
		return Block{}, r.finish(at)
	}
	h := block.Header(head)
	sparse := r.header.info.Sparse && isSparse(h)
	region, err := int64(0), error(nil)
	if sparse {
		err = checkSparseHeader(r.header, at, block.Sparse(h))
		region = int64(h.Region())
	} else {
		region, err = checkBlockHeader(r.header, at, h)
	}
	if err != nil {
		return Block{}, err
	}
	if region < r.next {
		return Block{}, corrupt("", at, "region %d comes after region %d", region, r.next-1)
	}
	stored := r.buf[block.HeaderSize:h.Size()]
	if err := r.fill(stored, fmt.Sprintf("block of region %d", region)); err != nil {
		return Block{}, err
	}
	entry := uint64(at)
	if h.Codec() != block.Raw {
		entry |= entryCompressed
		if r.out == nil {
			r.out = bufferPool.Get().(*ioBuffer)
		}
	}
	pages, err := openBlock("", at, h, stored, r.out)
	if err != nil {
		return Block{}, err
	}
	r.blocks++
	r.pages += int64(h.Count())
	if sparse {
		for part := range block.Sparse(h).Parts() {
			r.seen = append(r.seen, blockAt{part.Region, partEntry(0, part.Len) | entry})
			r.next = part.Region + 1
		}
		r.parts.set(block.Sparse(h), pages)
		b, _ := r.parts.next()
		return b, nil
	}
	r.seen = append(r.seen, blockAt{region, entry})
	r.next = region + 1
	return Block{Region: int(region), Header: h, Pages: pages}, nil
}

// finish verifies the index at offset at, whose first block.HeaderSize bytes are
// in the buffer, and the trailer. It returns io.EOF if all is right.
func (r *Reader) finish(at int64) error {
	end := ending{
		id:        r.header.info.ID,
		headerCRC: r.header.crc,
		size:      r.header.info.Size,
		offset:    at,
		blocks:    r.blocks,
		pages:     r.pages,
	}
	first := true
	next := func(n int64) ([]byte, error) {
		b := r.buf[:n]
		if first {
			first = false
			return b, nil
		}
		return b, r.fill(b, "index")
	}
	agrees := true
	seen := r.seen
	trailer, crc, sane, err := end.scan(next, func(region int64, off uint64) {
		want := uint64(0)
		if len(seen) > 0 && seen[0].region == region {
			want = seen[0].entry
			seen = seen[1:]
		}
		agrees = agrees && off == want
	})
	if err != nil {
		return err
	}
	if err := end.checkSums("", &trailer, crc); err != nil {
		return err
	}
	if !sane || !agrees {
		return corrupt("", at, "the index does not agree with the header and the blocks")
	}
	if err := end.checkTrailer("", &trailer, crc); err != nil {
		return err
	}
	return io.EOF
}

// fill reads exactly len(b) bytes.
func (r *Reader) fill(b []byte, what string) error {
	n, err := io.ReadFull(r.r, b)
	r.pos += int64(n)
	if err != nil {
		return readError("", r.pos, what, err)
	}
	return nil
}
