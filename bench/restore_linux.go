package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/cowheap/cowheap/internal/uffd"
)

// copy fills fresh memory from the checkpoint's file by UFFDIO_COPY alone.
func (b *restoreBench) copy() (took time.Duration, err error) {
	source, err := mapFile(b.path(b.size), b.size)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, unix.Munmap(source)) }()
	target, err := newRegion(b.size, false)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, target.Unmap()) }()
	fd, err := uffd.Open(uffd.FeatureWriteProtect | uffd.FeatureWPUnpopulated | uffd.FeatureSIGBUS)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, fd.Close()) }()
	if err := fd.Register(target.Addr(), uintptr(b.size), uffd.ModeWP); err != nil {
		return 0, err
	}
	start := time.Now()
	err = copyBlocks(fd, target, addressOf(source), runtime.GOMAXPROCS(0))
	return time.Since(start), err
}

// copyBlocks copies into target, 2 MiB at a time, by several workers.
func copyBlocks(fd *uffd.FD, target *region, source uintptr, workers int) error {
	var next atomic.Uint64
	var all sync.WaitGroup
	errs := make([]error, workers)
	for w := range workers {
		all.Go(func() {
			for errs[w] == nil {
				at := uintptr(next.Add(blockSize) - blockSize)
				if at >= uintptr(target.Size()) {
					return
				}
				_, errs[w] = fd.Copy(target.Addr()+at, source+at, blockSize, 0)
			}
		})
	}
	all.Wait()
	return errors.Join(errs...)
}

// mapFile maps the first size bytes of the one checkpoint in dir, each page of it
// present already. The caller unmaps them.
func mapFile(dir string, size int64) ([]byte, error) {
	names, err := filepath.Glob(filepath.Join(dir, "*.cowheap"))
	if err != nil {
		return nil, err
	}
	if len(names) != 1 {
		return nil, fmt.Errorf("%d checkpoints in %s, not one", len(names), dir)
	}
	file, err := os.Open(names[0])
	if err != nil {
		return nil, err
	}
	defer file.Close()
	mem, err := unix.Mmap(int(file.Fd()), 0, int(size), unix.PROT_READ, unix.MAP_SHARED|unix.MAP_POPULATE)
	if err != nil {
		return nil, fmt.Errorf("mapping %s: %w", names[0], err)
	}
	return mem, nil
}
