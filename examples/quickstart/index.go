package main

import (
	"fmt"
	"sync"

	"github.com/cowheap/cowheap/cowheap"
)

// Index is the root of the heap: a process that opens a checkpoint finds
// everything from here. Like all types in the heap it holds no Go pointers, hence
// cowheap's String, Vec and Map instead of Go's.
type Index struct {
	// Files are those that are in. It is written in the same Update as the words
	// of a file, so a snapshot shows exactly the files whose words it has.
	Files cowheap.Vec[File]
	// ByPath are the numbers of the files in the order of their paths: the sorted
	// view of Files, written with it.
	ByPath cowheap.BTree[string, uint32]
	// Shards are the words, each in the Map that shardOf says: one Map would do,
	// but then one goroutine at a time could write.
	Shards [shards]cowheap.Map[string, Word]
}

// File is one file. Its number is its place in Index.Files.
type File struct {
	Path  cowheap.String
	Bytes int64
	Words uint64
	Sum   uint32
	_     [4]byte // room for a field: checkpoints made before it stay readable
}

// Word is what is known of a word. It belongs to its Map, and Files with it.
type Word struct {
	Times uint64 // in all files
	Files cowheap.Vec[Posting]
}

// Posting is one file that has a word, and how often.
type Posting struct {
	File, Times uint32
}

// rootName is the name of the Index in the heap.
const rootName = "index"

// shards is many more than goroutines, so that they seldom meet.
const shards = 32

// shardOf must give the same in every process: FNV-1a.
func shardOf(word string) int {
	h := uint32(2166136261)
	for i := range len(word) {
		h = (h ^ uint32(word[i])) * 16777619
	}
	return int(h % shards)
}

// indexer writes to an Index. Its locks are ordinary ones in Go memory: cowheap
// makes snapshots consistent, and leaves it to its users who may write what.
type indexer struct {
	heap  *cowheap.Heap
	root  cowheap.Ref[Index] // a Ref may be kept; pointers are for inside Update
	files sync.Mutex         // guards Index.Files and Index.ByPath
	shard [shards]sync.Mutex // each guards the Index.Shards of its number
}

func newIndexer(heap *cowheap.Heap) (*indexer, error) {
	x := &indexer{heap: heap}
	err := heap.Update(func(m *cowheap.Mem) (err error) {
		x.root, err = cowheap.Root[Index](m, rootName)
		return err
	})
	return x, err
}

// entry is a word of a document, on its way into the heap.
type entry struct {
	word  string
	times uint32
}

// add puts a document into the index. Any number of goroutines may.
func (x *indexer) add(d *document) error {
	// Whatever needs no heap is done before Update, for a snapshot that is asked
	// for meanwhile waits until fn returns.
	var entries [shards][]entry
	for word, times := range d.words {
		s := shardOf(word)
		entries[s] = append(entries[s], entry{word, times})
	}
	// One Update a file: a snapshot has the file whole or not at all. The locks
	// are taken inside. Around Update, a goroutine that holds one could wait for
	// the snapshot, and the snapshot for an Update that waits for the lock.
	err := x.heap.Update(func(m *cowheap.Mem) error {
		index := x.root.Ptr(m)
		file, err := x.addFile(m, index, d)
		if err != nil {
			return err
		}
		for i := range shards {
			s := (int(file) + i) % shards // goroutines begin in different places
			if err := x.addWords(m, index, s, file, entries[s]); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		// The file may be in half: Update undoes nothing. The program ends.
		return fmt.Errorf("adding %s to the index: %w", d.path, err)
	}
	return nil
}

func (x *indexer) addFile(m *cowheap.Mem, index *Index, d *document) (file uint32, err error) {
	x.files.Lock()
	defer x.files.Unlock()
	path, err := cowheap.NewString(m, d.path)
	if err != nil {
		return 0, err
	}
	file = uint32(index.Files.Len())
	err = index.Files.Append(m, File{Path: path, Bytes: d.size, Words: d.total, Sum: d.sum})
	if err != nil {
		path.Clear(m) // nobody else knows it
		return 0, err
	}
	return file, index.ByPath.Set(m, d.path, file)
}

func (x *indexer) addWords(m *cowheap.Mem, index *Index, s int, file uint32, entries []entry) error {
	x.shard[s].Lock()
	defer x.shard[s].Unlock()
	for _, e := range entries {
		word, _, err := index.Shards[s].Slot(m, e.word)
		if err != nil {
			return err
		}
		if err := word.Files.Append(m, Posting{File: file, Times: e.times}); err != nil {
			return err
		}
		word.Times += uint64(e.times)
	}
	return nil
}

// word finds a word, and is nil if no file has it.
func (index *Index) word(m *cowheap.Mem, word string) *Word {
	return index.Shards[shardOf(word)].Ptr(m, word)
}

// words is how many different ones there are.
func (index *Index) words() (n int) {
	for i := range index.Shards {
		n += index.Shards[i].Len()
	}
	return n
}
