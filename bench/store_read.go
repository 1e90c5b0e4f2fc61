package main

import (
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cowheap/cowheap/checkpoint"
	"github.com/cowheap/cowheap/cowheap"
)

// needChain saves the longest chain, and gives each length a directory of links to its files.
func (b *storeBench) needChain() (err error) {
	if b.files != nil {
		return nil
	}
	h, info, err := openTracked(filepath.Join(b.dir, "chain"), b.size)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, h.Close()) }()
	files := []string{info.Path}
	pages := int(b.size / pageSize)
	for n := uint64(1); len(files) < slices.Max(storeChains); n++ {
		if err := writeChunks(h, storePages(n, pages, max(1, pages/100), storeSpread), n); err != nil {
			return err
		}
		if info, err = h.Checkpoint(background); err != nil {
			return err
		}
		if files = append(files, info.Path); info.Chain != len(files) {
			return fmt.Errorf("checkpoint %d is in %d files", len(files), info.Chain)
		}
	}
	for _, n := range storeChains {
		if err := os.Mkdir(b.chainDir(n), 0o777); err != nil {
			return err
		}
		for _, file := range files[:n] {
			if err := os.Link(file, filepath.Join(b.chainDir(n), filepath.Base(file))); err != nil {
				return err
			}
		}
	}
	b.files = files
	return nil
}

// open opens a state in so many files, and has all of it.
func (b *storeBench) open(files int) (r Reading, err error) {
	start := time.Now()
	h, err := cowheap.Open(b.chainDir(files), bulkOptions(b.size))
	if err != nil {
		return Reading{}, err
	}
	took := time.Since(start)
	defer func() { err = errors.Join(err, h.Close()) }()
	if info, skipped := h.Origin(); info.Chain != files || len(skipped) > 0 {
		return Reading{}, fmt.Errorf("opened a state in %d files, not %d; passed over: %v", info.Chain, files, skipped)
	}
	err = h.View(func(m *cowheap.Mem) error {
		chunks, err := chunksOf(m)
		if err != nil {
			return err
		}
		return checkBulk(chunks, int(b.size/pageSize)-1)
	})
	return Reading{Value: float64(took.Nanoseconds()) / 1e6, Bytes: b.size}, err
}

// openImage opens the files only.
func (b *storeBench) openImage(files int) (Reading, error) {
	path := filepath.Join(b.chainDir(files), filepath.Base(b.files[files-1]))
	start := time.Now()
	im, err := checkpoint.OpenImage(path)
	if err != nil {
		return Reading{}, err
	}
	chain := im.Info().Chain
	err = im.Close()
	took := time.Since(start)
	if chain != files {
		err = errors.Join(err, fmt.Errorf("opened %d files, not %d", chain, files))
	}
	return Reading{Value: float64(took.Nanoseconds()) / 1e3, Bytes: b.size}, err
}

func (b *storeBench) verify() (_ Reading, err error) {
	im, err := checkpoint.OpenImage(b.files[0])
	if err != nil {
		return Reading{}, err
	}
	defer func() { err = errors.Join(err, im.Close()) }()
	start := time.Now()
	for range readPasses {
		if err := im.Verify(background, nil); err != nil {
			return Reading{}, err
		}
	}
	return readPerSecond(im.Info().Bytes, time.Since(start)), nil
}

// readPasses is how often a file is read: once takes less time than what else the machine does.
const readPasses = 8

func readPerSecond(bytes int64, took time.Duration) Reading {
	r := perSecond(bytes, took)
	r.Value *= readPasses
	return r
}

// plainRead reads what verify reads, and sums all of it.
func (b *storeBench) plainRead(workers int) (_ Reading, err error) {
	file, err := os.Open(b.files[0])
	if err != nil {
		return Reading{}, err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	var bytes int64
	start := time.Now()
	for range readPasses {
		if bytes, err = sumFile(file, workers); err != nil {
			return Reading{}, err
		}
	}
	return readPerSecond(bytes, time.Since(start)), nil
}

// sumFile is CRC32-C over each mebibyte of a file, by several goroutines.
func sumFile(file *os.File, workers int) (bytes int64, err error) {
	table := crc32.MakeTable(crc32.Castagnoli)
	var next, read atomic.Int64
	var all sync.WaitGroup
	errs := make([]error, workers)
	for w := range workers {
		all.Go(func() {
			buf := make([]byte, mib)
			for errs[w] == nil {
				n, err := file.ReadAt(buf, next.Add(mib)-mib)
				crc32.Update(0, table, buf[:n])
				read.Add(int64(n))
				errs[w] = err
			}
		})
	}
	all.Wait()
	for _, err := range errs {
		if err != io.EOF {
			return 0, err
		}
	}
	return read.Load(), nil
}
