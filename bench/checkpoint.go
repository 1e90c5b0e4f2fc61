package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/cowheap/cowheap/cowheap"
)

// The case "checkpoint": how fast is a heap written to disk?
//
//   - checkpoint: Heap.Checkpoint of a heap full of data, from the snapshot to the
//     moment when it survives a crash of the machine.
//   - plain: as many bytes from memory into a file, a mebibyte a write, and then
//     the same as a checkpoint does to be safe: fsync, rename, fsync of the
//     directory, and the oldest of three files is removed.
//
// In GB (10^9 bytes) of file a second. Nobody writes to the heap meanwhile: what
// writers lose during a checkpoint is not measured here. The disk is that of
// -dir, and both variants wait for it; a memory file system shows the processor's
// part alone.

const (
	checkpointHeap  = "checkpoint"
	checkpointPlain = "plain"
)

// background is for work that ends by itself.
var background = context.Background()

func checkpointCase() *Case {
	return &Case{
		Name:  "checkpoint",
		About: "writing a heap to disk",
		Size:  1 * gib,
		Quick: 32 * mib,
		Variants: []Variant{
			{checkpointHeap, "GB/s", checkpointPlain},
			{checkpointPlain, "GB/s", checkpointPlain},
		},
		Bounds: []Bound{{checkpointHeap, ">=", 0.8, checkpointPlain}},
		Open:   openCheckpoint,
	}
}

type checkpointBench struct {
	h      *cowheap.Heap
	source *region // of plain writes
	dir    string  // of plain files
	bytes  int64   // of a checkpoint
	kept   []string
}

func openCheckpoint(s Setup) (_ Bench, err error) {
	b := &checkpointBench{dir: filepath.Join(s.Dir, "plain")}
	defer func() {
		if err != nil {
			err = errors.Join(err, b.Close())
		}
	}()
	if err := os.Mkdir(b.dir, 0o777); err != nil {
		return nil, err
	}
	if b.source, err = newRegion(s.Size, false); err != nil {
		return nil, err
	}
	writePages(b.source.all(), 1)
	if b.h, err = cowheap.Open(filepath.Join(s.Dir, "heap"), bulkOptions(s.Size)); err != nil {
		return nil, err
	}
	if err := fillBulk(b.h, s.Size); err != nil {
		return nil, err
	}
	// The first one says how many bytes the other variant has to write.
	_, err = b.Measure(checkpointHeap)
	return b, err
}

func (b *checkpointBench) Close() error {
	var errs []error
	if b.h != nil {
		errs = append(errs, b.h.Close())
	}
	if b.source != nil {
		errs = append(errs, b.source.Unmap())
	}
	return errors.Join(errs...)
}

// Measure writes one file.
func (b *checkpointBench) Measure(variant string) (Reading, error) {
	start := time.Now()
	if variant == checkpointHeap {
		info, err := b.h.Checkpoint(background)
		if err != nil {
			return Reading{}, err
		}
		took := time.Since(start)
		if b.bytes = info.Bytes; b.bytes < int64(b.source.Size()) {
			return Reading{}, fmt.Errorf("a checkpoint of %d bytes of state has %d", b.source.Size(), b.bytes)
		}
		return perSecond(b.bytes, took), nil
	}
	if err := b.plain(); err != nil {
		return Reading{}, err
	}
	return perSecond(b.bytes, time.Since(start)), nil
}

// perSecond is GB/s.
func perSecond(bytes int64, took time.Duration) Reading {
	return Reading{Value: float64(bytes) / float64(took.Nanoseconds()), Bytes: bytes}
}

// plain writes a file as safely as a checkpoint is written, and keeps two.
func (b *checkpointBench) plain() error {
	temp := filepath.Join(b.dir, "new.tmp")
	name := filepath.Join(b.dir, fmt.Sprintf("%d", time.Now().UnixNano()))
	file, err := os.Create(temp)
	if err != nil {
		return err
	}
	err = b.write(file)
	if err == nil {
		err = file.Sync()
	}
	if err = errors.Join(err, file.Close()); err != nil {
		return err
	}
	if err := os.Rename(temp, name); err != nil {
		return err
	}
	if err := syncDir(b.dir); err != nil {
		return err
	}
	if b.kept = append(b.kept, name); len(b.kept) > 2 {
		err = os.Remove(b.kept[0])
		b.kept = b.kept[1:]
	}
	return err
}

// write writes as many bytes as a checkpoint has.
func (b *checkpointBench) write(w io.Writer) error {
	for left := b.bytes; left > 0; {
		at := b.bytes - left
		n := min(left, mib)
		if _, err := w.Write(b.source.Bytes(uint64(at)%(b.source.Size()-mib), uint64(n))); err != nil {
			return err
		}
		left -= n
	}
	return nil
}

// syncDir makes the names in a directory survive a crash.
func syncDir(name string) error {
	dir, err := os.Open(name)
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}
