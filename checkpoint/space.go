package checkpoint

import (
	"context"
	"fmt"
	"io"
	"syscall"

	"github.com/klauspost/compress/s2"

	"github.com/cowheap/cowheap/internal/block"
)

// SpaceError is a disk that is too full for a checkpoint. Nothing was written. It
// is ENOSPC.
type SpaceError struct {
	Path string // that it was to be written to
	Need int64  // bytes, estimated from samples
	Free int64  // bytes
}

func (e *SpaceError) Error() string {
	return fmt.Sprintf("%sthe checkpoint needs about %d bytes, the disk has %d: free %d bytes, keep fewer checkpoints, or use another disk",
		where(e.Path), e.Need, e.Free, e.Need-e.Free)
}

// Is reports whether target is ENOSPC.
func (e *SpaceError) Is(target error) bool { return target == syscall.ENOSPC }

// spaceSamples is how many pages are looked at: so few that reading them takes
// about a millisecond, so many that the estimate is some 5 % off.
const spaceSamples = 400

// room refuses to begin what obviously has no room: an estimate of more than four
// thirds of what is free. Where that is not known it is tried.
func (s *Store) room(ctx context.Context, path string, src Source, opts *WriteOptions) error {
	free, err := s.fs.Free(s.path)
	if err != nil {
		return nil
	}
	size := src.Size()
	fixed := headerUnit + endingSize(size)
	if opts.Changed == nil && fullSize(size) <= free {
		return nil // whatever is in it
	}
	var c *changes
	if opts.Changed != nil {
		if c, err = collect(opts.Changed, size); err != nil {
			return err
		}
		// It is called once.
		opts.Changed = c.all()
	}
	pages := size / block.PageSize
	blocks := regionsOf(size)
	if c != nil {
		pages, blocks = c.pages(), c.blocks()
	}
	if pages*block.PageSize+blocks*block.HeaderSize+fixed <= free {
		return nil
	}
	need, err := estimate(ctx, src, c, pages, blocks, opts.Compression)
	if err != nil {
		return err
	}
	need += fixed
	if need/4*3 > free {
		return &SpaceError{Path: path, Need: need, Free: free}
	}
	return nil
}

// fullSize is how many bytes a checkpoint has that leaves no page out, with a header of
// the least length.
func fullSize(size int64) int64 {
	return headerUnit + size + regionsOf(size)*block.HeaderSize + endingSize(size)
}

// estimate says how many bytes blocks would take, by pages spread evenly.
func estimate(ctx context.Context, src Source, c *changes, pages, blocks int64, compression Compression) (int64, error) {
	every := max(pages/spaceSamples, 1)
	var looked, stored, bytes int64
	var page [block.PageSize]byte
	scratch := make([]byte, s2.MaxEncodedLen(block.PageSize))
	nth := int64(0)
	for t := range tasks(c, src.Size()) {
		for first, n := range t.runs() {
			// The next sample may be in this row.
			for at := (nth + every - 1) / every * every; at < nth+int64(n); at += every {
				off := (first + at - nth) * block.PageSize
				if err := cancelled(ctx); err != nil {
					return 0, &WriteError{Op: "estimating", Err: err}
				}
				if got, err := src.ReadAt(page[:], off); got < len(page) {
					if err == nil || err == io.EOF {
						err = io.ErrUnexpectedEOF
					}
					return 0, &SourceError{Offset: off, Err: err}
				}
				looked++
				if block.IsZero(page[:]) {
					continue
				}
				stored++
				if compression == Uncompressed {
					bytes += block.PageSize
				} else {
					// A page alone compresses worse than a piece, and S2 worse
					// than the others.
					bytes += int64(len(s2.Encode(scratch, page[:]))) / 2
				}
			}
			nth += int64(n)
		}
	}
	if looked == 0 {
		return 0, nil
	}
	return bytes*pages/looked + min(blocks, stored*pages/looked)*block.HeaderSize, nil
}
