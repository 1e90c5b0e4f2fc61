package main

import (
	"slices"
	"strconv"
	"strings"
)

// picture is a plot that nothing has to be drawn by hand for: which figures of which case are in it,
// and what a stranger has to be told. Those of one unit that are lines (the last part of their names is
// a number) are drawn as lines, the others as rows.
type picture struct {
	file, title, note string
	unit              string   // "": that of the first figure
	prefix, suffix    string   // of the variants, cut off
	leave             []string // what is not in it: parts of names
	x                 string   // title of the x axis of lines
	more              bool     // more is better, although the unit does not say so
	bare              bool     // the case's size does not matter
}

// pictures are those of the cases, in order.
var pictures = map[string][]picture{
	"seed": {{title: "Write-protecting memory that nobody has touched", unit: "us",
		note: "wp-unpopulate: one UFFDIO_WRITEPROTECT over all of it, as cowheap does. pre-read and madvise bring every page in first, as was needed before Linux 6.4. " +
			"default: protects nothing, the least that a call costs. thp: huge pages."}},
	"containers": {
		{file: "containers-uint64", title: "An operation on a container, keys are numbers", suffix: "/" + keysUint64, note: containersNote},
		{file: "containers-string20", title: "An operation on a container, keys are strings of 20 bytes", suffix: "/" + keysString, note: containersNote},
	},
	"gc": {{title: "One garbage collection in a program with many records", unit: "us",
		note: "64 bytes a record. pointers: map[string]*record; flat: map[[20]byte]record, nothing to follow; heap-map: a cowheap Map, outside the Go heap; nothing: no records. " +
			"wall: how long it takes; cpu: what it takes of all processors."}},
	"snapshot-tax": {
		{file: "snapshot-tax-latency", title: "What single operations take before, while and after a snapshot is taken and read", unit: "ns", leave: []string{"/p99/"}, note: snapshotTaxNote +
			" Percentiles are of time: at 99.9% of all instants the operation under way takes no longer than p99.9."},
		{file: "snapshot-tax-rate", title: "Operations a millisecond before, while and after a snapshot is taken and read", unit: "1/ms", note: snapshotTaxNote},
	},
	"fork": {
		{title: "A second state that starts as the first and may be written", unit: "ms",
			note: "open: until it is there; touch1: and 1% of its pages are written; touchall: and all are; populate: and all has been brought in. fork: fork(2) of a process with as much memory; " +
				"memcpy: a plain copy; userfault, shadow, mprotect, copy: guards of cowheap."},
		{file: "fork-memory", title: "Memory that it takes to read the whole state as of an instant", unit: "MiB",
			note: "loads: through a second state; readat: by Snapshot.ReadAt. By guard of cowheap."},
	},
	"alloc": {
		{title: "Allocating and freeing an object", unit: "ns", bare: true,
			note: "now: freed at once; set: 100,000 objects live, another in the place of one at random. 16 to 4096: bytes. one: one goroutine; all: one a processor. new: Go's, with its collector on."},
		{file: "alloc-gc", title: "What the collector takes of the processors' time meanwhile, where Go's new allocates", unit: "%", prefix: allocGC + "/", bare: true,
			note: "cowheap's allocator has no collector."},
		{file: "alloc-dirty", title: "Pages of the allocator's own memory that 1,000 allocations change", unit: "pages", bare: true,
			note: "What a snapshot has to preserve beside the objects."},
	},
	"checkpoint": {{title: "Writing a heap to disk", unit: "GB/s",
		note: "plain: a file of as many bytes, written in pieces of a mebibyte and made as safe: fsync, rename, fsync of the directory."}},
	"store": {
		{title: "Time of a checkpoint, by the share of the pages that were written since the last", unit: "ms", prefix: "time/",
			note: "full: all pages. near: one beside the other; spread: at random."},
		{file: "store-bytes", title: "Bytes of an incremental checkpoint over those of the pages that were written", unit: "x", prefix: "bytes/",
			note: "1 x is as many bytes as were written. near: one page beside the other; spread: at random, where each region has a header of its own."},
		{file: "store-compress", title: "Writing a checkpoint of an index of words to nowhere", unit: "MB/s", prefix: "compress/", bare: true, note: "Pages that go in, a second, by compression."},
		{file: "store-ratio", title: "How many times smaller compression makes that checkpoint", unit: "x", prefix: "ratio/", more: true, bare: true, note: "By compression."},
		{file: "store-verify", title: "Verifying a checkpoint, beside reading its file and computing CRC32-C", unit: "GB/s",
			note: "verify: Image.Verify on all processors; crc/one: a plain read with checksums by one goroutine; crc/all: by one a processor. The file is in the page cache."},
		{file: "store-open", title: "Opening a state that is in several files", unit: "ms", prefix: "open/", x: "files", note: "cowheap.Open: all is read, verified and in memory. Another 1% of the pages in each file."},
		{file: "store-image", title: "Opening the files alone", unit: "us", prefix: "image/", x: "files", note: "checkpoint.OpenImage: what is around the blocks is read. Another 1% of the pages in each file."},
	},
	"restore": {
		{title: "Eager restore: everything read, verified and copied in", unit: "GB/s", note: "copy: UFFDIO_COPY of as many bytes and nothing else, the least that it could do."},
		{file: "restore-open", title: "Lazy restore: from Open until the first byte has been read", unit: "us", prefix: "lazy-open/", bare: true,
			note: "large is 64 times the state of small (4 GiB and 64 MiB unless -size says otherwise)."},
		{file: "restore-touch", title: "Lazy restore: the first touch of a page that is not there yet", unit: "ns", prefix: "lazy-touch/", note: "Files are in the page cache."},
	},
	"prefetch": {{title: "From a lazy Open until 99% of 10,000 queries were answered within 100 us", unit: "ms",
		note: "File not in the page cache. learned: the heap knows what was touched in earlier runs; plain: it does not; first: it learns. zipf: how uneven the queries are; same: the same each time."}},
}

const (
	containersNote = "map, btree: cowheap; go-map: Go's map; tidwall, google: their B-trees. all: an entry of a loop over everything; range: a loop over 100 entries; update/: in an Update. " +
		"frozen: first writes under a snapshot; thawed: the same without one."
	snapshotTaxNote = "One entry for 64 bytes. map, btree: cowheap; tidwall: btree.Map and its Copy; memdb: go-memdb, whose transactions copy what they write; full-copy: Go's map, copied with everybody held."
)

// plotPictures are those that a case has.
func plotPictures(c *measuredCase) (all []*plot) {
	for _, p := range pictures[c.Case] {
		note := p.note
		if !p.bare {
			note = sizeNote(c) + note
		}
		for i, one := range drawFigures(p.title, note, p.x, p.figures(c)) {
			if one.more = one.more || p.more; p.file != "" {
				if one.file = p.file; i > 0 {
					one.file += "-" + strconv.Itoa(i+1)
				}
			}
			all = append(all, one)
		}
	}
	return all
}

// figures are those of the picture, without what their names have in common.
func (p *picture) figures(c *measuredCase) (of []figureLine) {
	for _, f := range c.Figures {
		name := f.Variant
		if !strings.HasPrefix(name, p.prefix) || !strings.HasSuffix(name, p.suffix) || p.unit != "" && f.Unit != p.unit ||
			slices.ContainsFunc(p.leave, func(part string) bool { return strings.Contains(name+"/", part) }) {
			continue
		}
		f.Variant = strings.TrimSuffix(name, p.suffix)
		if rest := strings.TrimPrefix(f.Variant, p.prefix); p.x == "" {
			f.Variant = rest
		}
		of = append(of, f)
	}
	return of
}
