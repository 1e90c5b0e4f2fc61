package main

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cowheap/cowheap/checkpoint"
	"github.com/cowheap/cowheap/cowheap"
)

// build is the indexing of a tree.
type build struct {
	tree  *tree
	index *indexer
	start time.Time
	half  chan struct{} // closed when half of the files are done

	next  atomic.Int64 // place in tree.paths that nobody has taken yet
	done  atomic.Int64 // files added or left out
	files atomic.Int64 // added, and their bytes and words
	bytes atomic.Int64
	words atomic.Int64

	mu     sync.Mutex
	binary int     // left out
	large  int     // left out
	unread []error // left out
}

func newBuild(t *tree, x *indexer) *build {
	b := &build{tree: t, index: x, start: time.Now(), half: make(chan struct{}), unread: t.unread}
	if len(t.paths) == 0 {
		close(b.half)
	}
	return b
}

// run indexes the tree with several goroutines. The first error ends it.
func (b *build) run(ctx context.Context, workers int) error {
	ctx, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() {
			for ctx.Err() == nil {
				i := b.next.Add(1) - 1
				if i >= int64(len(b.tree.paths)) {
					return
				}
				if err := b.file(b.tree.paths[i]); err != nil {
					fail(err)
				}
			}
		})
	}
	wg.Wait()
	return context.Cause(ctx)
}

// file adds one file, or notes why it is left out.
func (b *build) file(path string) error {
	d, err := readDocument(b.tree.fsys, path)
	if err != nil {
		b.leaveOut(err)
	} else {
		if err := b.index.add(d); err != nil {
			return err
		}
		b.files.Add(1)
		b.bytes.Add(d.size)
		b.words.Add(int64(d.total))
	}
	if b.done.Add(1) == int64(len(b.tree.paths)+1)/2 {
		close(b.half)
	}
	return nil
}

func (b *build) leaveOut(err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case errors.Is(err, errBinary):
		b.binary++
	case errors.Is(err, errLarge):
		b.large++
	default:
		b.unread = append(b.unread, err)
	}
}

// mark is how far a build was at some time.
type mark struct {
	at           time.Time
	files, bytes int64
}

func (b *build) mark() mark {
	return mark{at: time.Now(), files: b.files.Load(), bytes: b.bytes.Load()}
}

// rate is what was indexed from one mark to another.
func (from mark) rate(to mark) string { return rate(to.bytes-from.bytes, to.at.Sub(from.at)) }

// saved is a checkpoint and what it cost.
type saved struct {
	info          checkpoint.Info
	busy          bool // indexing went on all the time
	began, ended  mark
	before, after cowheap.Stats
	err           error
}

// save waits until half of the files are done, and saves the index as it is then
// while the goroutines of run go on.
func (b *build) save(ctx context.Context) (s saved) {
	select {
	case <-b.half:
	case <-ctx.Done():
		s.err = context.Cause(ctx)
		return s
	}
	s.before, s.began = b.index.heap.Stats(), b.mark()
	s.info, s.err = b.index.heap.Checkpoint(ctx)
	s.busy = b.done.Load() < int64(len(b.tree.paths))
	s.ended, s.after = b.mark(), b.index.heap.Stats()
	return s
}
