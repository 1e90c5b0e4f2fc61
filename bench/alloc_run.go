package main

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"sync"
	"time"

	"github.com/cowheap/cowheap/arena"
	"github.com/cowheap/cowheap/cowheap"
)

const (
	allocLive   = 100_000 // objects of a working set
	allocBatch  = 1000    // pairs in one Update
	allocRounds = 300     // batches of a worker
)

type allocBench struct {
	size    int64
	live    int
	batches int
	dirty   *dirtyHeap // made when it is asked for
}

func openAlloc(s Setup) (Bench, error) {
	b := &allocBench{size: s.Size, live: allocLive, batches: allocRounds}
	if s.Quick {
		b.live, b.batches = 1000, 2
	}
	return b, nil
}

func (b *allocBench) Close() error {
	if b.dirty == nil {
		return nil
	}
	return b.dirty.a.Close()
}

func (b *allocBench) Measure(variant string) (Reading, error) {
	if variant == allocDirty {
		return b.measureDirty()
	}
	v, err := parseAllocVariant(variant, runtime.GOMAXPROCS(0))
	if err != nil {
		return Reading{}, err
	}
	switch v.size {
	case 16:
		return measureAlloc[[16]byte](b, v)
	case 64:
		return measureAlloc[[64]byte](b, v)
	case 256:
		return measureAlloc[[256]byte](b, v)
	default:
		return measureAlloc[[4096]byte](b, v)
	}
}

func measureAlloc[T any](b *allocBench, v allocVariant) (Reading, error) {
	if v.who != allocHeap {
		return measureNew[T](b, v)
	}
	h, err := cowheap.New(&cowheap.Options{MaxSize: 8 * gib})
	if err != nil {
		return Reading{}, err
	}
	took, err := b.onEach(v, func(worker int) (batch func() error, err error) {
		return heapWorker[T](h, b.live/v.workers, v.set, worker)
	})
	return b.perPair(took, v), errors.Join(err, h.Close())
}

// heapWorker gets a worker's objects ready.
func heapWorker[T any](h *cowheap.Heap, live int, set bool, worker int) (batch func() error, err error) {
	if !set {
		return func() error {
			return h.Update(func(m *cowheap.Mem) error {
				for range allocBatch {
					r, err := cowheap.Alloc[T](m)
					if err != nil {
						return err
					}
					if err := cowheap.Free(m, r); err != nil {
						return err
					}
				}
				return nil
			})
		}, nil
	}
	refs := make([]cowheap.Ref[T], live)
	r := rand.New(rand.NewPCG(1, uint64(worker)))
	err = h.Update(func(m *cowheap.Mem) (err error) {
		for i := range refs {
			if refs[i], err = cowheap.Alloc[T](m); err != nil {
				return err
			}
		}
		return nil
	})
	return func() error {
		return h.Update(func(m *cowheap.Mem) error {
			for range allocBatch {
				at := &refs[r.IntN(len(refs))]
				if err := cowheap.Free(m, *at); err != nil {
					return err
				}
				var err error
				if *at, err = cowheap.Alloc[T](m); err != nil {
					return err
				}
			}
			return nil
		})
	}, err
}

// measureNew measures Go's allocator with its collector, or the latter's share.
func measureNew[T any](b *allocBench, v allocVariant) (Reading, error) {
	defer debug.SetGCPercent(debug.SetGCPercent(100))
	before := gcTimes()
	took, err := b.onEach(v, func(worker int) (func() error, error) {
		objects := make([]*T, b.live/v.workers)
		r := rand.New(rand.NewPCG(1, uint64(worker)))
		for i := range objects {
			objects[i] = new(T)
		}
		return func() error {
			for range allocBatch {
				i := 0
				if v.set {
					i = r.IntN(len(objects))
				}
				objects[i] = new(T)
			}
			return nil
		}, nil
	})
	if v.who == allocGC {
		runtime.GC() // the figures are brought up to date by a collection
		after := gcTimes()
		return Reading{Value: 100 * (after.gc - before.gc) / (after.all - before.all)}, err
	}
	return b.perPair(took, v), err
}

// gcTime is processor time in seconds.
type gcTime struct{ gc, all float64 }

func gcTimes() gcTime {
	s := []metrics.Sample{{Name: "/cpu/classes/gc/total:cpu-seconds"}, {Name: "/cpu/classes/total:cpu-seconds"}}
	metrics.Read(s)
	return gcTime{s[0].Value.Float64(), s[1].Value.Float64()}
}

// onEach runs the batches on the workers at once and answers how long that took.
func (b *allocBench) onEach(v allocVariant, ready func(worker int) (batch func() error, err error)) (time.Duration, error) {
	batches := make([]func() error, v.workers)
	errs := make([]error, v.workers)
	for i := range batches {
		var err error
		if batches[i], err = ready(i); err != nil {
			return 0, err
		}
		if err := batches[i](); err != nil { // warm
			return 0, err
		}
	}
	var wg sync.WaitGroup
	start := time.Now()
	for i, batch := range batches {
		wg.Go(func() {
			for range b.batches {
				if errs[i] = batch(); errs[i] != nil {
					return
				}
			}
		})
	}
	wg.Wait()
	return time.Since(start), errors.Join(errs...)
}

func (b *allocBench) perPair(took time.Duration, v allocVariant) Reading {
	return Reading{Value: float64(took.Nanoseconds()) / float64(v.workers*b.batches*allocBatch)}
}

// dirtyHeap is a heap of random small objects, one in ten of which was freed.
type dirtyHeap struct {
	a *arena.Arena
	r *rand.Rand
}

func (d *dirtyHeap) draw() uint64 { return 16 + d.r.Uint64N(1009) }

// newDirtyHeap fills size bytes. GuardCopy: what is compared is bytes, not what a guard
// thinks was written.
func newDirtyHeap(size int64) (_ *dirtyHeap, err error) {
	a, err := arena.New(arena.Options{MaxSize: 2*size + 64*mib, Guard: arena.GuardCopy})
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, a.Close())
		}
	}()
	d := &dirtyHeap{a: a, r: rand.New(rand.NewPCG(1, 2))}
	cache := a.Lease(0)
	defer cache.Release()
	var offs []uint64
	for sum := int64(0); sum < size; {
		n := d.draw()
		off, err := cache.Alloc(n, 0)
		if err != nil {
			return nil, fmt.Errorf("filling the heap: %w", err)
		}
		offs = append(offs, off)
		sum += int64(n)
	}
	d.r.Shuffle(len(offs), func(i, j int) { offs[i], offs[j] = offs[j], offs[i] })
	for _, off := range offs[:len(offs)/10] {
		if err := cache.Free(off); err != nil {
			return nil, err
		}
	}
	return d, nil
}

// measureDirty counts the pages that 1,000 allocations change, without those that hold
// the objects.
func (b *allocBench) measureDirty() (r Reading, err error) {
	if b.dirty == nil {
		if b.dirty, err = newDirtyHeap(b.size); err != nil {
			return Reading{}, err
		}
	}
	d := b.dirty
	before, err := d.a.Snapshot()
	if err != nil {
		return Reading{}, err
	}
	defer func() { err = errors.Join(err, before.Close()) }()
	objects := map[uint64]bool{}
	var offs []uint64
	cache := d.a.Lease(0)
	for range 1000 {
		n := d.draw()
		off, err := cache.Alloc(n, 0)
		if err != nil {
			cache.Release()
			return Reading{}, err
		}
		offs = append(offs, off)
		for page := off / pageSize; page <= (off+n-1)/pageSize; page++ {
			objects[page] = true
		}
	}
	cache.Release()
	after, err := d.a.Snapshot()
	if err != nil {
		return Reading{}, err
	}
	defer func() { err = errors.Join(err, after.Close()) }()
	var was, is [1 << 20]byte
	for off := int64(0); off < before.Size(); off += int64(len(was)) {
		n := min(int64(len(was)), before.Size()-off)
		_, err1 := before.ReadAt(was[:n], off)
		_, err2 := after.ReadAt(is[:n], off)
		if err := errors.Join(err1, err2); err != nil {
			return Reading{}, err
		}
		for at := int64(0); at < n; at += pageSize {
			if !objects[uint64(off+at)/pageSize] && !bytes.Equal(was[at:at+pageSize], is[at:at+pageSize]) {
				r.Value++
			}
		}
	}
	r.Bytes = b.size
	for _, off := range offs {
		if err := d.a.Free(off); err != nil {
			return Reading{}, err
		}
	}
	return r, nil
}
