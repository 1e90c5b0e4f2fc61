package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// evict takes the checkpoints in dir out of the page cache.
func evict(dir string) error {
	names, err := filepath.Glob(filepath.Join(dir, "*.cowheap"))
	for _, name := range names {
		err = errors.Join(err, evictFile(name))
	}
	return err
}

func evictFile(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := f.Sync(); err != nil { // what is not written yet would stay
		return err
	}
	if err := unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED); err != nil {
		return fmt.Errorf("taking %s out of the page cache: %w", path, err)
	}
	return nil
}
