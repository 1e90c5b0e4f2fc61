package restore

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/cowheap/cowheap/arena"
	"github.com/cowheap/cowheap/checkpoint"
	"github.com/cowheap/cowheap/internal/block"
)

// Eager restores all of im into a new arena and verifies every byte of it. The
// image is not needed any more afterwards. Errors: those of
// checkpoint.Image.ReadBlock and arena.Restore, and ctx's.
func Eager(ctx context.Context, im *checkpoint.Image, o Options) (*arena.Arena, error) {
	r, err := arena.Restore(o.Arena, im.Size())
	if err != nil {
		return nil, err
	}
	err = eachRow(ctx, im, o.workers(), newMeter(im, o.Progress), r.Fill)
	if err != nil {
		return nil, errors.Join(named("restoring", file{im}.String(), err), r.Abort())
	}
	return r.Finish()
}

// Stream restores the full checkpoint that r is at the start of into a new arena.
// It needs no seek and reads to the checkpoint's end, not a byte further. An
// incremental one is a *checkpoint.ParentError: what it lacks is not on the stream.
func Stream(ctx context.Context, r *checkpoint.Reader, o Options) (*arena.Arena, checkpoint.Info, error) {
	info := r.Info()
	if info.Incremental {
		return nil, info, fmt.Errorf("restoring a stream: %w", &checkpoint.ParentError{ID: info.ID, Parent: info.Parent, Err: checkpoint.ErrNoParent})
	}
	to, err := arena.Restore(o.Arena, info.Size)
	if err != nil {
		return nil, info, err
	}
	for {
		b, err := r.Next()
		if err != nil {
			if isEnd(err) {
				break
			}
			return nil, info, errors.Join(fmt.Errorf("restoring a stream: %w", err), to.Abort())
		}
		if err := errors.Join(ctx.Err(), fillBlock(b, to.Fill)); err != nil {
			return nil, info, errors.Join(fmt.Errorf("restoring a stream: %w", err), to.Abort())
		}
		if o.Progress != nil {
			o.Progress(min(int64(b.Region+1)*block.RegionSize, info.Size), info.Size)
		}
	}
	a, err := to.Finish()
	return a, r.Info(), err
}

// fillBlock hands a block's runs of stored pages to fill.
func fillBlock(b checkpoint.Block, fill func(off int64, src []byte) error) error {
	at := 0
	for run := range b.Header.Runs() {
		n := run.Count * block.PageSize
		off := int64(b.Region)*block.RegionSize + int64(run.Page)*block.PageSize
		if err := fill(off, b.Pages[at:at+n]); err != nil {
			return err
		}
		at += n
	}
	return nil
}

// named adds what was done to what, unless the error says it itself.
func named(doing, name string, err error) error {
	if strings.Contains(err.Error(), name) {
		return err
	}
	return fmt.Errorf("%s %s: %w", doing, name, err)
}
