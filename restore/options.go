package restore

import (
	"runtime"

	"github.com/cowheap/cowheap/arena"
)

// Options say how a checkpoint is restored. The zero value is good.
type Options struct {
	// Arena is how the arena is made. MaxSize must hold the checkpoint.
	Arena arena.Options
	// Workers is how many goroutines read, verify and copy. Default: GOMAXPROCS.
	Workers int
	// Progress is told how many bytes of the checkpoint's blocks are in, of how
	// many. Its calls do not overlap. Default: nobody is told.
	Progress func(done, total int64)
}

func (o *Options) workers() int {
	if o.Workers > 0 {
		return o.Workers
	}
	return runtime.GOMAXPROCS(0)
}
