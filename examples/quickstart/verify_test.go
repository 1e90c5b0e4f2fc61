package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cowheap/cowheap/cowheap"
)

// saveIndex indexes a tree into a directory of checkpoints, with the program's
// own code, and lets change do to the heap what it likes before it is saved.
func saveIndex(t *testing.T, dir string, guard string, change func(m *cowheap.Mem, index *Index) error) (checkpoints string) {
	t.Helper()
	var s settings
	if err := s.parse([]string{"-dir", dir, "-guard", guard}, os.Stderr); err != nil {
		t.Fatal(err)
	}
	checkpoints = t.TempDir()
	heap, err := cowheap.Open(checkpoints, &cowheap.Options{Guard: s.guard})
	if err != nil {
		t.Fatal(err)
	}
	defer heap.Close()
	tree, err := openTree(dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := tree.list(t.Context()); err != nil {
		t.Fatal(err)
	}
	x, err := newIndexer(heap)
	if err != nil {
		t.Fatal(err)
	}
	if err := newBuild(tree, x).run(t.Context(), 2); err != nil {
		t.Fatal(err)
	}
	err = heap.Update(func(m *cowheap.Mem) error { return change(m, x.root.Ptr(m)) })
	if err != nil {
		t.Fatal(err)
	}
	if _, err := heap.Checkpoint(t.Context()); err != nil {
		t.Fatal(err)
	}
	return checkpoints
}

func mustFail(t *testing.T, says string, args ...string) {
	t.Helper()
	out, err := command(t, args...)
	switch {
	case err == nil:
		t.Fatal("no error")
	case !strings.Contains(err.Error(), says):
		t.Errorf("error %q, want one with %q", err, says)
	}
	if strings.Contains(out, "verified:") {
		t.Error("verified nevertheless")
	}
}

func TestDifferentIndexIsNotVerified(t *testing.T) {
	guard := guards(t)[0].String()
	const common = "word0" // in many files
	shard := func(index *Index, word string) *cowheap.Map[string, Word] { return &index.Shards[shardOf(word)] }
	for _, tt := range []struct {
		name   string
		change func(m *cowheap.Mem, index *Index) error
		says   string
	}{
		{"one time more", func(m *cowheap.Mem, index *Index) error {
			index.word(m, common).Times++
			return nil
		}, `in 1 place:` + "\n" + `  "word0": `},
		{"times swapped between files", func(m *cowheap.Mem, index *Index) error {
			postings := index.word(m, common).Files.Slice(m)
			postings[0].Times++
			postings[1].Times--
			return nil
		}, `"word0": `},
		{"a file less for a word", func(m *cowheap.Mem, index *Index) error {
			word := index.word(m, common)
			postings := word.Files.Slice(m)
			word.Times -= uint64(postings[len(postings)-1].Times)
			word.Files.Truncate(m, len(postings)-1)
			return nil
		}, `"word0": `},
		{"a word less", func(m *cowheap.Mem, index *Index) error {
			shard(index, common).Delete(m, common)
			return nil
		}, `"word0": not in the restored index`},
		{"a word more", func(m *cowheap.Mem, index *Index) error {
			_, _, err := shard(index, "phantom").Slot(m, "phantom")
			return err
		}, `"phantom": 0 times in 0 files; recounted: in none`},
		{"a word in a wrong Map", func(m *cowheap.Mem, index *Index) error {
			word, _, err := index.Shards[(shardOf(common)+1)%shards].Slot(m, common)
			if err == nil {
				word.Times = 1
			}
			return err
		}, `belongs into`},
		{"a file less in the sorted view", func(m *cowheap.Mem, index *Index) error {
			for path := range index.ByPath.All(m) {
				index.ByPath.Delete(m, path)
				return nil
			}
			return nil
		}, `in the sorted view, of`},
		{"two files changed about in the sorted view", func(m *cowheap.Mem, index *Index) error {
			first, second := index.Files.Slice(m)[0].Path.Get(m), index.Files.Slice(m)[1].Path.Get(m)
			a, b := index.ByPath.Ptr(m, first), index.ByPath.Ptr(m, second)
			*a, *b = *b, *a
			return nil
		}, `the sorted view has it as file`},
		{"a file less", func(m *cowheap.Mem, index *Index) error {
			index.Files.Truncate(m, index.Files.Len()-1)
			return nil
		}, `recounted: `},
		{"a file twice", func(m *cowheap.Mem, index *Index) error {
			path, err := cowheap.NewString(m, index.Files.Slice(m)[0].Path.Get(m))
			if err != nil {
				return err
			}
			file := index.Files.Slice(m)[0]
			file.Path = path
			return index.Files.Append(m, file)
		}, `twice`},
		{"another file", func(m *cowheap.Mem, index *Index) error {
			return index.Files.Slice(m)[3].Path.Set(m, "elsewhere")
		}, `recounting elsewhere`},
		{"words of a file", func(m *cowheap.Mem, index *Index) error {
			index.Files.Slice(m)[3].Words++
			return nil
		}, `words; in the restored index`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := writeTree(t, forest(40))
			checkpoints := saveIndex(t, dir, guard, tt.change)
			mustFail(t, tt.says, "-dir", dir, "-guard", guard, "-restore", checkpoints)
		})
	}
}

func TestChangedTreeIsNotVerified(t *testing.T) {
	guard := guards(t)[0].String()
	files := forest(10)
	files["same length"] = "one two"
	dir := writeTree(t, files)
	checkpoints := saveIndex(t, dir, guard, func(*cowheap.Mem, *Index) error { return nil })
	path := filepath.Join(dir, "same length")
	if err := os.WriteFile(path, []byte("two one"), 0o666); err != nil {
		t.Fatal(err)
	}
	mustFail(t, "run again", "-dir", dir, "-guard", guard, "-restore", checkpoints)
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	mustFail(t, "recounting same length", "-dir", dir, "-guard", guard, "-restore", checkpoints)
}

func TestDamagedCheckpointIsNotVerified(t *testing.T) {
	dir := writeTree(t, forest(100))
	for _, guard := range guards(t) {
		checkpoints := saveIndex(t, dir, guard.String(), func(*cowheap.Mem, *Index) error { return nil })
		files, err := filepath.Glob(filepath.Join(checkpoints, "*.cowheap"))
		if err != nil || len(files) != 1 {
			t.Fatal(files, err)
		}
		data, err := os.ReadFile(files[0])
		if err != nil {
			t.Fatal(err)
		}
		// A page of the middle: the second process notices at the latest when the
		// page comes in, and crashes if it comes in by a touch.
		for i := range 4096 {
			data[len(data)/2+i] ^= 0xff
		}
		if err := os.WriteFile(files[0], data, 0o666); err != nil {
			t.Fatal(err)
		}
		sandbox(t)
		var out bytes.Buffer
		s := settings{dir: dir, guard: guard, queries: []string{"word0"}}
		err = restart(context.WithoutCancel(t.Context()), s, checkpoints, &out, &out)
		if err == nil || strings.Contains(out.String(), "verified:") {
			t.Errorf("%v: error %v\n%s", guard, err, &out)
		}
	}
}
