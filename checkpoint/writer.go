package checkpoint

import (
	"context"
	"fmt"
	"io"
	"iter"
	"slices"
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

// Write writes a checkpoint of src to w, from front to back, and returns what it
// wrote: a full one, or with [WriteOptions.Changed] an incremental one. Pages of
// zeros take no room. What is written depends on src and opts alone, apart from
// ID and Time where they are left to Write.
//
// One goroutine reads and checksums ahead of the writes, which come from the
// goroutine that called, one a block, at most 2 MiB + 4 KiB at a time. As
// many goroutines as there are processors compress in between.
//
// A failed or short write and a cancelled ctx end it with a [*WriteError], a
// source that cannot be read with a [*SourceError]; what w has then is no
// checkpoint, and every reader says so. A w that blocks is not interrupted:
// close it.
func Write(ctx context.Context, w io.Writer, src Source, opts WriteOptions) (Info, error) {
	info, err := newInfo(src.Size(), &opts)
	if err != nil {
		return Info{}, err
	}
	var c *changes
	if info.Incremental {
		if c, err = collect(opts.Changed, info.Size); err != nil {
			return Info{}, err
		}
		info.Sparse = c.sparse()
	}
	out := output{ctx: ctx, w: w}
	p := pipeline{out: &out, src: src, info: &info, tasks: tasks(c, info.Size), progress: opts.Progress, compression: opts.Compression}
	header, err := encodeHeader(&info)
	if err != nil {
		return Info{}, err
	}
	if err := out.write(header); err != nil {
		return Info{}, err
	}
	entries, err := p.run()
	if err != nil {
		return Info{}, err
	}
	if err := out.end(&info, header, entries); err != nil {
		return Info{}, err
	}
	return info, nil
}

// newInfo is what is known of a checkpoint before anything is written.
func newInfo(size int64, opts *WriteOptions) (Info, error) {
	info := Info{
		ID:     opts.ID,
		Parent: opts.Parent,
		Time:   stamp(opts.Time),
		Size:   size,
		Roots:  slices.Clone(opts.Roots),

		Compressed: opts.Compression != Uncompressed,
	}
	if err := opts.Compression.check(); err != nil {
		return Info{}, err
	}
	if opts.Changed != nil {
		info.Incremental, info.ParentSize = true, opts.ParentSize
	}
	if info.ID == uuid.Nil {
		id, err := uuid.NewV7()
		if err != nil {
			return Info{}, fmt.Errorf("making a checkpoint ID: %w", err)
		}
		info.ID = id
	}
	if err := checkInfo(&info); err != nil {
		return Info{}, err
	}
	return info, nil
}

// stamp is t, or now, as a header can record it.
func stamp(t time.Time) time.Time {
	if t.IsZero() {
		t = time.Now()
	}
	return time.Unix(0, t.UnixNano()).UTC()
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
	n, err = took(b, n, err)
	o.done += int64(n)
	if err != nil {
		return o.fail(err)
	}
	return nil
}

// end writes what follows the last block.
func (o *output) end(info *Info, header []byte, entries []uint64) error {
	end := ending{
		id:        info.ID,
		headerCRC: block.CRCWithout(header, hCRC),
		size:      info.Size,
		offset:    o.done,
		blocks:    info.Blocks,
		pages:     info.Pages,
	}
	if err := o.write(end.encode(entries)); err != nil {
		return err
	}
	info.Bytes = o.done
	return nil
}

// took is how many bytes of b were written, and an error unless it was all.
func took(b []byte, n int, err error) (int, error) {
	if n < 0 || n > len(b) {
		return 0, fmt.Errorf("writer took %d of %d bytes", n, len(b))
	}
	if err == nil && n < len(b) {
		err = io.ErrShortWrite
	}
	return n, err
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
