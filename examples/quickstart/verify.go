package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/cowheap/cowheap/cowheap"
)

// plain is an index in ordinary Go memory, to compare the heap's with.
type plain struct {
	files []plainFile // in the order of Index.Files
	words map[string][]Posting
	total uint64
}

type plainFile struct {
	path  string
	bytes int64
	words uint64
	sum   uint32
}

// verify compares the restored index with a recount of the files that were in at
// the snapshot: the heap says which. The verdict is for the last line.
func verify(ctx context.Context, heap *cowheap.Heap, root cowheap.Ref[Index], t *tree, out *printer) (verdict string, err error) {
	for err := range heap.Check() {
		return "", fmt.Errorf("the restored heap is damaged: %w", err)
	}
	var files []plainFile
	err = heap.View(func(m *cowheap.Mem) error {
		for _, f := range root.Ptr(m).Files.Slice(m) {
			files = append(files, plainFile{strings.Clone(f.Path.Get(m)), f.Bytes, f.Words, f.Sum})
		}
		return nil
	})
	if err != nil {
		return "", err
	}
	start := time.Now()
	out.heading("Verification: recount in plain Go maps the %s that the checkpoint has", plural(len(files), "file"))
	want, err := recount(ctx, t, files, out)
	if err != nil {
		return "", err
	}
	counted := time.Now()
	out.figure("recounted", span(counted.Sub(start)), "%s, %s different", plural(want.total, "word"), count(len(want.words)))
	var found differences
	err = heap.View(func(m *cowheap.Mem) error {
		found.compare(m, root.Ptr(m), want)
		return nil
	})
	if err == nil {
		err = found.err()
	}
	if err != nil {
		return "", err
	}
	out.figure("compared", span(time.Since(counted)), "every word both ways, with the files that have it and how often")
	return fmt.Sprintf("the restored index is exactly that of the %s in at the snapshot (%s, %s different)",
		plural(len(files), "file"), plural(want.total, "word"), count(len(want.words))), nil
}

// recount indexes files again, without a heap.
func recount(ctx context.Context, t *tree, files []plainFile, out *printer) (*plain, error) {
	p := &plain{files: files, words: make(map[string][]Posting)}
	seen := make(map[string]bool, len(files))
	for i, f := range files {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		if seen[f.path] {
			return nil, fmt.Errorf("%s is in the restored index twice", f.path)
		}
		seen[f.path] = true
		d, err := readDocument(t.fsys, f.path)
		if err != nil {
			return nil, fmt.Errorf("recounting %s, which is in the restored index: %w", f.path, err)
		}
		if d.size != f.bytes || d.sum != f.sum {
			return nil, fmt.Errorf("%s in %s is not the file that was indexed: %d bytes, CRC %08x; in the restored index %d bytes, CRC %08x; if it was changed meanwhile, run again",
				f.path, t.dir, d.size, d.sum, f.bytes, f.sum)
		}
		if d.total != f.words {
			return nil, fmt.Errorf("%s: %s; in the restored index %s", f.path, plural(d.total, "word"), count(f.words))
		}
		for word, times := range d.words {
			p.words[word] = append(p.words[word], Posting{File: uint32(i), Times: times})
		}
		p.total += d.total
		out.progress(int64(i+1), int64(len(files)), "of the files recounted")
	}
	return p, nil
}

// differences are those between an Index and a plain one.
type differences struct {
	n     int
	first []string
}

// compare compares them in both directions: every recounted word is looked up in
// the heap, and every word that the heap's Maps produce must have been recounted.
func (d *differences) compare(m *cowheap.Mem, index *Index, want *plain) {
	for text, postings := range want.words {
		word := index.word(m, text)
		if word == nil {
			d.add("%q: not in the restored index; recounted: in %s", text, plural(len(postings), "file"))
			continue
		}
		var times uint64
		for _, p := range postings {
			times += uint64(p.Times)
		}
		// Files were added in any order, and are recounted in the order of numbers.
		got := slices.SortedFunc(slices.Values(word.Files.Slice(m)), func(a, b Posting) int { return int(a.File) - int(b.File) })
		if word.Times != times || !slices.Equal(got, postings) {
			d.add("%q: %d times in %s; recounted: %d in %s", text, word.Times, plural(len(got), "file"), times, plural(len(postings), "file"))
		}
	}
	for s := range index.Shards {
		for text, word := range index.Shards[s].All(m) {
			if want.words[text] == nil {
				d.add("%q: %d times in %s; recounted: in none", text, word.Times, plural(word.Files.Len(), "file"))
			} else if shardOf(text) != s {
				d.add("%q: in Map %d, belongs into %d", text, s, shardOf(text))
			}
		}
	}
	before := ""
	for path, file := range index.ByPath.All(m) {
		if int(*file) >= len(want.files) || want.files[*file].path != path {
			d.add("%s: the sorted view has it as file %d", path, *file)
		} else if path <= before {
			d.add("%s comes after %s in the sorted view", path, before)
		}
		before = strings.Clone(path)
	}
	if got := index.ByPath.Len(); got != len(want.files) {
		d.add("%s in the sorted view, of %d", plural(got, "file"), len(want.files))
	}
	if got := index.words(); got != len(want.words) {
		d.add("%s different words; recounted: %s", count(got), count(len(want.words)))
	}
}

func (d *differences) add(format string, args ...any) {
	const shown = 5
	if d.n++; d.n <= shown {
		d.first = append(d.first, "\n  "+fmt.Sprintf(format, args...))
	}
}

func (d *differences) err() error {
	if d.n == 0 {
		return nil
	}
	return fmt.Errorf("the restored index differs from the recount in %s:%s", plural(d.n, "place"), strings.Join(d.first, ""))
}
