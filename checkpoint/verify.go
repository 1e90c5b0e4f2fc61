package checkpoint

import (
	"context"
	"runtime"
	"sync"
	"sync/atomic"

	"github.com/cowheap/cowheap/internal/block"
)

// maxVerifiers bounds the goroutines of Verify: more than this many readers gain
// nothing on one device, and each holds 2 MiB.
const maxVerifiers = 8

// Verify reads every block of every file of the chain and verifies it, on several
// processors: also pages that a newer file of the chain has, too. Together with
// what opening verified, that is every byte of the files. progress, if not nil, is
// told how many bytes of blocks were read of how many; its calls do not overlap.
//
// The error is the first that was met, of the kinds of [Image.ReadBlock], or
// ctx's.
func (im *Image) Verify(ctx context.Context, progress func(done, total int64)) error {
	var m progressMeter
	m.tell = progress
	for _, l := range im.links {
		for region := range l.index {
			if l.isFirst(region) {
				m.total += int64(l.blockSize(region))
			}
		}
	}
	for _, l := range im.links {
		if err := l.verify(ctx, &m); err != nil {
			return err
		}
	}
	return nil
}

// progressMeter tells how much is done.
type progressMeter struct {
	mu          sync.Mutex // guards done and the order of calls to tell
	done, total int64
	tell        func(done, total int64)
}

func (m *progressMeter) add(n int) {
	if m.tell == nil {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.done += int64(n)
	m.tell(m.done, m.total)
}

// verify is Verify for one file.
func (l *link) verify(ctx context.Context, m *progressMeter) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var next, pages atomic.Int64
	var workers sync.WaitGroup
	for range min(runtime.GOMAXPROCS(0), maxVerifiers) {
		workers.Go(func() {
			buf, out := bufferPool.Get().(*ioBuffer), bufferPool.Get().(*ioBuffer)
			defer bufferPool.Put(buf)
			defer bufferPool.Put(out)
			for ctx.Err() == nil {
				region := int(next.Add(1)) - 1
				if region >= len(l.index) {
					return
				}
				if !l.isFirst(region) {
					continue
				}
				h, _, err := l.readBlock(region, buf[:], out)
				if err == nil && isSparse(h) {
					err = l.checkParts(region, block.Sparse(h))
				}
				if err != nil {
					cancel(err)
					return
				}
				pages.Add(int64(h.Count()))
				m.add(l.blockSize(region))
			}
		})
	}
	workers.Wait()
	if err := context.Cause(ctx); err != nil {
		return err
	}
	if info := &l.header.info; pages.Load() != info.Pages {
		return corrupt(info.Path, info.Bytes-trailerSize, "the trailer claims %d pages, the blocks have %d", info.Pages, pages.Load())
	}
	return nil
}

// checkParts verifies that those regions whose index entries point to the sparse
// block of region first are those that it has pages of.
func (l *link) checkParts(first int, s block.Sparse) error {
	region := first - 1
	next := func() int64 { // region that the index has in it, -1 if there are no more
		for region++; region < len(l.index); region++ {
			if !l.has(region) {
				continue
			}
			if l.sameBlock(first, region) {
				return int64(region)
			}
			break
		}
		return -1
	}
	differ := func(region int64) error {
		return corrupt(l.header.info.Path, l.blockOffset(first), "index and sparse block do not agree what this has of region %d", region)
	}
	for part := range s.Parts() {
		if got := next(); got != part.Region || l.partLen(region) != part.Len {
			return differ(part.Region)
		}
	}
	if more := next(); more >= 0 {
		return differ(more)
	}
	return nil
}
