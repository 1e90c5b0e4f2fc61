package main

import (
	"fmt"
	"strings"
)

// The case "alloc": what an object costs to allocate and free, through cowheap's Alloc
// and Free inside Update, beside Go's new.
//
//	now   allocate, free at once
//	set   100,000 objects live; free one at random, allocate another in its place
//
// The figure is wall time over the number of pairs that all goroutines did: one
// goroutine, or one a processor, each with objects of its own. Go frees nothing by
// hand: its variants drop the object, with the collector on, GOGC=100; gc is how much
// of the processors' time that took. dirty is how many pages of the
// allocator's own memory 1,000 allocations change in a heap of random small objects
// of which one in ten was freed: what a snapshot pays on top of the objects.
func allocCase() *Case {
	c := &Case{
		Name:  "alloc",
		About: "allocate and free an object, beside Go's new and its collector",
		Size:  gib,
		Quick: 8 * mib,
		Open:  openAlloc,
		Bounds: []Bound{
			{Left: allocName(allocHeap, "now", 64, "one"), Op: "<=", Factor: 60},
			{Left: allocName(allocHeap, "now", 64, "all"), Op: "<=", Factor: 1 / 1.6, Right: allocName(allocHeap, "now", 64, "one")},
			{Left: allocName(allocHeap, "set", 64, "all"), Op: "<=", Factor: 1 / 1.6, Right: allocName(allocHeap, "set", 64, "one")},
			{Left: allocDirty, Op: "<=", Factor: 20},
		},
	}
	for _, pattern := range []string{"now", "set"} {
		for _, size := range allocSizes {
			for _, on := range []string{"one", "all"} {
				gc := allocName(allocGo, pattern, size, on)
				c.Variants = append(c.Variants,
					Variant{Name: allocName(allocHeap, pattern, size, on), Unit: "ns", Reference: gc},
					Variant{Name: gc, Unit: "ns"},
					Variant{Name: allocName(allocGC, pattern, size, on), Unit: "%"},
				)
			}
		}
	}
	c.Variants = append(c.Variants, Variant{Name: allocDirty, Unit: "pages"})
	return c
}

const (
	allocHeap  = "cowheap"
	allocGo    = "new"
	allocGC    = "gc"
	allocDirty = "dirty"
)

var allocSizes = []int{16, 64, 256, 4096}

func allocName(who, pattern string, size int, on string) string {
	return fmt.Sprintf("%s/%s/%d/%s", who, pattern, size, on)
}

// allocVariant is what a name stands for.
type allocVariant struct {
	who     string
	set     bool
	size    int
	workers int
}

func parseAllocVariant(name string, processors int) (v allocVariant, err error) {
	parts := strings.Split(name, "/")
	v = allocVariant{who: parts[0], set: parts[1] == "set", workers: 1}
	if parts[3] == "all" {
		v.workers = processors
	}
	_, err = fmt.Sscan(parts[2], &v.size)
	return v, err
}
