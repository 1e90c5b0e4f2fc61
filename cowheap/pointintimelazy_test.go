package cowheap

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"hash/maphash"
	"math/rand/v2"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cowheap/cowheap/checkpoint"

	"github.com/cowheap/cowheap/arena"
)

// library is what is restored lazily.
type library struct {
	Text    Vec[byte]
	Words   Map[string, uint64]
	Numbers Map[uint64, [8]uint64]
	Scratch Vec[uint64] // changed after it was restored; adds up to nothing
}

const (
	textSize    = 5 << 20
	wordCount   = 20_000
	scratchSize = 1 << 18
	pieceSize   = 30_000
)

// readers read the library in the ways in which Go programs read, many of them
// in assembly. text is what should be there from byte at on.
var readers = map[string]func(m *Mem, l *library, at int, text []byte) bool{
	"bytes.Equal": func(m *Mem, l *library, at int, text []byte) bool {
		return bytes.Equal(l.Text.Slice(m)[at:at+len(text)], text)
	},
	"bytes.Index": func(m *Mem, l *library, at int, text []byte) bool {
		return bytes.Index(l.Text.Slice(m)[at:at+len(text)], text[len(text)-20:]) == len(text)-20
	},
	"copy": func(m *Mem, l *library, at int, text []byte) bool {
		b := make([]byte, len(text))
		copy(b, l.Text.Slice(m)[at:])
		return bytes.Equal(b, text)
	},
	"crc32": func(m *Mem, l *library, at int, text []byte) bool {
		return crc32.ChecksumIEEE(l.Text.Slice(m)[at:at+len(text)]) == crc32.ChecksumIEEE(text)
	},
	"maphash": func(m *Mem, l *library, at int, text []byte) bool {
		seed := maphash.MakeSeed()
		return maphash.Bytes(seed, l.Text.Slice(m)[at:at+len(text)]) == maphash.Bytes(seed, text)
	},
	"key of a Go map": func(m *Mem, l *library, at int, text []byte) bool {
		return map[string]bool{string(text): true}[string(l.Text.Slice(m)[at:at+len(text)])]
	},
	"names": func(m *Mem, l *library, at int, _ []byte) bool {
		for i := range 50 {
			n := uint64(at+i) % wordCount
			if v, ok := l.Words.Get(m, wordOf(n)); !ok || v != n {
				return false
			}
		}
		_, ok := l.Words.Get(m, fmt.Sprint("no word ", at))
		return !ok
	},
	"numbers": func(m *Mem, l *library, at int, _ []byte) bool {
		for i := range 50 {
			n := uint64(at+i) % wordCount
			if p := l.Numbers.Ptr(m, n); p == nil || *p != [8]uint64{n, 7: n} {
				return false
			}
		}
		return true
	},
}

func wordOf(n uint64) string { return strings.Repeat("word ", int(n%7)) + fmt.Sprint(n) }

// fillLibrary saves a library in dir, and returns its text.
func fillLibrary(t testing.TB, dir string) (text []byte, root Ref[library]) {
	t.Helper()
	text = make([]byte, textSize)
	rng := rand.NewChaCha8([32]byte{1})
	have[int](t)(rng.Read(text))
	h := have[*Heap](t)(Open(dir, nil))
	defer closing(t, h)
	err := h.Update(func(m *Mem) (err error) {
		if root, err = Root[library](m, "library"); err != nil {
			return err
		}
		l := root.Ptr(m)
		for n := range uint64(wordCount) {
			err = errors.Join(err, l.Words.Set(m, wordOf(n), n), l.Numbers.Set(m, n, [8]uint64{n, 7: n}))
		}
		scratch := make([]uint64, scratchSize) // no page of zeros, which would not be in the file
		for i := range uint64(scratchSize / 2) {
			scratch[i], scratch[scratchSize-1-i] = i+1, -(i + 1)
		}
		return errors.Join(err, l.Text.Append(m, text...), l.Scratch.Append(m, scratch...))
	})
	if err != nil {
		t.Fatal(err)
	}
	_ = have[checkpoint.Info](t)(h.Checkpoint(t.Context()))
	return text, root
}

// lazyReadsAreRight opens a library lazily, again and again. While its pages come
// in, by readers, by a writer and by the prefetch, snapshots are taken.
func lazyReadsAreRight(t *testing.T, o *Options) {
	dir := memoryDir(t)
	text, root := fillLibrary(t, dir)
	rng := rand.New(rand.NewPCG(3, 3))
	opened, snapshots, missing := 0, 0, int64(0)
	for end := time.Now().Add(*pointInTimeFor); time.Now().Before(end) && !t.Failed(); opened++ {
		o.NoPrefetch = opened%2 == 0
		o.Arming, o.Track = arena.Arming(opened/2%3), opened/6%2 == 0
		h := have[*Heap](t)(Open(dir, o))
		var early *Snapshot // open all the time
		if rng.IntN(2) == 0 {
			early = have[*Snapshot](t)(h.Snapshot())
		}
		var wg sync.WaitGroup
		var working atomic.Int32
		goOn := func(work func(m *Mem) error, in func(func(*Mem) error) error) {
			working.Add(1)
			wg.Go(func() {
				defer working.Add(-1)
				for range 20 {
					if err := in(work); err != nil {
						t.Error(err)
						return
					}
					runtime.Gosched()
				}
			})
		}
		for name, read := range readers {
			rng := rand.New(rand.NewPCG(rng.Uint64(), 4))
			goOn(func(m *Mem) error {
				at := rng.IntN(textSize - pieceSize)
				if !read(m, root.Ptr(m), at, text[at:at+100+rng.IntN(pieceSize-100)]) {
					return fmt.Errorf("%s at %d is wrong", name, at)
				}
				return nil
			}, h.View)
		}
		scribbler := rand.New(rand.NewPCG(rng.Uint64(), 5))
		goOn(func(m *Mem) error {
			p := root.Ptr(m).Scratch.Slice(m)
			for range 20 {
				i := scribbler.IntN(len(p))
				p[i]++
				p[len(p)-1-i]--
			}
			return nil
		}, h.Update)
		if rng.IntN(2) == 0 {
			wg.Go(func() {
				if err := h.Populate(t.Context()); err != nil {
					t.Error(err)
				}
			})
		}
		for working.Load() > 0 && !t.Failed() {
			s := have[*Snapshot](t)(h.Snapshot())
			if err := compareLibrary(s, root, text, rng.IntN(textSize-pieceSize)); err != nil {
				t.Errorf("snapshot %d: %v", snapshots, err)
			}
			closing(t, s)
			snapshots++
		}
		wg.Wait()
		if early != nil {
			if err := compareLibrary(early, root, text, rng.IntN(textSize-pieceSize)); err != nil {
				t.Errorf("early snapshot: %v", err)
			}
			closing(t, early)
		}
		if err := h.View(func(m *Mem) error {
			if !bytes.Equal(root.Ptr(m).Text.Slice(m), text) {
				return errors.New("the text is wrong in the end")
			}
			return nil
		}); err != nil {
			t.Error(err)
		}
		for err := range h.Check() {
			t.Error(err)
		}
		missing += h.Stats().Missing
		closing(t, h)
	}
	t.Logf("%d heaps, %d snapshots, %d pages touched before they were in", opened, snapshots, missing)
}

// compareLibrary checks a piece of the text and all of the scratch as of s.
func compareLibrary(s *Snapshot, root Ref[library], text []byte, at int) error {
	l, err := root.Load(s)
	if err != nil {
		return err
	}
	b := make([]byte, pieceSize)
	if _, err := s.ReadAt(b, int64(l.Text.off)+int64(at)); err != nil || !bytes.Equal(b, text[at:at+pieceSize]) {
		return fmt.Errorf("the text at %d is wrong (%w)", at, err)
	}
	b = make([]byte, 8*scratchSize)
	if _, err := s.ReadAt(b, int64(l.Scratch.off)); err != nil {
		return err
	}
	sum := uint64(0)
	for i := range scratchSize {
		sum += binary.NativeEndian.Uint64(b[8*i:])
	}
	if sum != 0 {
		return fmt.Errorf("the scratch adds up to %d, want 0", sum)
	}
	return nil
}
