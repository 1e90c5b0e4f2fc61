package checkpoint

import (
	"context"
	"fmt"
	"io"
	"iter"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/cowheap/cowheap/internal/block"
)

// WriteOptions are what [Write] and [Store.Save] may be told. The zero value is
// good.
type WriteOptions struct {
	// ID is the checkpoint's UUIDv7. Default: a new one. Give one that was
	// made at the instant of the snapshot ([Store.NewID]) if snapshots may be
	// saved in another order than they were taken in.
	ID uuid.UUID

	// Parent is the checkpoint that the state descends from. Default: none.
	Parent uuid.UUID

	// Changed makes the checkpoint incremental: it holds only these pages, and
	// all others are those of Parent. It gives ranges [off, off+n) of bytes of
	// the arena, of whole pages, ascending: all in which the state may differ
	// from the parent's. What lies at or beyond ParentSize and is not in Changed
	// is zero; what lies beyond the source's size is passed over. It is called
	// once. Default: a full checkpoint.
	Changed iter.Seq2[int64, int64]

	// ParentSize is the size of the parent's arena, in bytes; of no meaning
	// without Changed.
	ParentSize int64

	// Compression is how pages are compressed. Default: not at all.
	Compression Compression

	// Time is recorded in the header. Default: now.
	Time time.Time

	// Roots are recorded in the header in this order. Names must be unique and
	// offsets inside the source. Default: none.
	Roots []Root

	// Progress is told how many of the source's bytes are done, from the
	// goroutine that called Write, after each 2 MiB. Default: nobody is told.
	Progress func(done, total int64)
}

// pipelineDepth is the number of regions in flight between reading and writing:
// one being filled, one being written, one waiting so that neither side stops
// for the other's hiccup. 6 MiB of buffers in all.
const pipelineDepth = 3

// ioBuffer holds a whole block.
type ioBuffer [block.MaxSize]byte

var bufferPool = sync.Pool{New: func() any { return new(ioBuffer) }}

// Write writes a full checkpoint of src to w, from front to back, and returns
// what it wrote. Pages of zeros take no room. What is written depends on src and
// opts alone, apart from ID and Time where they are left to Write.
//
// One goroutine reads and checksums ahead of the writes, which come from the
// goroutine that called, one a 2 MiB region, at most 2 MiB + 4 KiB at a time.
//
// A failed or short write and a cancelled ctx end it with a [*WriteError], a
// source that cannot be read with a [*SourceError]; what w has then is no
// checkpoint, and every reader says so. A w that blocks is not interrupted:
// close it.
func Write(ctx context.Context, w io.Writer, src Source, opts WriteOptions) (Info, error) {
	info := Info{
		ID:     opts.ID,
		Parent: opts.Parent,
		Time:   opts.Time,
		Size:   src.Size(),
		Roots:  slices.Clone(opts.Roots),
	}
	if info.ID == uuid.Nil {
		id, err := uuid.NewV7()
		if err != nil {
			return Info{}, fmt.Errorf("making a checkpoint ID: %w", err)
		}
		info.ID = id
	}
	if info.Time.IsZero() {
		info.Time = time.Now()
	}
	info.Time = time.Unix(0, info.Time.UnixNano()).UTC()
	header, err := encodeHeader(&info)
	if err != nil {
		return Info{}, err
	}

	out := output{ctx: ctx, w: w}
	if err := out.write(header); err != nil {
		return Info{}, err
	}
	offsets, err := writeBlocks(&out, src, &info, opts.Progress)
	if err != nil {
		return Info{}, err
	}
	end := ending{
		id:        info.ID,
		headerCRC: block.CRCWithout(header, hCRC),
		size:      info.Size,
		offset:    out.done,
		blocks:    info.Blocks,
		pages:     info.Pages,
	}
	if err := out.write(end.encode(offsets)); err != nil {
		return Info{}, err
	}
	info.Bytes = out.done
	return info, nil
}

// output counts what went into the writer and holds it to its contract.
type output struct {
	ctx  context.Context
	w    io.Writer
	done int64
}

func (o *output) write(b []byte) error {
	if err := o.cancelled(); err != nil {
		return err
	}
	n, err := o.w.Write(b)
	if n < 0 || n > len(b) {
		return o.fail(fmt.Errorf("writer took %d of %d bytes", n, len(b)))
	}
	o.done += int64(n)
	if err == nil && n < len(b) {
		err = io.ErrShortWrite
	}
	if err != nil {
		return o.fail(err)
	}
	return nil
}

func (o *output) cancelled() error {
	if err := cancelled(o.ctx); err != nil {
		return o.fail(err)
	}
	return nil
}

func (o *output) fail(err error) error {
	return &WriteError{Op: "writing", Offset: o.done, Err: err}
}

// cancelled is the context's error together with its cause, nil if it goes on.
func cancelled(ctx context.Context) error {
	err := ctx.Err()
	if cause := context.Cause(ctx); err != nil && cause != err {
		return fmt.Errorf("%w: %w", err, cause)
	}
	return err
}

// filled is one region on its way from the source to the writer.
type filled struct {
	buf   *ioBuffer
	size  int // bytes of the block, 0 if every page is zero
	pages int
	err   error
}

// writeBlocks writes the blocks of src, counts them in info, and returns where
// each region's is.
func writeBlocks(out *output, src Source, info *Info, progress func(done, total int64)) (offsets []int64, err error) {
	regions := regionsOf(info.Size)
	offsets = make([]int64, regions)
	release := func(off, n int64) {}
	if r, ok := src.(Releaser); ok {
		release = r.Release
	}

	empty := make(chan *ioBuffer, pipelineDepth)
	for range min(pipelineDepth, regions) {
		empty <- bufferPool.Get().(*ioBuffer)
	}
	full := make(chan filled, pipelineDepth)
	stop := make(chan struct{})
	var reader sync.WaitGroup
	reader.Go(func() {
		for region := range regions {
			select {
			case <-stop:
				return
			case buf := <-empty:
				f := fill(buf, src, region, info)
				full <- f // never blocks: there are no more buffers than places
				if f.err != nil {
					return
				}
			}
		}
	})
	// The source must not be read after Write returned.
	defer func() {
		close(stop)
		reader.Wait()
		for {
			select {
			case buf := <-empty:
				bufferPool.Put(buf)
			case f := <-full:
				bufferPool.Put(f.buf)
			default:
				return
			}
		}
	}()

	for region := range regions {
		f := <-full
		err := f.err
		switch {
		case err != nil:
		case f.size > 0:
			offsets[region] = out.done
			info.Blocks++
			info.Pages += int64(f.pages)
			err = out.write(f.buf[:f.size])
		default:
			err = out.cancelled()
		}
		empty <- f.buf
		if err != nil {
			return nil, err
		}
		start := region * block.RegionSize
		n := min(info.Size-start, block.RegionSize)
		release(start, n)
		if progress != nil {
			progress(start+n, info.Size)
		}
	}
	return offsets, nil
}

// fillStep is how many bytes are read at a time: so few that they are still in
// the second-level cache when they are checked and summed, so many that the
// calls do not show.
const fillStep = 128 << 10

// fill makes the block of a region.
func fill(buf *ioBuffer, src Source, region int64, info *Info) filled {
	f := filled{buf: buf}
	h := block.Header(buf[:block.HeaderSize])
	h.Reset(uint32(region), info.ID)
	start := region * block.RegionSize
	n := int(min(info.Size-start, block.RegionSize))
	for at := 0; at < n; {
		// The step is read to where its first page belongs: no page moves
		// unless a page of zeros stands before it in the same step.
		to := buf[block.HeaderSize+f.pages*block.PageSize:]
		step := to[:min(n-at, fillStep)]
		if got, err := src.ReadAt(step, start+int64(at)); got < len(step) {
			if err == nil || err == io.EOF {
				err = io.ErrUnexpectedEOF
			}
			f.err = &SourceError{Offset: start + int64(at+got), Err: err}
			return f
		}
		kept := 0
		for len(step) > 0 {
			page := step[:block.PageSize]
			step = step[block.PageSize:]
			if !block.IsZero(page) {
				h.SetPage(at/block.PageSize, block.CRC(page))
				if dst := to[kept*block.PageSize:]; &dst[0] != &page[0] {
					copy(dst, page)
				}
				kept++
			}
			at += block.PageSize
		}
		f.pages += kept
	}
	if f.pages > 0 {
		h.Seal()
		f.size = h.Size()
	}
	return f
}
