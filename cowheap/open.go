package cowheap

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/cowheap/cowheap/arena"
	"github.com/cowheap/cowheap/checkpoint"
	"github.com/cowheap/cowheap/restore"
)

// Open opens the heap that is saved in dir: the newest valid checkpoint. A
// damaged one is passed over for the next older, and Origin says so. If all are
// damaged that is an error, never an empty heap; only a directory without any
// checkpoint gives one. The directory is made if it is not there, and belongs to
// this heap until Close: a second Open, by whatever process, gets ErrLocked.
func Open(dir string, opts *Options) (_ *Heap, err error) {
	o, err := orDefault(opts)
	if err != nil {
		return nil, err
	}
	h := newHeap(o)
	if h.dir, err = checkpoint.OpenStore(dir, o.dir()); err != nil {
		return nil, translate(err)
	}
	err = h.newest()
	if errors.Is(err, checkpoint.ErrNotFound) {
		err = h.empty()
	}
	if err != nil {
		if !strings.Contains(err.Error(), dir) {
			err = fmt.Errorf("opening %s: %w", dir, err)
		}
		return nil, errors.Join(translate(err), h.dir.Close())
	}
	return h, nil
}

// newest restores the newest checkpoint that can be restored.
func (h *Heap) newest() error {
	ctx := context.Background()
	try := func(im *checkpoint.Image) error {
		a, err := restore.Eager(ctx, im, h.opts.restore(h.hold))
		if err != nil {
			return damaged(err)
		}
		if err := h.adopt(a, (*space).attach); err != nil {
			return damaged(errors.Join(err, a.Close()))
		}
		return nil
	}
	if h.opts.Lazy {
		try = h.lazily
	}
	im, skipped, err := h.dir.Latest(try)
	for _, err := range skipped {
		h.skipped = append(h.skipped, translate(err))
	}
	if err != nil {
		return err
	}
	eager := h.origin.Eager
	h.origin = im.Info()
	h.origin.Eager = eager
	if h.lazy != nil { // it closes the image
		if !h.opts.NoPrefetch {
			if h.opts.Learn {
				h.lazy.Learn()
			}
			h.lazy.Prefetch()
		}
		return nil
	}
	h.descend()
	return im.Close()
}

// lazily is how a candidate is tried that is not to be read now.
func (h *Heap) lazily(im *checkpoint.Image) error {
	a, l, err := restore.OpenLazy(im, h.opts.restore(h.hold))
	h.origin.Eager = 0
	if l != nil {
		h.origin.Eager = l.Eager()
	}
	if errors.Is(err, errors.ErrUnsupported) && (h.opts.Guard == arena.GuardAuto || !im.Direct().Whole) {
		h.origin.Eager = im.Size()
		if a, err = restore.Eager(context.Background(), im, h.opts.restore(h.hold)); err != nil {
			return damaged(err)
		}
	}
	if err != nil {
		return damaged(err)
	}
	// Brought in here with an error to show for it; attach would crash.
	if root := a.Root(); root <= a.High() && a.High()-root >= superSize {
		if err := a.PrepareRead(root, superSize); err != nil {
			if l != nil {
				l.Stop()
			}
			return damaged(errors.Join(err, a.Close()))
		}
	}
	if err := h.adopt(a, (*space).attach); err != nil {
		if l != nil {
			l.Stop()
		}
		return damaged(errors.Join(err, a.Close()))
	}
	h.lazy = l
	return nil
}

// Restore makes a heap in memory of the checkpoint that r is at the start of:
// what Snapshot.WriteTo wrote, or a file of a directory, unless it is incremental
// (checkpoint.ErrNoParent). It verifies everything
// before it returns and reads to the checkpoint's end, not a byte further.
func Restore(r io.Reader, opts *Options) (*Heap, error) {
	o, err := orDefault(opts)
	if err != nil {
		return nil, err
	}
	cr, err := checkpoint.NewReader(r)
	if err != nil {
		return nil, translate(err)
	}
	h := newHeap(o)
	a, info, err := restore.Stream(context.Background(), cr, o.restore(h.hold))
	if err != nil {
		return nil, translate(err)
	}
	if err := h.adopt(a, (*space).attach); err != nil {
		return nil, translate(errors.Join(err, a.Close()))
	}
	h.origin = info
	return h, nil
}

// damaged makes an arena that holds no heap a damaged checkpoint, for which
// there may be an older one.
func damaged(err error) error {
	if errors.Is(err, arena.ErrCorrupt) && !errors.Is(err, checkpoint.ErrCorrupt) {
		return fmt.Errorf("%w: %w", checkpoint.ErrCorrupt, err)
	}
	return err
}

// translate makes errors of checkpoints answer to this package's sentinels too.
func translate(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, checkpoint.ErrCorrupt) && !errors.Is(err, ErrCorrupt):
		return &also{err, ErrCorrupt}
	case errors.Is(err, checkpoint.ErrClosed) && !errors.Is(err, ErrClosed):
		return &also{err, ErrClosed}
	}
	return err
}

// also is an error that is a sentinel, too, without saying so twice.
type also struct {
	error
	sentinel error
}

func (a *also) Unwrap() []error { return []error{a.error, a.sentinel} }
