package restore

import (
	"context"
	"errors"
	"io"
	"sync"
	"sync/atomic"

	"github.com/cowheap/cowheap/checkpoint"
	"github.com/cowheap/cowheap/internal/block"
	"github.com/cowheap/cowheap/internal/vm"
)

func isEnd(err error) bool { return errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) }

// meter counts the bytes of blocks that are in.
type meter struct {
	mu          sync.Mutex
	done, total int64
	tell        func(done, total int64)
}

func newMeter(im *checkpoint.Image, tell func(done, total int64)) *meter {
	m := &meter{tell: tell}
	for region := range im.Regions() {
		m.total += int64(im.BlockSize(region))
	}
	m.add(0)
	return m
}

func (m *meter) add(n int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.done += n
	if m.tell != nil {
		m.tell(m.done, m.total)
	}
}

// rowSize is how much is read, verified and copied at a time: little enough to
// stay in a processor's second-level cache meanwhile.
const rowSize = 256 << 10

// eachRow reads and verifies the stored pages of im, ascending, with several
// workers, and calls do for each row of them. The first error ends it. A row's
// memory is a worker's own, and does not move.
func eachRow(ctx context.Context, im *checkpoint.Image, workers int, m *meter, do func(off int64, pages []byte) error) error {
	return eachRegion(ctx, im, workers, func(region int, buf []byte) error {
		err := im.ReadRuns(region, buf, func(page int, pages []byte) error {
			return do(int64(region)*block.RegionSize+int64(page)*block.PageSize, pages)
		})
		if err == nil {
			m.add(int64(im.BlockSize(region)))
		}
		return err
	})
}

// eachRegion calls do for each region that is not all zero, with several
// workers. The first error ends it. buf is a worker's own, and does not move.
func eachRegion(ctx context.Context, im *checkpoint.Image, workers int, do func(region int, buf []byte) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var next atomic.Int64
	work := func() error {
		// Outside the Go heap: not to be zeroed and collected each time.
		mem, err := vm.Map(rowSize)
		if err != nil {
			return err
		}
		defer mem.Unmap()
		buf := mem.Bytes(0, mem.Size())
		for ctx.Err() == nil {
			region := int(next.Add(1)) - 1
			if region >= im.Regions() {
				return nil
			}
			if im.BlockSize(region) == 0 {
				continue // all zero, as it is
			}
			if err := do(region, buf); err != nil {
				return err
			}
		}
		return nil
	}
	var wg sync.WaitGroup
	for range min(workers, im.Regions()) {
		wg.Go(func() {
			if err := work(); err != nil {
				cancel(err)
			}
		})
	}
	wg.Wait()
	return context.Cause(ctx)
}
