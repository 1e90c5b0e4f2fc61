package main

import (
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/cowheap/cowheap/arena"
	"github.com/cowheap/cowheap/cowheap"
)

// The case "restore": how soon is a heap back from disk?
//
//   - eager: cowheap.Open of a directory, which reads, verifies and copies in
//     everything. In GB (10^9 bytes) of state a second.
//   - copy: the least that it could do: UFFDIO_COPY of as many bytes, 2 MiB at a
//     time, by as many workers (GOMAXPROCS), straight from the checkpoint's file
//     mapped into memory; nothing is read or verified.
//   - lazy-open: from the call of a lazy Open until the first byte of the state has
//     been read, at a sixteenth of the size and at four times the size (64 MiB and 4 GiB
//     by default). Everything else comes in in the background, which goes on beside it.
//   - lazy-touch: the first touch of each of 8,192 pages of a lazily opened heap,
//     at random and in order, a page, with nothing coming in in the background.
//
// All files are in the page cache, if memory allows: no disk is measured. Not
// measured: closing, and how much faster a lazy heap gets once all is in.

const (
	restoreEager       = "eager"
	restoreCopy        = "copy"
	restoreOpenSmall   = "lazy-open/small"
	restoreOpenLarge   = "lazy-open/large"
	restoreTouchRandom = "lazy-touch/random"
	restoreTouchOrder  = "lazy-touch/in-order"
)

func restoreCase() *Case {
	return &Case{
		Name:  "restore",
		About: "getting a heap back from disk",
		Size:  1 * gib,
		Quick: 32 * mib,
		Variants: []Variant{
			{restoreEager, "GB/s", restoreCopy},
			{restoreCopy, "GB/s", restoreCopy},
			{restoreOpenSmall, "us", restoreOpenSmall},
			{restoreOpenLarge, "us", restoreOpenSmall},
			{restoreTouchRandom, "ns", restoreTouchRandom},
			{restoreTouchOrder, "ns", restoreTouchRandom},
		},
		Bounds: []Bound{
			{restoreEager, ">=", 0.85, restoreCopy},
			{restoreOpenLarge, "<=", 2, restoreOpenSmall},
		},
		Open: openRestore,
	}
}

// restoreBench has a directory with one checkpoint for each size.
type restoreBench struct {
	dir     string
	size    int64
	random  []uint32
	inOrder []uint32
}

func openRestore(s Setup) (Bench, error) {
	b := &restoreBench{dir: s.Dir, size: s.Size}
	for _, size := range []int64{b.size, b.small(), b.large()} {
		if err := saveBulk(b.path(size), size); err != nil {
			return nil, err
		}
	}
	pages := int(b.size / pageSize)
	sample := min(pages/4, maxSample)
	b.random, b.inOrder = samplePages(pages, sample), pagesInOrder(sample)
	return b, nil
}

func (b *restoreBench) small() int64 { return max(b.size/16, mib) / mib * mib }
func (b *restoreBench) large() int64 { return b.size * 4 }

// path is the directory with a checkpoint of that size.
func (b *restoreBench) path(size int64) string {
	return filepath.Join(b.dir, fmt.Sprintf("%d", size/mib))
}

func (b *restoreBench) Close() error { return nil }

// Measure restores once.
func (b *restoreBench) Measure(variant string) (Reading, error) {
	switch variant {
	case restoreEager:
		return b.eager()
	case restoreCopy:
		took, err := b.copy()
		return perSecond(b.size, took), err
	case restoreOpenSmall:
		return b.firstByte(b.small())
	case restoreOpenLarge:
		return b.firstByte(b.large())
	case restoreTouchRandom:
		return b.touch(b.random)
	}
	return b.touch(b.inOrder)
}

func (b *restoreBench) eager() (r Reading, err error) {
	start := time.Now()
	h, err := cowheap.Open(b.path(b.size), bulkOptions(b.size))
	if err != nil {
		return Reading{}, err
	}
	took := time.Since(start)
	defer func() { err = errors.Join(err, h.Close()) }()
	return perSecond(b.size, took), h.View(func(m *cowheap.Mem) error {
		chunks, err := chunksOf(m)
		if err != nil {
			return err
		}
		return checkBulk(chunks, int(b.size/pageSize)-1)
	})
}

// lazyOptions ask for the guard by name, so that an Open which cannot be lazy
// fails instead of being eager.
func lazyOptions(size int64) *cowheap.Options {
	o := bulkOptions(size)
	o.Guard, o.Lazy = arena.GuardUserfault, true
	return o
}

func (b *restoreBench) firstByte(size int64) (r Reading, err error) {
	start := time.Now()
	h, err := cowheap.Open(b.path(size), lazyOptions(size))
	if err != nil {
		return Reading{}, err
	}
	defer func() { err = errors.Join(err, h.Close()) }()
	var took time.Duration
	err = h.View(func(m *cowheap.Mem) error {
		root, err := cowheap.Root[bulk](m, bulkName)
		if err != nil {
			return err
		}
		first := root.Ptr(m).Chunks.Slice(m)[0].Ptr(m)
		value := first[0]
		took = time.Since(start)
		if want := byte(scramble(1)); value != want {
			return fmt.Errorf("the first byte restored is %#x, not %#x", value, want)
		}
		return nil
	})
	return Reading{Value: float64(took.Nanoseconds()) / 1e3, Bytes: size}, err
}

func (b *restoreBench) touch(pages []uint32) (r Reading, err error) {
	o := lazyOptions(b.size)
	o.NoPrefetch = true
	h, err := cowheap.Open(b.path(b.size), o)
	if err != nil {
		return Reading{}, err
	}
	defer func() { err = errors.Join(err, h.Close()) }()
	var took time.Duration
	err = h.View(func(m *cowheap.Mem) error {
		chunks, err := chunksOf(m)
		if err != nil {
			return err
		}
		const each = mib / pageSize
		sum := byte(0)
		start := time.Now()
		for _, p := range pages {
			sum += chunks[p/each][p%each*pageSize]
		}
		took = time.Since(start)
		want := byte(0)
		for _, p := range pages {
			want += byte(scramble(uint64(p)*pageSize/8 + 1))
		}
		if sum != want {
			return fmt.Errorf("what was restored adds up to %#x, not %#x", sum, want)
		}
		return nil
	})
	return Reading{Value: float64(took.Nanoseconds()) / float64(len(pages)), Bytes: b.size}, err
}
