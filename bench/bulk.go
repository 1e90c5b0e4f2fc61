package main

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/cowheap/cowheap/cowheap"
)

// chunk is a piece of a heap's state. A mebibyte, so that a sample of pages
// can be found by arithmetic.
type chunk [mib]byte

// bulk is the root of a heap that is full of chunks.
type bulk struct {
	Chunks cowheap.Vec[cowheap.Ref[chunk]]
}

const bulkName = "bulk"

// bulkOptions are those of a heap that is to hold size bytes of chunks.
func bulkOptions(size int64) *cowheap.Options {
	return &cowheap.Options{MaxSize: 2*size + 64*mib}
}

// fillBulk puts size bytes into a heap, none of them zero pages: a checkpoint
// leaves those out.
func fillBulk(h *cowheap.Heap, size int64) error {
	number := uint64(0)
	for range size / mib {
		err := h.Update(func(m *cowheap.Mem) error {
			root, err := cowheap.Root[bulk](m, bulkName)
			if err != nil {
				return err
			}
			ref, err := cowheap.Alloc[chunk](m)
			if err != nil {
				return err
			}
			c := ref.Ptr(m)
			for i := 0; i < len(c); i += 8 {
				number++
				binary.LittleEndian.PutUint64(c[i:], scramble(number))
			}
			return root.Ptr(m).Chunks.Append(m, ref)
		})
		if err != nil {
			return fmt.Errorf("filling a heap: %w", err)
		}
	}
	return nil
}

// scramble spreads a number over 64 bits (the finalizer of SplitMix64); only 0 gives 0.
func scramble(n uint64) uint64 {
	n ^= n >> 30
	n *= 0xbf58476d1ce4e5b9
	n ^= n >> 27
	n *= 0x94d049bb133111eb
	return n ^ n>>31
}

// saveBulk leaves a checkpoint of size bytes of chunks in dir.
func saveBulk(dir string, size int64) (err error) {
	h, err := cowheap.Open(dir, bulkOptions(size))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, h.Close()) }()
	if err := fillBulk(h, size); err != nil {
		return err
	}
	_, err = h.Checkpoint(background)
	return err
}

// chunksOf are the chunks of a heap, valid inside View or Update.
func chunksOf(m *cowheap.Mem) ([]*chunk, error) {
	root, err := cowheap.Root[bulk](m, bulkName)
	if err != nil {
		return nil, err
	}
	refs := root.Ptr(m).Chunks.Slice(m)
	chunks := make([]*chunk, len(refs))
	for i, r := range refs {
		chunks[i] = r.Ptr(m)
	}
	return chunks, nil
}

// checkBulk fails unless the word at the start of a page of the chunks is what
// fillBulk left there.
func checkBulk(chunks []*chunk, page int) error {
	const each = mib / pageSize
	got := binary.LittleEndian.Uint64(chunks[page/each][page%each*pageSize:])
	if want := scramble(uint64(page)*pageSize/8 + 1); got != want {
		return fmt.Errorf("page %d of what was restored starts with %#x, not %#x", page, got, want)
	}
	return nil
}
