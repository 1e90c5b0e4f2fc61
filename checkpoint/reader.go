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
	blocks []blockAt
	pages  int64
	err    error // sticky
}

// blockAt is where a block was seen.
type blockAt struct {
	region int64
	entry  uint64 // of the index
}

// Block is what [Reader.Next] and [Image.ReadBlock] give: a region that is not
// all zero, or, on the stream of an incremental checkpoint, one that has changed.
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
	info.Blocks, info.Pages, info.Bytes = int64(len(r.blocks)), r.pages, r.pos
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
	at := r.pos
	head := r.buf[:block.HeaderSize]
	if err := r.fill(head, "header of a block, or the index"); err != nil {
		return Block{}, err
	}
	if binary.LittleEndian.Uint32(head) == indexMagic {
		return Block{}, r.finish(at)
	}
	h := block.Header(head)
	region, err := checkBlockHeader(r.header, at, h)
	if err != nil {
		return Block{}, err
	}
	if region < r.next {
		return Block{}, corrupt("", at, "region %d comes after region %d", region, r.next-1)
	}
	pages := r.buf[block.HeaderSize:h.Size()]
	if err := r.fill(pages, fmt.Sprintf("block of region %d", region)); err != nil {
		return Block{}, err
	}
	entry := uint64(at)
	if h.Codec() != block.Raw {
		entry |= entryCompressed
		if r.out == nil {
			r.out = bufferPool.Get().(*ioBuffer)
		}
		stored := pages
		pages = r.out[:h.Count()*block.PageSize]
		if err := expandBlock("", at, h, pages, stored); err != nil {
			return Block{}, err
		}
	}
	if err := h.CheckPages(pages); err != nil {
		return Block{}, blockError("", at, h, err)
	}
	r.next = region + 1
	r.blocks = append(r.blocks, blockAt{region, entry})
	r.pages += int64(h.Count())
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
		blocks:    int64(len(r.blocks)),
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
	seen := r.blocks
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

// checkBlockHeader verifies a block's header against the file's: it must belong
// to this checkpoint and lie in its arena.
func checkBlockHeader(file *fileHeader, at int64, h block.Header) (region int64, err error) {
	path := file.info.Path
	if err := h.Check(); err != nil {
		return 0, blockError(path, at, h, err)
	}
	if id := h.ID(); id != file.info.ID {
		return 0, corrupt(path, at, "the block belongs to checkpoint %x, this is %s", id, file.info.ID)
	}
	region = int64(h.Region())
	if region >= regionsOf(file.info.Size) {
		return 0, corrupt(path, at, "region %d is outside the arena of %d bytes", region, file.info.Size)
	}
	zeros := h.ZeroPages()
	n := pagesIn(region, file.info.Size)
	if outside := zeros.Without(block.FirstPages(n)); h.Rank(n) != h.Count() || !outside.Empty() {
		return 0, corrupt(path, at, "region %d has a page outside the arena of %d bytes", region, file.info.Size)
	}
	if !file.info.Incremental && !zeros.Empty() {
		return 0, corrupt(path, at, "region %d of a full checkpoint has pages that have become zero", region)
	}
	if !file.info.Compressed && h.Codec() != block.Raw {
		return 0, corrupt(path, at, "region %d is compressed, the checkpoint is not", region)
	}
	return region, nil
}
