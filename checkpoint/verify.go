package checkpoint

import (
	"context"
	"runtime"
	"sync"
	"sync/atomic"
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
			m.total += int64(l.blockSize(region))
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
				if !l.has(region) {
					continue
				}
				b, err := l.readBlock(region, buf[:], out)
				if err != nil {
					cancel(err)
					return
				}
				pages.Add(int64(b.Header.Count()))
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
