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

// Verify reads every block and verifies it, on several processors. Together with
// what opening verified, that is every byte of the file. progress, if not nil, is
// told how many bytes of blocks were read of how many; its calls do not overlap.
//
// The error is the first that was met, of the kinds of [Image.ReadBlock], or
// ctx's.
func (im *Image) Verify(ctx context.Context, progress func(done, total int64)) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	info := im.Info()
	total := info.Blocks*block.HeaderSize + info.Pages*block.PageSize
	var next atomic.Int64
	var mu sync.Mutex // guards done and the order of calls to progress
	var done int64
	var workers sync.WaitGroup
	for range min(runtime.GOMAXPROCS(0), maxVerifiers) {
		workers.Go(func() {
			buf := bufferPool.Get().(*ioBuffer)
			defer bufferPool.Put(buf)
			for ctx.Err() == nil {
				region := next.Add(1) - 1
				if region >= int64(im.Regions()) {
					return
				}
				if _, err := im.ReadBlock(int(region), buf[:]); err != nil {
					cancel(err)
					return
				}
				if size := im.BlockSize(int(region)); size > 0 && progress != nil {
					mu.Lock()
					done += int64(size)
					progress(done, total)
					mu.Unlock()
				}
			}
		})
	}
	workers.Wait()
	return context.Cause(ctx)
}
