package restore

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/cowheap/cowheap/arena"
	"github.com/cowheap/cowheap/internal/block"
	"github.com/cowheap/cowheap/internal/vm"
)

// Fork makes an arena that starts as s. Where the guards can, its pages come in as
// they are touched, and the Lazy brings in the rest (Populate); else it is nil, and
// everything has been copied. s, and its arena, may be closed at any time; of that
// arena everything must be in. Errors: ErrClosed, ErrOverrun, those of arena.Restore, and ctx's.
func Fork(ctx context.Context, s *arena.Snapshot, o Options) (*arena.Arena, *Lazy, error) {
	r, err := arena.Restore(o.Arena, s.Size())
	if err != nil {
		return nil, nil, err
	}
	a, from, err := r.FinishFork(s)
	switch {
	case err == nil:
		return a, newLazy(a, parent{from}, o), nil
	case !errors.Is(err, arena.ErrNotSupported):
		return nil, nil, fmt.Errorf("forking: %w", err)
	}
	if err := (parent{s}).each(ctx, o.workers(), o.Progress, r.Fill); err != nil {
		return nil, nil, errors.Join(fmt.Errorf("forking: %w", err), r.Abort())
	}
	a, err = r.Finish()
	return a, nil, err
}

// parent is a snapshot as an origin.
type parent struct{ *arena.Snapshot }

func (p parent) String() string { return "the parent" }

// Close leaves the snapshot to its arena.
func (p parent) Close() error { return nil }

// each reads everything that is not zero.
func (p parent) each(ctx context.Context, workers int, tell func(done, total int64), do func(off int64, pages []byte) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	size := p.Size()
	m := &meter{tell: tell, total: size}
	m.add(0)
	var next atomic.Int64
	work := func() error {
		mem, err := vm.Map(rowSize) // must not move
		if err != nil {
			return err
		}
		defer mem.Unmap()
		for ctx.Err() == nil {
			off := next.Add(rowSize) - rowSize
			if off >= size {
				return nil
			}
			row := mem.Bytes(0, uint64(min(rowSize, size-off)))
			if _, err := p.ReadAt(row, off); err != nil {
				return err
			}
			if err := eachRun(off, row, do); err != nil {
				return err
			}
			m.add(int64(len(row)))
		}
		return nil
	}
	var wg sync.WaitGroup
	for range min(workers, int((size+rowSize-1)/rowSize)) {
		wg.Go(func() {
			if err := work(); err != nil {
				cancel(err)
			}
		})
	}
	wg.Wait()
	return context.Cause(ctx)
}

var zeroPage [block.PageSize]byte

// eachRun calls do for the pages of row that are not zero, neighbours at once.
func eachRun(off int64, row []byte, do func(off int64, pages []byte) error) error {
	const page = block.PageSize
	zero := func(at int) bool { return bytes.Equal(row[at:at+page], zeroPage[:]) }
	for at := 0; at < len(row); {
		if zero(at) {
			at += page
			continue
		}
		end := at + page
		for end < len(row) && !zero(end) {
			end += page
		}
		if err := do(off+int64(at), row[at:end]); err != nil {
			return err
		}
		at = end
	}
	return nil
}
