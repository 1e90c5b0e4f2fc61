package restore

import (
	"context"
	"os"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/cowheap/cowheap/internal/block"
	"github.com/cowheap/cowheap/internal/vm"
)

// learned is what a Lazy knows of earlier restores of its directory, and learns for the next.
type learned struct {
	path  string // of the checkpoint
	pages []uint32
	rec   *recorder // nil: the guard does not tell what comes in

	mu  sync.Mutex
	err error
}

const (
	// learnedReaders is how many reads are under way at a time: a cold disk answers many of them almost as
	// soon as one (here 3,100 a second by one thread, 60,000 by 32), and a thread that faults has one.
	learnedReaders = 32
	// learnedJob is how many faults of the set a reader takes at a time, and goes through in the order of
	// the file.
	learnedJob = 8
	// learnedLeast is how many pages an image has at least whose set is brought in by itself, 64 MiB: what is
	// smaller is read in order in as much time. And a page alone costs as much as some 16 in order: beyond that
	// share the set is left to what brings in all.
	learnedLeast = 64 << 20 / block.PageSize
	learnedShare = 16
	// readThroughAt is how many bytes are read at a time while somebody faults: who does waits for that, at most.
	readThroughAt = 256 << 10
)

// Learn has Prefetch begin with the pages that were touched first in earlier lazy restores from the same
// directory, and record those that are touched in this one: beside the checkpoint, in a file of 512 KiB at most, with the
// ending .touched. The first time, when nothing is known, it reads the file ahead and brings nothing of it in until that is
// recorded, five seconds at most. Call it before Prefetch. A damaged set is not used, and LearnErr
// says so. Of what is no file nothing is learned.
func (l *Lazy) Learn() {
	f, ok := l.from.(file)
	if !ok || f.Info().Path == "" {
		return
	}
	k := &learned{path: f.Info().Path, rec: newRecorder(l.a)}
	if k.rec == nil {
		return
	}
	pages, err := readTouched(k.path)
	k.err = err
	last := f.Size() / block.PageSize
	k.pages = slices.DeleteFunc(pages, func(p uint32) bool { return int64(p) >= last })
	l.learned = k
}

// Learned is how many faults of earlier restores Prefetch begins with.
func (l *Lazy) Learned() int {
	if l.learned == nil {
		return 0
	}
	return len(l.learned.pages)
}

// LearnErr is why nothing was learned of earlier restores, or for later ones; nil if that went well. It is no
// reason not to use the arena.
func (l *Lazy) LearnErr() error {
	if l.learned == nil {
		return nil
	}
	l.learned.mu.Lock()
	defer l.learned.mu.Unlock()
	return l.learned.err
}

// survey is for the first restore that learns: it records what is touched, and returns when that is known. Meanwhile
// the file is only read into the page cache, where it is there for whoever touches it: of what has been brought in
// nobody could tell whether it was touched.
func (k *learned) survey(ctx context.Context, f file) {
	ctx, enough := context.WithCancel(ctx)
	var wg sync.WaitGroup
	wg.Go(func() {
		readThrough(ctx, f.Direct().File)
		k.rec.ready.Store(true)
	})
	k.record(ctx)
	enough()
	wg.Wait()
}

// readThrough reads a file, as far as it can be read, and keeps nothing of it.
func readThrough(ctx context.Context, f *os.File) {
	buf := make([]byte, readThroughAt)
	for off := int64(0); ctx.Err() == nil; {
		n, err := f.ReadAt(buf, off)
		if off += int64(n); err != nil {
			return
		}
	}
}

// record records until ctx ends or enough is known, and saves it.
func (k *learned) record(ctx context.Context) {
	k.rec.run(ctx)
	fresh := k.rec.touched()
	if len(fresh) == 0 {
		return
	}
	if err := writeTouched(k.path, uniteTouched(fresh, k.pages)); err != nil {
		k.mu.Lock()
		defer k.mu.Unlock()
		k.err = err
	}
}

// first is what of the set is worth bringing in by itself, of an image of so many pages.
func (k *learned) first(pages int64) []uint32 {
	if pages < learnedLeast {
		return nil
	}
	return k.pages[:min(int64(len(k.pages)), pages/learnedShare)]
}

// rowOf is how many pages a fault of a set stands for, from the one that faulted on: it alone, unless it begins a group.
// Those who read on fault at each of these, those who jump about seldom do.
func rowOf(page uint32) int {
	if page%aroundPages == 0 {
		return aroundPages
	}
	return 1
}

// bring brings a set in, in its order. What is damaged is left to those who touch it, and to Populate.
func (k *learned) bring(ctx context.Context, f file, set []uint32, do func(off int64, pages []byte) error) error {
	var next atomic.Int64
	work := func() error {
		mem, err := vm.Map(aroundPages * block.PageSize) // must not move
		if err != nil {
			return err
		}
		defer mem.Unmap()
		for ctx.Err() == nil {
			at := int(next.Add(learnedJob)) - learnedJob
			if at >= len(set) {
				break
			}
			job := slices.Sorted(slices.Values(set[at:min(at+learnedJob, len(set))]))
			for _, page := range job {
				if f.BlockSize(int(page/block.RegionPages)) == 0 || k.rec.isIn(page) {
					continue
				}
				n := min(int64(rowOf(page)), f.Size()/block.PageSize-int64(page))
				row, off := mem.Bytes(0, uint64(n)*block.PageSize), int64(page)*block.PageSize
				if _, err := f.ReadAt(row, off); err != nil {
					continue
				}
				if err := do(off, row); err != nil {
					return err
				}
			}
		}
		return nil
	}
	errs := make([]error, learnedReaders)
	var wg sync.WaitGroup
	wg.Go(func() { ahead(ctx, f.Direct(), set) })
	for i := range errs {
		wg.Go(func() { errs[i] = work() })
	}
	wg.Wait()
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}
