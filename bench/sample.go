package main

import "math/rand/v2"

// samplePages is count distinct pages out of total, in random order: the same ones at
// every call, so that all variants of all runs write the same. count is at most
// total.
func samplePages(total, count int) []uint32 { return anotherSample(2, total, count) }

// anotherSample is samplePages for one who needs several: seed tells them apart.
func anotherSample(seed uint64, total, count int) []uint32 {
	pages := make([]uint32, total)
	for i := range pages {
		pages[i] = uint32(i)
	}
	source := rand.New(rand.NewPCG(seed, 1<<12))
	for i := range count {
		j := i + source.IntN(total-i)
		pages[i], pages[j] = pages[j], pages[i]
	}
	return pages[:count:count]
}

// pagesInOrder is the first count pages.
func pagesInOrder(count int) []uint32 {
	pages := make([]uint32, count)
	for i := range pages {
		pages[i] = uint32(i)
	}
	return pages
}
