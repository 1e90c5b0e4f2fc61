package arena

import (
	"errors"
	"math/rand/v2"
	"testing"
)

func TestAttachWithAnotherLimit(t *testing.T) {
	ta := newTestAllocator(t, 64<<20)
	r := rand.New(rand.NewPCG(1, 1))
	live := fragmented(t, ta, r, sizeMixes[1].size, 8<<20, 0.4)
	image := ta.image(t)

	larger, err := restore(t, image, 1<<30)
	if err != nil {
		t.Fatal(err)
	}
	defer larger.unmap()
	for range 10000 {
		size := sizeMixes[1].size(r)
		if off, want := mustAlloc(t, larger, size, 0), mustAlloc(t, ta, size, 0); off != want {
			t.Fatalf("alloc(%d) at %#x, at %#x with the limit it was made with", size, off, want)
		}
	}
	if !larger.equal(ta) {
		t.Fatal("not the same bytes with another limit")
	}

	// No room beyond what was in use: the holes can still be filled.
	exact, err := restore(t, image, uint64(len(image)))
	if err != nil {
		t.Fatal(err)
	}
	defer exact.unmap()
	wantClean(t, exact)
	for _, off := range live[:100] {
		if err := exact.free(off); err != nil {
			t.Fatal(err)
		}
	}
	for range 1000 {
		if _, err := exact.alloc(sizeMixes[1].size(r), 0); err != nil && !errors.Is(err, ErrFull) {
			t.Fatal(err)
		}
	}
	wantClean(t, exact)

	small, err := restore(t, image, uint64(len(image)))
	if err != nil {
		t.Fatal(err)
	}
	defer small.unmap()
	small.limit -= runPageSize
	if err := small.attach(); !errors.Is(err, ErrCorrupt) {
		t.Errorf("attached to more than the limit: %v", err)
	}
}

// TestNothingButTheBytesDecides: an allocator that is attached anew all the time,
// and so has nothing cached, does what one does that never is.
func TestNothingButTheBytesDecides(t *testing.T) {
	ta, twin := newTestAllocator(t, 1<<30), newTestAllocator(t, 1<<30)
	r := rand.New(rand.NewPCG(41, 42))
	var live []uint64
	for round := range 3000 {
		// Mostly small objects: they need several pages of descriptors.
		size := 16 + r.Uint64N(100)
		if r.IntN(4) == 0 {
			size = sizeMixes[1].size(r) * 2
		}
		for range 1 + r.IntN(100) {
			off, err := ta.alloc(size, 0)
			off2, err2 := twin.alloc(size, 0)
			if off != off2 || err != nil || err2 != nil {
				t.Fatalf("alloc(%d): %#x %v, and %#x %v in the twin", size, off, err, off2, err2)
			}
			live = append(live, off)
		}
		// More and more, then fewer and fewer, in random order or the first first.
		for n := r.IntN(30 + 60*(round/1000)); n > 0 && len(live) > 0; n-- {
			i := 0
			if round%3 != 0 {
				i = r.IntN(len(live))
			}
			if err := errors.Join(ta.free(live[i]), twin.free(live[i])); err != nil {
				t.Fatal(err)
			}
			live[i] = live[len(live)-1]
			live = live[:len(live)-1]
		}
		if err := twin.attach(); err != nil {
			t.Fatal(err)
		}
	}
	if ta.descPages.Load() < 4 {
		t.Fatalf("%d pages of descriptors: that shows little", ta.descPages.Load())
	}
	if !ta.equal(twin) {
		t.Fatal("not the same bytes")
	}
	wantClean(t, ta)
}

// TestSpanAcrossTheTop: a span that begins in memory used before and ends in
// fresh memory.
func TestSpanAcrossTheTop(t *testing.T) {
	for c := range numClasses {
		for pages := uint64(9); pages <= 20; pages++ {
			ta := newTestAllocator(t, 64<<20)
			dirty := mustAlloc(t, ta, pages<<runPageShift, 0)
			b := ta.mapping.Bytes(dirty, pages<<runPageShift)
			for i := range b {
				b[i] = 0xff
			}
			if err := ta.free(dirty); err != nil {
				t.Fatal(err)
			}
			size := uint64(classSizes[c])
			for n := pages << runPageShift / size * 2; n > 0; n-- {
				off := mustAlloc(t, ta, size, 0)
				if i := notZero(ta.mapping.Bytes(off, size)); i >= 0 {
					t.Fatalf("%d pages were dirty: byte %d of the object of %d at %#x is not zero", pages, i, size, off)
				}
			}
			ta.unmap()
		}
	}
}

func TestAttachRefusesWhatIsNoArena(t *testing.T) {
	image := func() []byte {
		ta := newTestAllocator(t, 64<<20)
		fragmented(t, ta, rand.New(rand.NewPCG(1, 1)), sizeMixes[1].size, 8<<20, 0.4)
		return ta.image(t)
	}()
	for _, c := range []struct {
		name string
		off  uint64
		word uint64
	}{
		{"no magic", headMagic, 0},
		{"other magic", headMagic, 1},
		{"newer version", headVersion, allocVersion + 1},
		{"no version", headVersion, 0},
		{"high is zero", headHigh, 0},
		{"high is odd", headHigh, 100001},
		{"high beyond the limit", headHigh, 1 << 50},
		{"high is all ones", headHigh, ^uint64(0)},
		{"high below the tables", headHigh, firstTop << runPageShift},
		{"top below high", headTop, 7},
		{"top is all ones", headTop, ^uint64(0)},
		{"no chunks", headChunks, 0},
		{"three chunks", headChunks, 3},
		{"more chunks than there are tables", headChunks, 1 << 20},
		{"far too many chunks", headChunks, 1 << 40},
		{"no descriptor page", headDescPages, 0},
		{"more descriptor pages than room", headDescPages, 1 << 19},
		{"room for three descriptor pages", headDescSpace, 3},
		{"far too much room for descriptors", headDescSpace, 1 << 63},
		{"a segment is nowhere", segmentOff(tableDescs, 0), 0},
		{"a segment is not on a page", segmentOff(tableDescs, 0), 8191},
		{"a segment ends beyond high", segmentOff(tablePageMap, 1), uint64(len(image))},
		{"a segment is far away", segmentOff(tableIndex, 0), ^uint64(4095)},
		{"two segments are the same", segmentOff(tableIndex, 0), 1 << runPageShift},
		{"a segment too many", segmentOff(tableIndex, 20), 1 << runPageShift},
		{"a segment beyond all", segmentOff(tableIndex, 23), 1 << runPageShift},
	} {
		t.Run(c.name, func(t *testing.T) {
			ta := reserved(t, 64<<20)
			defer ta.unmap()
			if err := ta.ensure(uint64(len(image))); err != nil {
				t.Fatal(err)
			}
			copy(ta.mapping.Bytes(0, uint64(len(image))), image)
			ta.store64(c.off, c.word)
			if err := ta.attach(); !errors.Is(err, ErrCorrupt) {
				t.Errorf("attach: %v", err)
			} else {
				t.Log(err)
			}
			if c.off != headHigh { // damage is reported also when it comes after attach
				ta.store64(c.off, 0)
				copy(ta.mapping.Bytes(0, runPageSize), image)
				if err := ta.attach(); err != nil {
					t.Fatal(err)
				}
				ta.store64(c.off, c.word)
				n := 0
				for err := range ta.check() {
					if n++; !errors.Is(err, ErrCorrupt) {
						t.Errorf("check: %v", err)
					}
				}
				if n == 0 {
					t.Error("check reports nothing")
				}
			}
		})
	}
}

func TestAttachToNothing(t *testing.T) {
	ta := unformatted(t, 1<<20)
	if err := ta.attach(); !errors.Is(err, ErrCorrupt) {
		t.Errorf("attach to zeros: %v", err)
	}
	tiny := unformatted(t, firstTop*runPageSize)
	tiny.limit -= runPageSize
	if err := tiny.format(); !errors.Is(err, ErrFull) {
		t.Errorf("format without room for the tables: %v", err)
	}
	if err := tiny.attach(); !errors.Is(err, ErrFull) {
		t.Errorf("attach without room for the tables: %v", err)
	}
}
