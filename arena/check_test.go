package arena

import (
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"sync"
	"testing"
)

// sampleImage is a small arena with some of everything in it, and the offsets
// of what is allocated.
var sampleImage = sync.OnceValues(func() (image []byte, live []uint64) {
	t := &testing.T{}
	ta := reserved(t, 64<<20)
	if err := ta.format(); err != nil {
		panic(err)
	}
	r := rand.New(rand.NewPCG(11, 12))
	live = fragmented(t, ta, r, sizeMixes[1].size, 1<<20, 0.5)
	live = append(live, fragmented(t, ta, r, sizeMixes[3].size, 1<<20, 0.3)...)
	for _, size := range []uint64{40 << 10, 4 << 20, 300 << 10} {
		live = append(live, mustAlloc(t, ta, size, 0))
	}
	image = ta.image(t)
	ta.unmap()
	return image, live
})

// sample restores the sample image.
func sample(t testing.TB) (*testAllocator, []uint64) {
	t.Helper()
	reserved(t, runPageSize).unmap() // skips where there is no memory to test on
	image, live := sampleImage()
	ta, err := restore(t, image, 64<<20)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(ta.unmap)
	return ta, live
}

// TestCheckFindsEveryFlippedBit flips one bit in each word of metadata. The
// only bits that may be anything are the user's word, those that make more of a
// span count as given out before than was, the order of a span whose class
// has the same shape in all orders, which cache claimed a descriptor last (a hint),
// and whether memory ran out for a class whose free places are all known.
func TestCheckFindsEveryFlippedBit(t *testing.T) {
	ta, _ := sample(t)
	wantClean(t, ta)
	r := rand.New(rand.NewPCG(13, 14))
	missed, words := 0, 0
	for page := range ta.high() >> runPageShift {
		if !ta.isMetadata(page) {
			continue
		}
		descs := ta.isDescPage(page)
		for off := page << runPageShift; off < (page+1)<<runPageShift; off += 8 {
			if off == headRoot || testing.Short() && words%16 != 0 {
				continue
			}
			words++
			bit := r.IntN(64)
			was := ta.load64(off)
			if off >= classState(0) && off < classState(numClasses) && 1<<bit == uint64(classTight) {
				continue
			}
			if descs && off%16 == 8 && off%runPageSize >= descHeadSlots*descSize {
				info, other := descInfo(was), descInfo(was^1<<bit)
				if 50 <= bit && bit < 56 && other.home() <= numCaches || bit/8 == 5 || bit/2 == 15 && info.class() >= 0 && *info.shape() == *other.shape() {
					continue
				}
			}
			ta.store64(off, was^1<<bit)
			n := 0
			for err := range ta.check() {
				if n++; !errors.Is(err, ErrCorrupt) {
					t.Fatalf("not an ErrCorrupt: %v", err)
				}
			}
			if n == 0 {
				if missed++; missed < 10 {
					t.Errorf("bit %d of the word %#x at %#x was flipped, check reports nothing", bit, was, off)
				}
			}
			ta.store64(off, was)
		}
	}
	wantClean(t, ta)
	t.Logf("%d words flipped", words)
}

// isDescPage reports whether a page is in the table of descriptors.
func (ta *testAllocator) isDescPage(page uint64) bool {
	for i := range ta.descPages.Load() {
		if ta.tablePage(tableDescs, i)>>runPageShift == page {
			return true
		}
	}
	return false
}

func TestCheckNamesThePlace(t *testing.T) {
	ta, live := sample(t)
	page := live[0] >> runPageShift
	at := ta.pageEntry(page) &^ 7
	ta.store64(at, 0)
	found := false
	for err := range ta.check() {
		e, ok := errors.AsType[*InvariantError](err)
		found = found || ok && e.Off&^7 == at
	}
	if !found {
		t.Errorf("the page map was damaged at %#x, check names other places only", at)
	}
}

// TestCheckOfNothingButNoise: a bounded report, and the consumer may stop.
func TestCheckOfNothingButNoise(t *testing.T) {
	ta, _ := sample(t)
	r := rand.New(rand.NewPCG(15, 16))
	for page := uint64(1); page < ta.high()>>runPageShift; page++ {
		if ta.isMetadata(page) {
			b := ta.mapping.Bytes(page<<runPageShift, runPageSize)
			for i := 0; i < len(b); i += 8 {
				binary.LittleEndian.PutUint64(b[i:], r.Uint64())
			}
		}
	}
	n := 0
	for range ta.check() {
		n++
	}
	if n != maxReported+1 {
		t.Errorf("%d errors reported, %d wanted and one that counts the rest", n, maxReported)
	}
	for range ta.check() {
		break
	}
	// While the errors are looked at, the allocator can be used.
	for range ta.check() {
		ta.inUse()
		break
	}
}

// hammer allocates and frees in a damaged arena: errors are fine, a panic, a
// hang or a fault is not.
func hammer(ta *testAllocator, live []uint64, seed uint64) {
	r := rand.New(rand.NewPCG(seed, 17))
	for range 300 {
		switch r.IntN(4) {
		case 0, 1:
			if off, err := ta.alloc(sizeMixes[r.IntN(len(sizeMixes))].size(r), 0); err == nil {
				live = append(live, off)
			}
		case 2:
			_ = ta.free(live[r.IntN(len(live))])
		case 3:
			if off, err := ta.alloc(r.Uint64N(6<<20), 0); err == nil {
				live = append(live, off)
			}
		}
	}
}

func TestDamagedArenaIsUsedWithoutPanic(t *testing.T) {
	image, live := sampleImage()
	ta, _ := sample(t)
	r := rand.New(rand.NewPCG(18, 19))
	var pages []uint64
	for page := range ta.high() >> runPageShift {
		if ta.isMetadata(page) {
			pages = append(pages, page)
		}
	}
	for round := range uint64(300) {
		b := ta.mapping.Bytes(0, ta.committed)
		clear(b[copy(b, image):])
		if err := ta.attach(); err != nil {
			t.Fatal(err)
		}
		for range 1 + r.IntN(20) {
			off := pages[r.IntN(len(pages))]<<runPageShift + r.Uint64N(512)*8
			switch r.IntN(3) {
			case 0:
				ta.store64(off, ta.load64(off)^1<<r.IntN(64))
			case 1:
				ta.store64(off, r.Uint64())
			case 2:
				ta.store64(off, ta.load64(off)+r.Uint64N(3)-1)
			}
		}
		if round%2 == 0 { // as after a restore; else as after a stray write
			if err := ta.attach(); err != nil {
				if !errors.Is(err, ErrCorrupt) {
					t.Fatal(err)
				}
				continue
			}
		}
		for range ta.check() {
			break
		}
		hammer(ta, append([]uint64(nil), live...), round)
		for range ta.check() {
			break
		}
	}
}

// TestStrayWritesToTheHeader: the allocator goes by its copies.
func TestStrayWritesToTheHeader(t *testing.T) {
	image, live := sampleImage()
	ta, _ := sample(t)
	for off := uint64(0); off < headEnd; off += 8 {
		for _, word := range []uint64{0, 1, 1 << 31, ^uint64(0)} {
			b := ta.mapping.Bytes(0, ta.committed)
			clear(b[copy(b, image):])
			if err := ta.attach(); err != nil {
				t.Fatal(err)
			}
			ta.store64(off, word)
			hammer(ta, append([]uint64(nil), live...), off)
			for range ta.check() {
				break
			}
		}
		if testing.Short() {
			off += 7 * 8
		}
	}
}

// FuzzDamagedArena changes bytes of the metadata: attach, check and the
// allocator itself must neither panic nor hang.
func FuzzDamagedArena(f *testing.F) {
	f.Add([]byte{0, 0, 0, 0, 1})
	f.Add([]byte{0, 16, 0, 0, 1, 0, 32, 0, 0, 255, 0, 80, 0, 0, 9})
	f.Fuzz(func(t *testing.T, edits []byte) {
		ta, live := sample(t)
		var pages []uint64
		for page := range ta.high() >> runPageShift {
			if ta.isMetadata(page) {
				pages = append(pages, page)
			}
		}
		seed := uint64(0)
		for ; len(edits) >= 5; edits = edits[5:] {
			at := uint64(binary.LittleEndian.Uint32(edits))
			off := pages[at>>runPageShift%uint64(len(pages))]<<runPageShift | at&(runPageSize-1)
			ta.mapping.Bytes(off, 1)[0] = edits[4]
			seed = seed*31 + at
		}
		if seed&1 == 0 {
			if err := ta.attach(); err != nil {
				if !errors.Is(err, ErrCorrupt) {
					t.Fatal(err)
				}
				return
			}
		}
		for err := range ta.check() {
			if !errors.Is(err, ErrCorrupt) {
				t.Fatal(err)
			}
		}
		hammer(ta, append([]uint64(nil), live...), seed)
		for range ta.check() {
			break
		}
	})
}
