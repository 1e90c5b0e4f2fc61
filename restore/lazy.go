package restore

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/cowheap/cowheap/arena"
	"github.com/cowheap/cowheap/checkpoint"
	"github.com/cowheap/cowheap/internal/block"
)

// Lazy is a restore, or a fork, that goes on while its arena is used.
type Lazy struct {
	a      *arena.Arena
	from   origin
	opts   Options
	ctx    context.Context // of the prefetch
	cancel context.CancelFunc
	wg     sync.WaitGroup
	eager  int64

	learned *learned // nil: nothing is learned, see Learn

	populating sync.Mutex // one populates at a time
	done       bool       // under populating

	mu  sync.Mutex
	err error // see Err
}

// origin is where the missing pages of an arena come from.
type origin interface {
	// each brings in what is there with do, which may be called by several workers at once.
	each(ctx context.Context, workers int, tell func(done, total int64), do func(off int64, pages []byte) error) error
	String() string // what it is, for errors
	Close() error
}

// OpenLazy makes an arena of im whose pages come in as they are touched. What
// brings in the rest is Prefetch, or Populate. It takes im over: Close closes it, after the
// arena. Pages are touched in one file only, that of a chain which has most: what
// the others have, what is compressed, and what is in sparse blocks is brought in before OpenLazy returns, and
// Eager says how much that was. ErrNotSupported if the guard cannot bring pages
// in; shadow can from one file only that is not compressed.
func OpenLazy(im *checkpoint.Image, o Options) (*arena.Arena, *Lazy, error) {
	d := im.Direct()
	if d.File == nil {
		return nil, nil, fmt.Errorf("restoring lazily needs a file of its own: %w", errors.ErrUnsupported)
	}
	r, err := arena.Restore(o.Arena, im.Size())
	if err != nil {
		return nil, nil, err
	}
	missing := arena.MissingPages{FD: d.File.Fd(), Path: d.Path, Index: d.Index, ID: d.ID, Owner: im}
	var eager atomic.Int64
	if !d.Whole {
		missing.Rest = func(bring func(off int64, src []byte) error) error {
			return eachRegion(context.Background(), im, o.workers(), func(region int, buf []byte) error {
				return im.ReadRest(&d, region, buf, func(page int, pages []byte) error {
					eager.Add(int64(len(pages)))
					return bring(int64(region)*block.RegionSize+int64(page)*block.PageSize, pages)
				})
			})
		}
	}
	a, err := r.FinishLazy(missing)
	if err != nil {
		return nil, nil, named("restoring lazily", file{im}.String(), err)
	}
	l := newLazy(a, file{im}, o)
	l.eager = eager.Load()
	return a, l, nil
}

// Eager is how many bytes of pages OpenLazy has read before it returned, because
// they could not be left to be touched.
func (l *Lazy) Eager() int64 { return l.eager }

func newLazy(a *arena.Arena, from origin, o Options) *Lazy {
	l := &Lazy{a: a, from: from, opts: o}
	l.ctx, l.cancel = context.WithCancel(context.Background())
	return l
}

// file is a checkpoint as an origin.
type file struct{ *checkpoint.Image }

func (f file) each(ctx context.Context, workers int, tell func(done, total int64), do func(off int64, pages []byte) error) error {
	return eachRow(ctx, f.Image, workers, newMeter(f.Image, tell), do)
}

func (f file) String() string {
	i := f.Info()
	if i.Path == "" {
		return "checkpoint " + i.ID.String()
	}
	return i.Path
}

// Prefetch starts to bring the rest in, in the background, until Stop or
// Populate. Call it once, when the arena's Options.Hold may be called.
func (l *Lazy) Prefetch() {
	l.wg.Go(func() {
		recording, enough := context.WithCancel(l.ctx)
		defer enough() // all is in: nothing will fault any more
		if k := l.learned; k != nil {
			f := l.from.(file)
			if len(k.pages) == 0 {
				k.survey(l.ctx, f)
			} else {
				l.wg.Go(func() { k.record(recording) })
				// An error here is met again below.
				_ = k.bring(l.ctx, f, k.first(f.Size()/block.PageSize), l.bring)
			}
		}
		// One worker: the program that uses the arena needs the others. Its
		// error is kept for Err.
		_ = l.populate(l.ctx, 1)
	})
}

// Populate takes over from Prefetch: it brings in all that is still missing,
// with all workers, and returns when the file, or the parent, is not needed any more. Errors:
// ctx's, ErrClosed, and those of checkpoint.Image.ReadRuns for what is damaged:
// pages that were not touched so far; they stay missing.
func (l *Lazy) Populate(ctx context.Context) error {
	l.Stop()
	return l.populate(ctx, l.opts.workers())
}

func (l *Lazy) populate(ctx context.Context, workers int) error {
	l.populating.Lock()
	defer l.populating.Unlock()
	if l.done {
		return nil
	}
	err := l.from.each(ctx, workers, l.opts.Progress, l.bring)
	if err != nil {
		err = named("populating from", l.from.String(), err)
	} else {
		err = l.a.Complete()
	}
	l.done = err == nil
	if ctx.Err() == nil { // to have been stopped is no failure
		l.mu.Lock()
		l.err = err
		l.mu.Unlock()
	}
	return err
}

// bring brings pages in that nobody has touched yet.
func (l *Lazy) bring(off int64, pages []byte) error {
	if l.learned != nil {
		l.learned.rec.bringing(int(off/block.PageSize), len(pages)/block.PageSize)
	}
	return l.a.Bring(off, pages)
}

// Err is why Prefetch or Populate has ended before all was in; nil while one goes
// on, when it was successful, and when it was stopped.
func (l *Lazy) Err() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.err
}

// Stop ends the prefetch in the background and waits for it. Call it before the
// arena is closed.
func (l *Lazy) Stop() {
	l.cancel()
	l.wg.Wait()
}

// Close closes the image, if there is one. Call it after the arena has been closed.
func (l *Lazy) Close() error {
	l.Stop()
	return l.from.Close()
}
