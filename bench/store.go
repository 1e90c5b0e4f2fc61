package main

import (
	"errors"
	"fmt"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/cowheap/cowheap/checkpoint"
	"github.com/cowheap/cowheap/cowheap"
)

// The case "store": what checkpoints cost that are incremental, compressed, verified,
// or in many files.
//
//   - time: Heap.Checkpoint of a tracked heap full of data, from the snapshot to the
//     moment when it survives a crash of the machine: full, and after 0.1, 1 and 10 % of the
//     pages were written, spread at random or one beside the other (near).
//     Removing what is not kept any more is in none of the times.
//   - bytes: of the file of such a checkpoint without its index (8 bytes for each 2 MiB
//     of the arena), over those of the pages that were written. What is more than 1 are headers, of the
//     file and of blocks: regions with few changes share one, so that spread pages cost no more
//     than near ones. Near pages cost more where the guard takes neighbours of the first and last along.
//   - compress: writing a full checkpoint of an index of words (see words) to nowhere, in MB
//     (10^6 bytes) of pages a second. ratio: how many times smaller that makes it.
//   - verify: Image.Verify of a full checkpoint in one file, on all processors. crc/one and
//     crc/all: a plain read of the same file with CRC32-C of every byte, 1 MiB at a
//     time, by one goroutine and by one a processor.
//   - open: cowheap.Open of a state in 1, 10 and 50 files, each of which has another 1 % of
//     the pages, spread: everything is read, verified and in memory. image:
//     checkpoint.OpenImage and Close of the same, which reads what is around the blocks.
//
// The disk is that of -dir: time waits for it. What is read is in the page cache, if memory
// allows. Nobody writes meanwhile, and what tracking costs writers is in the case fault.
func storeCase() *Case {
	c := &Case{
		Name:  "store",
		About: "incremental, compressed, verified and chained checkpoints",
		Size:  gib,
		Quick: 32 * mib,
		Open:  openStore,
		Bounds: []Bound{
			{Left: "bytes/1%/near", Op: "<=", Factor: 1.05},
			{Left: "bytes/1%/spread", Op: "<=", Factor: 1.05},
			{Left: "time/1%/near", Op: "<=", Factor: 0.05, Right: "time/full"},
			{Left: "time/1%/spread", Op: "<=", Factor: 0.05, Right: "time/full"},
			{Left: "verify", Op: ">=", Factor: 0.8, Right: "crc/one"},
			{Left: "verify", Op: ">=", Factor: 0.8, Right: "crc/all"},
			{Left: "open/50", Op: "<=", Factor: 3, Right: "open/1"},
		},
		Variants: []Variant{{"time/full", "ms", ""}},
	}
	for _, share := range []string{"0.1%", "1%", "10%"} {
		for _, where := range []string{storeNear, storeSpread} {
			c.Variants = append(c.Variants,
				Variant{"time/" + share + "/" + where, "ms", "time/full"},
				Variant{"bytes/" + share + "/" + where, "x", ""})
		}
	}
	c.Variants = append(c.Variants, Variant{"bytes/full", "x", ""})
	for _, kind := range []string{"none", "s2", "zstd"} {
		c.Variants = append(c.Variants, Variant{"compress/" + kind, "MB/s", "compress/none"}, Variant{"ratio/" + kind, "x", ""})
	}
	c.Variants = append(c.Variants, Variant{"verify", "GB/s", "crc/one"}, Variant{"crc/one", "GB/s", ""}, Variant{"crc/all", "GB/s", "crc/one"})
	for _, n := range storeChains {
		c.Variants = append(c.Variants, Variant{fmt.Sprintf("open/%d", n), "ms", "open/1"}, Variant{fmt.Sprintf("image/%d", n), "us", "image/1"})
	}
	return c
}

const (
	storeNear   = "near"
	storeSpread = "spread"
)

// storeChains are the numbers of files that a state is in.
var storeChains = []int{1, 10, 50}

// storeBench makes what a variant needs when that is measured first.
type storeBench struct {
	dir   string
	size  int64
	heap  *cowheap.Heap     // full of chunks, tracked
	text  *cowheap.Heap     // full of words
	words *cowheap.Snapshot // of text
	files []string          // of a chain, the full one first
	turn  uint64            // of writing to heap: other pages each time
}

func openStore(s Setup) (Bench, error) { return &storeBench{dir: s.Dir, size: s.Size}, nil }

func (b *storeBench) Close() error {
	var errs []error
	if b.words != nil {
		errs = append(errs, b.words.Close())
	}
	for _, h := range []*cowheap.Heap{b.heap, b.text} {
		if h != nil {
			errs = append(errs, h.Close())
		}
	}
	return errors.Join(errs...)
}

// Measure does once what the variant's name says.
func (b *storeBench) Measure(variant string) (Reading, error) {
	what, rest, _ := strings.Cut(variant, "/")
	switch what {
	case "time", "bytes":
		share, where, _ := strings.Cut(rest, "/")
		return b.save(what, share, where)
	case "compress", "ratio":
		compression, err := checkpoint.ParseCompression(rest)
		if err != nil {
			return Reading{}, err
		}
		return b.compress(what, compression)
	}
	if err := b.needChain(); err != nil {
		return Reading{}, err
	}
	switch variant {
	case "verify":
		return b.verify()
	case "crc/one":
		return b.plainRead(1)
	case "crc/all":
		return b.plainRead(runtime.GOMAXPROCS(0))
	}
	var files int
	if _, err := fmt.Sscan(rest, &files); err != nil {
		return Reading{}, err
	}
	if what == "image" {
		return b.openImage(files)
	}
	return b.open(files)
}

// chainDir has the first files of the chain.
func (b *storeBench) chainDir(files int) string {
	return filepath.Join(b.dir, fmt.Sprintf("chain-%d", files))
}
