package arena

import (
	"runtime"
	"sync"
	"sync/atomic"
)

// parallel calls do for the pieces [off, off+n) of size bytes, on several
// processors where there is more than work bytes for each. The first error
// ends it.
func parallel(size, piece, work uint64, most int, do func(off, n uint64) error) error {
	var next atomic.Uint64
	var failed atomic.Pointer[error]
	run := func() {
		for failed.Load() == nil {
			off := next.Add(piece) - piece
			if off >= size {
				return
			}
			if err := do(off, min(piece, size-off)); err != nil {
				failed.CompareAndSwap(nil, &err)
				return
			}
		}
	}
	workers := min(uint64(most), size/work)
	var wg sync.WaitGroup
	for range max(workers, 1) - 1 {
		wg.Go(run)
	}
	run()
	wg.Wait()
	if err := failed.Load(); err != nil {
		return *err
	}
	return nil
}

// copyParallel copies src to dst, which are of one length.
func copyParallel(dst, src []byte) {
	// A processor alone does not use the whole bandwidth of the memory.
	_ = parallel(uint64(len(src)), 1<<20, 4<<20, runtime.GOMAXPROCS(0), func(off, n uint64) error {
		copy(dst[off:off+n], src[off:off+n])
		return nil
	})
}
