package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"github.com/cowheap/cowheap/cowheap"
)

// open opens a checkpoint of so many bytes of state, which is made first.
func (b *growthBench) open(bytes int64, lazy bool) (took time.Duration, err error) {
	if err := needMemory(bytes + bytes/8); err != nil {
		return 0, err
	}
	if b.saved != bytes {
		if err := os.RemoveAll(b.dir); err != nil {
			return 0, err
		}
		if err := needDisk(filepath.Dir(b.dir), bytes+bytes/8); err != nil {
			return 0, err
		}
		if err := saveBulk(b.dir, bytes); err != nil {
			return 0, err
		}
		b.saved = bytes
	}
	o := bulkOptions(bytes)
	o.Lazy, o.NoPrefetch = lazy, lazy
	start := time.Now()
	h, err := cowheap.Open(b.dir, o)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, h.Close()) }()
	err = h.View(func(m *cowheap.Mem) error {
		chunks, err := chunksOf(m)
		if err != nil {
			return err
		}
		err = checkBulk(chunks, 0)
		took = time.Since(start)
		return err
	})
	return took, err
}

// needDisk is nil if a directory's file system has so many bytes left.
func needDisk(dir string, bytes int64) error {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return fmt.Errorf("asking how much room %s has: %w", dir, err)
	}
	if have := int64(st.Bavail) * int64(st.Bsize); have < bytes {
		return fmt.Errorf("%s has %d MiB left, and this needs %d (see -dir): %w", dir, have/mib, bytes/mib, errors.ErrUnsupported)
	}
	return nil
}
