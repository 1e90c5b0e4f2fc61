package main

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/cowheap/cowheap/checkpoint"
	"github.com/cowheap/cowheap/cowheap"
)

// storeOptions are those of a heap whose checkpoints are incremental, and are not folded
// behind the clock's back.
func storeOptions(size int64) *cowheap.Options {
	o := bulkOptions(size)
	o.Track, o.MaxChain = true, checkpoint.MaxChain
	return o
}

// openTracked makes a heap full of chunks in dir, and its first checkpoint.
func openTracked(dir string, size int64) (h *cowheap.Heap, info checkpoint.Info, err error) {
	if h, err = cowheap.Open(dir, storeOptions(size)); err != nil {
		return nil, info, err
	}
	if err = fillBulk(h, size); err == nil {
		info, err = h.Checkpoint(background)
	}
	if err != nil {
		return nil, info, errors.Join(err, h.Close())
	}
	return h, info, nil
}

// save measures one checkpoint after a share of the pages was written. A full one is that of
// a heap of which everything was: the same call on the same heap.
func (b *storeBench) save(what, share, where string) (r Reading, err error) {
	if b.heap == nil {
		if b.heap, _, err = openTracked(filepath.Join(b.dir, "saves"), b.size); err != nil {
			return Reading{}, err
		}
	}
	pages := int(b.size / pageSize)
	percent := 100.0
	if share != "full" {
		if _, err := fmt.Sscan(strings.TrimSuffix(share, "%"), &percent); err != nil {
			return Reading{}, err
		}
	}
	count := max(1, int(float64(pages)*percent/100))
	b.turn++
	if err := writeChunks(b.heap, storePages(b.turn, pages, count, where), b.turn); err != nil {
		return Reading{}, err
	}
	start := time.Now()
	info, err := b.heap.Checkpoint(background)
	took := time.Since(start)
	switch {
	case err != nil:
		return Reading{}, err
	case info.Incremental == (share == "full"):
		return Reading{}, fmt.Errorf("a checkpoint after %d of %d pages were written: incremental is %v", count, pages, info.Incremental)
	case info.Pages < int64(count):
		return Reading{}, fmt.Errorf("a checkpoint has %d pages, %d were written", info.Pages, count)
	}
	if share == "full" {
		// The next one of any kind removes the last full one and what was incremental to it.
		if err := b.removeOld(); err != nil {
			return Reading{}, err
		}
	}
	r = Reading{Value: float64(took.Nanoseconds()) / 1e6, Bytes: info.Bytes, Dirty: percent}
	if what == "bytes" {
		index := 8 * ((info.Size + blockSize - 1) / blockSize)
		r.Value = float64(info.Bytes-index) / float64(count*pageSize)
	}
	return r, nil
}

// removeOld saves a page, so that what the directory does not keep any more is gone.
func (b *storeBench) removeOld() error {
	b.turn++
	if err := writeChunks(b.heap, []uint32{0}, b.turn); err != nil {
		return err
	}
	_, err := b.heap.Checkpoint(background)
	return err
}

// storePages are the pages to write, others each turn.
func storePages(turn uint64, pages, count int, where string) []uint32 {
	if where == storeSpread {
		return anotherSample(turn, pages, count)
	}
	first := int(scramble(turn) % uint64(pages-count+1))
	near := make([]uint32, count)
	for i := range near {
		near[i] = uint32(first + i)
	}
	return near
}

// writeChunks changes a byte of each of the pages, not the first word, which checkBulk knows.
func writeChunks(h *cowheap.Heap, pages []uint32, turn uint64) error {
	return h.Update(func(m *cowheap.Mem) error {
		chunks, err := chunksOf(m)
		if err != nil {
			return err
		}
		const each = mib / pageSize
		for _, p := range pages {
			chunks[p/each][p%each*pageSize+8] += byte(turn) | 1
		}
		return nil
	})
}
