package main

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"time"

	"github.com/cowheap/cowheap/checkpoint"
	"github.com/cowheap/cowheap/cowheap"
)

// wordIndex is the kind of state that examples/quickstart has: paths, words, and small records
// that say which file has which word, and how often.
type wordIndex struct {
	Files  cowheap.Vec[wordFile]
	ByPath cowheap.BTree[string, uint32]
	Words  cowheap.Map[string, wordEntry]
}

type wordFile struct {
	Path  cowheap.String
	Bytes int64
	Words uint64
	Sum   uint32
	_     [4]byte
}

type wordEntry struct {
	Times uint64
	Files cowheap.Vec[wordPosting]
}

type wordPosting struct{ File, Times uint32 }

const (
	wordsName     = "words"
	wordsKnown    = 300_000 // different words, some much more frequent than others
	wordsEach     = 200     // of a file
	wordsMost     = 128 * mib
	wordsPerBatch = 100 // files an Update
)

// needWords fills a heap with an eighth of the size or 128 MiB, whichever is less.
func (b *storeBench) needWords() (err error) {
	if b.words != nil {
		return nil
	}
	want := min(b.size/8, wordsMost)
	if b.text == nil {
		if b.text, err = cowheap.New(bulkOptions(4 * want)); err != nil {
			return err
		}
	}
	rng := rand.New(rand.NewPCG(1, 2))
	frequent := rand.NewZipf(rng, 1.1, 10, wordsKnown-1)
	for file := uint32(0); ; {
		err := b.text.Update(func(m *cowheap.Mem) error {
			root, err := cowheap.Root[wordIndex](m, wordsName)
			if err != nil {
				return err
			}
			for range wordsPerBatch {
				if err := root.Ptr(m).add(m, file, rng, frequent); err != nil {
					return err
				}
				file++
			}
			return nil
		})
		if err != nil {
			return fmt.Errorf("filling a heap with words: %w", err)
		}
		s, err := b.text.Snapshot()
		if err != nil {
			return err
		}
		if s.Size() >= want {
			b.words = s
			return nil
		}
		if err := s.Close(); err != nil {
			return err
		}
	}
}

// add puts a file that nobody wrote into the index.
func (x *wordIndex) add(m *cowheap.Mem, file uint32, rng *rand.Rand, frequent *rand.Zipf) error {
	name := fmt.Sprintf("src/%s/%s/%s_%d.go", spell(uint64(file/400)), spell(uint64(file/20)), spell(uint64(file)), file)
	path, err := cowheap.NewString(m, name)
	if err != nil {
		return err
	}
	record := wordFile{Path: path, Bytes: rng.Int64N(50_000), Words: wordsEach, Sum: rng.Uint32()}
	if err := errors.Join(x.Files.Append(m, record), x.ByPath.Set(m, name, file)); err != nil {
		return err
	}
	for range wordsEach {
		entry, _, err := x.Words.Slot(m, spell(frequent.Uint64()))
		if err != nil {
			return err
		}
		times := 1 + uint32(rng.ExpFloat64()*2)
		entry.Times += uint64(times)
		if err := entry.Files.Append(m, wordPosting{file, times}); err != nil {
			return err
		}
	}
	return nil
}

// spell makes a word of a number, two to five syllables long.
func spell(n uint64) string {
	const consonants, vowels = "bcdfglmnprstvz", "aeiou"
	n = scramble(n + 1)
	var word []byte
	for range 2 + n%4 {
		n /= 4
		word = append(word, consonants[n%uint64(len(consonants))], vowels[n/16%uint64(len(vowels))])
		n = scramble(n)
	}
	return string(word)
}

// compress writes a full checkpoint to nowhere.
func (b *storeBench) compress(what string, compression checkpoint.Compression) (Reading, error) {
	if err := b.needWords(); err != nil {
		return Reading{}, err
	}
	start := time.Now()
	info, err := checkpoint.Write(background, io.Discard, b.words, checkpoint.WriteOptions{Compression: compression})
	if err != nil {
		return Reading{}, err
	}
	took := time.Since(start)
	pages := info.Pages * pageSize
	if what == "ratio" {
		return Reading{Value: float64(pages) / float64(info.Bytes), Bytes: pages}, nil
	}
	return Reading{Value: float64(pages) / 1e6 / took.Seconds(), Bytes: pages}, nil
}
