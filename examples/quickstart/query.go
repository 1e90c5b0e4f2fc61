package main

import (
	"fmt"
	"strings"

	"github.com/cowheap/cowheap/cowheap"
)

// answer is the reply to a query, in ordinary Go memory.
type answer struct {
	times uint64 // the words occur in the files that have all of them
	files int
	best  string // the file with most of them
	most  uint64
}

func (r answer) String() string {
	if r.files == 0 {
		return "in no file"
	}
	return fmt.Sprintf("%s in %s, most often in %s", plural(r.times, "time"), plural(r.files, "file"), r.best)
}

// find finds the files that have all the words. It only reads, so it may run
// inside View.
func (index *Index) find(m *cowheap.Mem, words []string) (r answer) {
	var hits map[uint32]uint64 // by number of file
	for i, text := range words {
		word := index.word(m, text)
		if word == nil {
			return answer{}
		}
		both := make(map[uint32]uint64)
		for _, p := range word.Files.Slice(m) {
			if times, ok := hits[p.File]; ok || i == 0 {
				both[p.File] = times + uint64(p.Times)
			}
		}
		hits = both
	}
	files := index.Files.Slice(m)
	for file, times := range hits {
		r.files++
		r.times += times
		path := files[file].Path.Get(m)
		if times > r.most || times == r.most && path < r.best {
			r.most, r.best = times, path
		}
	}
	// What Get returns lies in the heap, and is valid only inside View.
	r.best = strings.Clone(r.best)
	return r
}

// directory is a directory at the top of the tree, with what is in and below it, in
// ordinary Go memory.
type directory struct {
	name  string
	files int
	bytes int64
}

// largest finds the directory with most bytes. Files come in the order of their paths,
// so those of a directory come one after the other, and nothing needs to be gathered.
func (index *Index) largest(m *cowheap.Mem) (most directory) {
	files := index.Files.Slice(m)
	var now directory
	for path, file := range index.ByPath.All(m) {
		if int(*file) >= len(files) {
			continue // verify says so
		}
		top, _, below := strings.Cut(path, "/")
		if !below {
			top = "."
		}
		if top != now.name {
			now = directory{name: strings.Clone(top)} // path is valid only inside View
		}
		now.files++
		now.bytes += files[*file].Bytes
		if now.bytes > most.bytes {
			most = now
		}
	}
	return most
}
