package restore

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/cowheap/cowheap/arena"
	"github.com/cowheap/cowheap/checkpoint"
	"github.com/cowheap/cowheap/internal/block"
)

// openLearning is a lazy restore of path that learns, and has not begun to bring anything in.
func openLearning(t *testing.T, path string, g arena.Guard) (*arena.Arena, *Lazy) {
	t.Helper()
	im, err := checkpoint.OpenImage(path)
	if err != nil {
		t.Fatal(err)
	}
	a, l, err := OpenLazy(im, Options{Arena: arena.Options{Guard: g, MaxSize: 64 << 20}})
	if errors.Is(err, arena.ErrNotSupported) {
		im.Close()
		t.Skip(err)
	} else if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		l.Stop()
		a.Close()
		l.Close()
	})
	l.Learn()
	return a, l
}

// savedAt is where a checkpoint stands, and what is in it.
func savedAt(t *testing.T, g arena.Guard) (path string, want []byte) {
	t.Helper()
	src, want := source(t, g)
	im := saved(t, src)
	defer im.Close()
	return im.Info().Path, want
}

func TestFaultsAreLearnedAndComeInFirst(t *testing.T) {
	eachGuard(t, func(t *testing.T, g arena.Guard) {
		path, want := savedAt(t, g)
		a, l := openLearning(t, path, g)
		if l.Learned() != 0 || l.LearnErr() != nil {
			t.Fatalf("learned %d, %v of nothing", l.Learned(), l.LearnErr())
		}
		b := bytesOf(a)
		sum := byte(0)
		defer func() { sink = sum }() // or the loads are left out
		// In dense memory, so that a fault takes the rest of its group of 16 along.
		touch := func(page int) { sum += b[page*block.PageSize]; l.learned.rec.look() }
		for _, page := range []int{700, 48, 333, 334, 48, 340} {
			touch(page)
		}
		// What comes in in bulk was not touched; what was touched before it was.
		row := bytes.Clone(want[512*block.PageSize : 640*block.PageSize])
		sum += b[600*block.PageSize]
		if err := l.bring(512*block.PageSize, offHeap(t, row)); err != nil {
			t.Fatal(err)
		}
		touch(520)
		faults := []uint32{700, 48, 333, 340, 600}
		if got := l.learned.rec.touched(); !slices.Equal(got, faults) {
			t.Fatalf("recorded %v, want %v", got, faults)
		}
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		l.learned.record(ended)
		if err := l.LearnErr(); err != nil {
			t.Fatal(err)
		}

		// The next one, perhaps of a later checkpoint, brings these in first.
		a, l = openLearning(t, path, g)
		if !slices.Equal(l.learned.pages, faults) {
			t.Fatalf("learned %v, want %v", l.learned.pages, faults)
		}
		if err := l.learned.bring(t.Context(), l.from.(file), faults, l.bring); err != nil {
			t.Fatal(err)
		}
		for _, page := range append(faults, 63) { // 48 begins a group, up to 63
			if !l.learned.rec.isIn(page) {
				t.Errorf("page %d is not in", page)
			}
		}
		if l.learned.rec.isIn(64) || l.learned.rec.isIn(334) {
			t.Error("more came in than was learned")
		}
		if got := l.learned.rec.touched(); len(got) != 0 {
			t.Errorf("%v count as touched", got)
		}
		sum += bytesOf(a)[100*block.PageSize]
		l.learned.record(ended)
		again, err := readTouched(path)
		if want := append([]uint32{100}, faults...); err != nil || !slices.Equal(again, want) {
			t.Errorf("then %v, %v; want %v", again, err, want)
		}
		l.Prefetch()
		if err := l.Populate(t.Context()); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(bytesOf(a), want) {
			t.Error("the restored bytes differ")
		}
		healthy(t, a)
	})
}

// The first restore that learns sees every page that is touched, and brings the rest in when nothing
// new was touched for a while.
func TestFirstRestoreSeesAllThatIsTouched(t *testing.T) {
	eachGuard(t, func(t *testing.T, g arena.Guard) {
		path, want := savedAt(t, g)
		a, l := openLearning(t, path, g)
		l.Prefetch()
		b, sum := bytesOf(a), byte(0)
		defer func() { sink = sum }()
		pages := []uint32{48, 333, 340, 600, 700}
		for _, page := range pages {
			time.Sleep(recordFirst) // the rest of the file is in the page cache long since
			sum += b[page*block.PageSize]
		}
		eventually(t, func() bool {
			s := a.Stats()
			return s.RestoredPages == s.RestorePages
		})
		if err := l.Populate(t.Context()); err != nil || l.LearnErr() != nil {
			t.Fatal(err, l.LearnErr())
		}
		if got, err := readTouched(path); err != nil || !slices.Equal(slices.Sorted(slices.Values(got)), pages) {
			t.Errorf("learned %v, %v; want %v", got, err, pages)
		}
		if !bytes.Equal(bytesOf(a), want) {
			t.Error("the restored bytes differ")
		}
		healthy(t, a)
	})
}

var sink byte

// offHeap keeps p where it is: on the Go heap, which does not move, not on a stack.
func offHeap(t *testing.T, p []byte) []byte {
	t.Cleanup(func() { _ = p })
	return p
}

func TestDamagedSetsAreReportedAndNotUsed(t *testing.T) {
	path, want := savedAt(t, arena.GuardAuto)
	good := encodeTouched([]uint32{1, 2, 1 << 31, 3, 1})
	flip := func(i int) []byte {
		b := bytes.Clone(good)
		b[i] ^= 1
		return b
	}
	huge := binary.LittleEndian.AppendUint32([]byte(touchedMagic), 1<<30)
	huge = binary.LittleEndian.AppendUint32(huge, block.CRC(huge))
	for name, content := range map[string][]byte{
		"empty": {}, "cut": good[:len(good)-1], "longer": append(bytes.Clone(good), 0), "magic": flip(0), "count": flip(8),
		"page": flip(13), "checksum": flip(len(good) - 1), "promises much": huge,
		"too long": make([]byte, touchedSize(maxTouched)+1),
	} {
		t.Run(name, func(t *testing.T) {
			if err := os.WriteFile(touchedPath(path), content, 0o600); err != nil {
				t.Fatal(err)
			}
			a, l := openLearning(t, path, arena.GuardAuto)
			if !errors.Is(l.LearnErr(), ErrTouched) || l.Learned() != 0 {
				t.Errorf("learned %d, %v", l.Learned(), l.LearnErr())
			}
			l.Prefetch()
			if err := l.Populate(t.Context()); err != nil || !bytes.Equal(bytesOf(a), want) {
				t.Errorf("populating: %v", err)
			}
		})
	}
	if err := os.WriteFile(touchedPath(path), good, 0o600); err != nil {
		t.Fatal(err)
	}
	a, l := openLearning(t, path, arena.GuardAuto)
	if l.LearnErr() != nil || l.Learned() != 4 { // pages beyond the end are left out
		t.Errorf("learned %d, %v", l.Learned(), l.LearnErr())
	}
	l.Prefetch()
	if err := l.Populate(t.Context()); err != nil || !bytes.Equal(bytesOf(a), want) {
		t.Errorf("populating: %v", err)
	}
	if err := os.Remove(touchedPath(path)); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(touchedPath(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if _, l := openLearning(t, path, arena.GuardAuto); !errors.Is(l.LearnErr(), ErrTouched) {
		t.Errorf("a directory: %v", l.LearnErr())
	}
}

func TestASetIsBroughtInWhereItPays(t *testing.T) {
	k := &learned{pages: make([]uint32, 5000)}
	for pages, want := range map[int64]int{100: 0, learnedLeast - 1: 0, learnedLeast: learnedLeast / 16, 1 << 20: 5000} {
		if got := len(k.first(pages)); got != want {
			t.Errorf("of an image of %d pages: %d, want %d", pages, got, want)
		}
	}
}

func TestTouchedSetsRoundTripAndAreBounded(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	var pages []uint32
	for range 1000 {
		pages = append(pages, rng.Uint32())
	}
	if got, err := decodeTouched(encodeTouched(pages)); err != nil || !slices.Equal(got, pages) {
		t.Errorf("%d pages, %v", len(got), err)
	}
	if got := uniteTouched([]uint32{3, 1, 3}, []uint32{2, 1}); !slices.Equal(got, []uint32{3, 1, 2}) {
		t.Errorf("united: %v", got)
	}
	most := make([]uint32, maxTouched)
	for i := range most {
		most[i] = uint32(i)
	}
	if got := uniteTouched([]uint32{1 << 30}, most); len(got) != maxTouched || got[0] != 1<<30 {
		t.Errorf("%d pages, the first %d", len(got), got[0])
	}
}

func FuzzDecodeTouched(f *testing.F) {
	f.Add(encodeTouched(nil))
	f.Add(encodeTouched([]uint32{1, 2, 3}))
	f.Fuzz(func(t *testing.T, b []byte) {
		pages, err := decodeTouched(b)
		if err == nil && !bytes.Equal(encodeTouched(pages), b) {
			t.Error("decoded what encodes to something else")
		}
	})
}
