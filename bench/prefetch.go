package main

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/cowheap/cowheap/cowheap"
)

// The case "prefetch": what does it help a lazy restore to know which pages were touched the last time?
//
// A heap is saved, and its file is taken out of the page cache as far as a process without privileges can (fsync,
// POSIX_FADV_DONTNEED). Then 10,000 queries are asked, one after the other, from the lazy Open on: each reads a word of
// a page drawn by zipf over all pages in an order of chance, so that hot pages are no neighbours. One that
// takes more than 100 us is asked again after the others. The figure is the time from the call of Open until 99 % of
// them have been answered within 100 us.
//
//   - zipf-0.99: the exponent of YCSB. Of some 5,000 pages that a sample of 1 GiB asks for two thirds are in no other of four
//     samples: nobody can learn those.
//   - zipf-1.2: a program that comes back to what it works with.
//   - same: a program that asks for the same each time it comes up: one sample of zipf-0.99. So do, nearly, functions that are
//     restored for each request (REAP: Ustiugov et al., ASPLOS 2021).
//
//   - plain: without Options.Learn. Everything is brought in in the background all the same.
//   - learned: after three restores with other samples of the same distribution, which are not measured.
//   - first: the first restore that learns, which reads the file ahead instead of bringing it in.
//
// Not measured: a disk that is slow to seek, unless -dir is on one.

const (
	prefetchPlain   = "plain"
	prefetchLearned = "learned"
	prefetchFirst   = "first"
	prefetchFlat    = "/zipf-0.99"
	prefetchSteep   = "/zipf-1.2"
	prefetchSame    = "/same"

	prefetchQueries = 10_000
	prefetchLimit   = 100 * time.Microsecond
	prefetchLessons = 3
)

func prefetchCase() *Case {
	return &Case{
		Name:  "prefetch",
		About: "a lazy restore that knows what was touched the last time",
		Size:  1 * gib,
		Quick: 32 * mib,
		Variants: []Variant{
			{prefetchPlain + prefetchFlat, "ms", prefetchPlain + prefetchFlat},
			{prefetchLearned + prefetchFlat, "ms", prefetchPlain + prefetchFlat},
			{prefetchPlain + prefetchSteep, "ms", prefetchPlain + prefetchSteep},
			{prefetchLearned + prefetchSteep, "ms", prefetchPlain + prefetchSteep},
			{prefetchPlain + prefetchSame, "ms", prefetchPlain + prefetchSame},
			{prefetchLearned + prefetchSame, "ms", prefetchPlain + prefetchSame},
			{prefetchFirst + prefetchSame, "ms", prefetchPlain + prefetchSame},
		},
		Bounds: []Bound{
			{prefetchLearned + prefetchFlat, "<=", 0.5, prefetchPlain + prefetchFlat},
			{prefetchLearned + prefetchSteep, "<=", 0.5, prefetchPlain + prefetchSteep},
			{prefetchLearned + prefetchSame, "<=", 0.5, prefetchPlain + prefetchSame},
		},
		Open: openPrefetch,
	}
}

// prefetchBench has a directory with one checkpoint.
type prefetchBench struct {
	dir     string
	size    int64
	pages   []uint32 // by how often they are asked for
	sample  uint64   // another one for each restore
	lessons int
}

func openPrefetch(s Setup) (Bench, error) {
	b := &prefetchBench{dir: filepath.Join(s.Dir, "prefetch"), size: s.Size, lessons: prefetchLessons}
	if s.Quick {
		b.lessons = 1
	}
	n := int(b.size / pageSize)
	b.pages = samplePages(n, n)
	return b, saveBulk(b.dir, b.size)
}

func (b *prefetchBench) Close() error { return nil }

// Measure restores once; learning the set anew each time, so that the variants do not depend on their order.
func (b *prefetchBench) Measure(variant string) (Reading, error) {
	way, of, _ := strings.Cut(variant, "/")
	if way == prefetchPlain {
		took, err := b.ask(of, true)
		return Reading{Value: took, Bytes: b.size}, err
	}
	sets, err := filepath.Glob(filepath.Join(b.dir, "*.touched"))
	for _, path := range sets {
		err = errors.Join(err, os.Remove(path))
	}
	lessons := b.lessons
	if way == prefetchFirst {
		lessons = 0
	}
	for range lessons {
		_, e := b.ask(of, false)
		err = errors.Join(err, e)
	}
	if err != nil {
		return Reading{}, err
	}
	took, err := b.ask(of, false)
	return Reading{Value: took, Bytes: b.size}, err
}

// ask opens the heap and asks until enough queries have been answered in time. In milliseconds.
func (b *prefetchBench) ask(of string, plain bool) (took float64, err error) {
	queries, err := b.queries(of)
	if err = errors.Join(err, evict(b.dir)); err != nil {
		return 0, err
	}
	o := lazyOptions(b.size)
	o.Learn = !plain
	start := time.Now()
	h, err := cowheap.Open(b.dir, o)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, h.Stats().LearnErr, h.Close()) }()
	return took, h.View(func(m *cowheap.Mem) error {
		chunks, err := chunksOf(m)
		if err != nil {
			return err
		}
		const each = mib / pageSize
		answered, last := 0, time.Now()
		for len(queries) > 0 {
			var again []uint32
			for _, p := range queries {
				word := chunks[p/each][p%each*pageSize]
				now := time.Now()
				if now.Sub(last) > prefetchLimit {
					again = append(again, p)
				} else if answered++; answered == prefetchQueries*99/100 {
					took = float64(now.Sub(start).Nanoseconds()) / 1e6
				}
				last = now
				if want := byte(scramble(uint64(p)*pageSize/8 + 1)); word != want {
					return fmt.Errorf("page %d begins with %#x, not %#x", p, word, want)
				}
			}
			queries = again
		}
		return nil
	})
}

// queries is another sample of the distribution, or the same one again.
func (b *prefetchBench) queries(of string) ([]uint32, error) {
	if "/"+of == prefetchSame {
		return b.draw(0.99, 0), nil
	}
	b.sample++
	exponent, err := strconv.ParseFloat(strings.TrimPrefix(of, "zipf-"), 64)
	return b.draw(exponent, b.sample), err
}

// draw is sample number sample.
func (b *prefetchBench) draw(exponent float64, sample uint64) []uint32 {
	source := rand.New(rand.NewPCG(sample, 1<<13))
	n := float64(len(b.pages))
	queries := make([]uint32, prefetchQueries)
	for i := range queries {
		// The inverse of the distribution's integral: exact enough for ranks beyond the first few.
		s := 1 - exponent
		rank := math.Pow(source.Float64()*(math.Pow(n, s)-1)+1, 1/s)
		queries[i] = b.pages[min(int(rank), len(b.pages))-1]
	}
	return queries
}
