package restore

import (
	"context"
	"errors"
	"fmt"
	"sync"

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
// arena. ErrNotSupported if the guard cannot bring pages in.
func OpenLazy(im *checkpoint.Image, o Options) (*arena.Arena, *Lazy, error) {
	if im.File() == nil {
		return nil, nil, fmt.Errorf("restoring lazily needs a file of its own: %w", errors.ErrUnsupported)
	}
	r, err := arena.Restore(o.Arena, im.Size())
	if err != nil {
		return nil, nil, err
	}
	info := im.Info()
	a, err := r.FinishLazy(arena.MissingPages{
		FD: im.File().Fd(), Path: info.Path, Index: im.Index(), ID: info.ID, Owner: im,
	})
	if err != nil {
		return nil, nil, named("restoring lazily", file{im}.String(), err)
	}
	return a, newLazy(a, file{im}, o), nil
}

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
	recording, enough := context.WithCancel(l.ctx)
	if l.learned != nil {
		l.wg.Go(func() { l.learned.record(recording) })
	}
	l.wg.Go(func() {
		defer enough() // all is in: nothing will fault any more
		if k := l.learned; k != nil {
			// An error here is met again below.
			_ = k.bring(l.ctx, l.from.(file), l.bring)
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
