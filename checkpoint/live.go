package checkpoint

import (
	"context"
	"fmt"
	"iter"
	"time"

	"github.com/cowheap/cowheap/internal/block"
)

// Live is state that changes while it is saved.
//
// All methods are called by one goroutine at a time, not necessarily the one that called
// [Store.SaveLive], and none after that has returned; the state may change at any time. A Live that
// is a [Releaser], too, is not told: what was read is not what it will be.
type Live interface {
	// Size and ReadAt are those of a Source, but ReadAt gives what is there now: a page
	// that is written meanwhile may be torn. It is called in ascending order. Size is a
	// multiple of 2 MiB; what lies at or beyond it is not read, but given by Settle.
	Source

	// Settle fixes the instant that the checkpoint is of. It is called once, after
	// everything has been read, and not at all after an error.
	Settle(ctx context.Context) (Settled, error)
}

// Settled is how state that was read while it changed differs, at one instant, from what
// was read.
type Settled struct {
	Size  int64     // bytes of the arena at the instant: at least that of Live, a multiple of 4096
	Time  time.Time // recorded in the header. Default: now
	Roots []Root    // recorded in the header, as those of WriteOptions

	// Pages gives offset and content, 4096 bytes, of every page below Live's Size that may
	// differ from what ReadAt gave, and of every page at or beyond it that may not be zero.
	// They may come in any order, and a page more than once: the last one counts. It is
	// called once; what it gave must stay as it is until SaveLive has returned.
	// Default: no pages.
	Pages iter.Seq2[int64, []byte]
}

// SaveLive is [Store.Save] of state that changes meanwhile: a full checkpoint of the instant
// that src settles on at the end, an ordinary one to all who read it. The state is written
// once, from front to back, as it goes on changing; then the pages that Settle gave are
// put in their places, in the temporary file, and what lies beyond follows. It needs 2 KiB of
// memory for each 2 MiB that are read, and 16 bytes for each page that Settle gave, beside the
// buffers of [Write].
//
// Every page that is read has a place in the file, also if it is zero, and nothing is
// compressed. Where this is not worth it, or not possible, the error is [ErrNotLive]: more
// than 1/32 of the pages that are read, and 1,024, are zero; opts.Changed is given, or a
// compression, here or in StoreOptions; the disk has no room for all pages; the roots that
// Settle gave need a longer or shorter header than opts.Roots, which say what it was at the
// beginning and nothing else. The header's length is a multiple of 4096 bytes.
//
// opts.Time is of no meaning. opts.Progress is told how many of src.Size() bytes were read and
// written, and that all were when the file is complete.
//
// After an error the directory is as Save says. The error is one of Save's, a [*SourceError] also if
// Settle gave what is no page; a [*WriteError] has the place in the file if it was to be
// written over; or it is that of Settle, wrapped.
func (s *Store) SaveLive(ctx context.Context, src Live, opts WriteOptions) (Info, error) {
	size := src.Size()
	switch {
	case size < 0 || size%block.RegionSize != 0:
		return Info{}, fmt.Errorf("live state of %d bytes: must be a multiple of %d", size, block.RegionSize)
	case opts.Changed != nil:
		return Info{}, notLive("it was to be an incremental checkpoint")
	case opts.Compression != Uncompressed || s.opts.Compression != Uncompressed:
		return Info{}, notLive("it was to be compressed")
	}
	if err := s.take(ctx); err != nil {
		return Info{}, err
	}
	defer s.give()
	path, _, err := s.place(&opts)
	if err != nil {
		return Info{}, err
	}
	if free, err := s.fs.Free(s.path); err == nil && fullSize(size) > free {
		return Info{}, notLive("%w", &SpaceError{Path: path, Need: fullSize(size), Free: free})
	}
	info, err := s.writeFile(ctx, path, func(f outFile) (Info, error) { return writeLive(ctx, f, src, &opts) })
	if err != nil {
		return Info{}, err
	}
	return s.saved(path, info, []Info{{}}), nil
}

// notLive is an ErrNotLive with its reason.
func notLive(format string, args ...any) error {
	return fmt.Errorf("%w: %w", ErrNotLive, fmt.Errorf(format, args...))
}

// writeLive writes what SaveLive saves. f is then complete, and not yet synced.
func writeLive(ctx context.Context, f outFile, src Live, opts *WriteOptions) (Info, error) {
	l, err := newLiveFile(ctx, f, src.Size(), opts)
	if err != nil {
		return Info{}, err
	}
	tell := func(done, total int64) {
		if opts.Progress != nil && done < total {
			opts.Progress(done, total)
		}
	}
	entries, err := l.readAll(src, tell)
	if err != nil {
		return Info{}, err
	}
	settled, err := src.Settle(ctx)
	if err != nil {
		return Info{}, fmt.Errorf("settling the state: %w", err)
	}
	header, err := l.settle(&settled)
	if err != nil {
		return Info{}, err
	}
	late, err := collectLate(&l.out, &settled)
	if err != nil {
		return Info{}, err
	}
	below, beyond := late.cut(src.Size())
	if err := l.patch(below); err != nil {
		return Info{}, err
	}
	if entries, err = l.grow(entries, beyond); err != nil {
		return Info{}, err
	}
	if err := l.out.end(&l.info, header, entries); err != nil {
		return Info{}, err
	}
	if err := l.writeAt(header, 0); err != nil {
		return Info{}, err
	}
	if opts.Progress != nil && src.Size() > 0 {
		opts.Progress(src.Size(), src.Size())
	}
	return l.info, nil
}
