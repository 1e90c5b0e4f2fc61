package arena

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"testing"
)

// TestFullChangesNothing fills arenas of all kinds of limits and compares the
// bytes before and after each ErrFull.
func TestFullChangesNothing(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	sizes := []uint64{16, 48, 64, 100, 1000, 5000, 32 << 10, 40 << 10, 300 << 10, 3 << 20, 9 << 20, 1 << 40, ^uint64(0)}
	for _, limit := range []uint64{24 << 10, 28 << 10, 32 << 10, 64 << 10, 100 << 10, 1 << 20, 4 << 20, 4<<20 + 8192, 8<<20 + 4096, 17 << 20} {
		ta := newTestAllocator(t, limit)
		full := 0
		var live []uint64
		var before []byte
		for full < 60 {
			size := sizes[r.IntN(len(sizes))]
			before = append(before[:0], ta.mapping.Bytes(0, ta.high())...) // a fresh copy each time took most of the time
			off, err := ta.alloc(size, 0)
			if err == nil {
				live = append(live, off)
				continue
			}
			full++
			if !errors.Is(err, ErrFull) {
				t.Fatalf("limit %d: alloc(%d): %v", limit, size, err)
			}
			if !bytes.Equal(before, ta.image(t)) {
				t.Fatalf("limit %d: alloc(%d) was ErrFull, and changed something", limit, size)
			}
			wantClean(t, ta)
			if len(live) > 0 && full%6 == 0 {
				i := r.IntN(len(live))
				if err := ta.free(live[i]); err != nil {
					t.Fatal(err)
				}
				live[i] = live[len(live)-1]
				live = live[:len(live)-1]
			}
		}
		wantClean(t, ta)
		if ta.high() > limit {
			t.Fatalf("limit %d: high is %d", limit, ta.high())
		}
	}
}

// TestFullWhileTheDescriptorsGrow fills arenas whose limit falls where the table
// of descriptors has to grow.
func TestFullWhileTheDescriptorsGrow(t *testing.T) {
	for _, descs := range []uint64{252, 504} {
		for page := descs; page < descs+firstTop+8; page++ {
			ta := newTestAllocator(t, page<<runPageShift)
			fullOf(t, ta, 64)
			before := ta.image(t)
			if _, err := ta.alloc(64, 0); !errors.Is(err, ErrFull) {
				t.Fatal(err)
			}
			if !bytes.Equal(before, ta.image(t)) {
				t.Fatalf("%d pages: ErrFull has changed something", page)
			}
			wantClean(t, ta)
			ta.unmap()
		}
	}
}

// fullOf allocates objects of a size until there is no more room.
func fullOf(t *testing.T, ta *testAllocator, size uint64) (offs []uint64) {
	t.Helper()
	for {
		off, err := ta.alloc(size, 0)
		if errors.Is(err, ErrFull) {
			return offs
		} else if err != nil {
			t.Fatal(err)
		}
		offs = append(offs, off)
	}
}

// TestDescriptorsGrowIntoUsedMemory: what was in an object before does not show
// up in the tables.
func TestDescriptorsGrowIntoUsedMemory(t *testing.T) {
	ta := newTestAllocator(t, 16<<20)
	offs := fullOf(t, ta, 100<<10)
	for _, off := range offs {
		b := ta.mapping.Bytes(off, 100<<10)
		for i := range b {
			b[i] = 0xff
		}
		if err := ta.free(off); err != nil {
			t.Fatal(err)
		}
	}
	top := ta.top.Load()
	for range 8 * 252 * 64 {
		off := mustAlloc(t, ta, 64, 0)
		if i := notZero(ta.mapping.Bytes(off, 64)); i >= 0 {
			t.Fatalf("byte %d of the object at %#x is not zero", i, off)
		}
	}
	if ta.descSpace.Load() < 8 || ta.top.Load() != top {
		t.Fatalf("room for %d pages of descriptors, top %d, was %d: shows nothing", ta.descSpace.Load(), ta.top.Load(), top)
	}
	wantClean(t, ta)
}

// TestFullArenaIsUsedUp: ErrFull does not come early.
func TestFullArenaIsUsedUp(t *testing.T) {
	for _, size := range []uint64{64, 1000, 8 << 10, 64 << 10, 1 << 20} {
		const limit = 64 << 20
		ta := newTestAllocator(t, limit)
		fullOf(t, ta, size)
		inUse, _ := ta.inUse()
		if inUse < limit*95/100 {
			t.Errorf("full with %d bytes of %d in objects of %d", inUse, uint64(limit), size)
		}
		wantClean(t, ta)
	}
}

// TestFullArenaOfSmallObjectsCanHoldALargeOne: when the small ones are freed.
func TestFullArenaOfSmallObjectsCanHoldALargeOne(t *testing.T) {
	const limit = 64 << 20
	ta := newTestAllocator(t, limit)
	var offs []uint64
	for {
		off, err := ta.alloc(uint64(16+len(offs)%3000), 0)
		if err != nil {
			break
		}
		offs = append(offs, off)
	}
	for _, off := range offs {
		if err := ta.free(off); err != nil {
			t.Fatal(err)
		}
	}
	off := mustAlloc(t, ta, limit/4, 0)
	if !ta.keepsSpans() {
		t.Fatal("no class keeps an empty span: the next step shows nothing")
	}
	// What the classes keep is given up before the arena is full.
	fullOf(t, ta, 40<<10)
	if ta.keepsSpans() {
		t.Error("full, while empty spans are kept")
	}
	wantClean(t, ta)
	if err := ta.free(off); err != nil {
		t.Fatal(err)
	}
}

// TestMemoryRefused: ensure fails in its first or second call in one operation.
// A twin, which is never refused anything, shows that nothing has changed.
func TestMemoryRefused(t *testing.T) {
	refused := errors.New("refused")
	for nth := 1; nth <= 2; nth++ {
		ta, twin := unformatted(t, 64<<20), newTestAllocator(t, 64<<20)
		if nth == 1 {
			ta.refuse(nth, refused)
			if err := ta.format(); !errors.Is(err, refused) {
				t.Fatalf("format: %v", err)
			}
			ta.refuse(0, nil)
		}
		if err := ta.format(); err != nil {
			t.Fatal(err)
		}
		r := rand.New(rand.NewPCG(7, 8))
		refusals := 0
		for i := 0; ta.high() < 9<<20; i++ {
			// Objects of 64 bytes need descriptors soon, large ones chunks.
			size := uint64(64)
			if i%32 == 0 {
				size = sizeMixes[2].size(r) * 2
			}
			ta.refuse(nth, refused)
			_, err := ta.alloc(size, 0)
			ta.refuse(0, nil)
			if err != nil {
				refusals++
				if !errors.Is(err, refused) {
					t.Fatal(err)
				}
				if !ta.equal(twin) {
					t.Fatalf("alloc(%d) was refused memory, and changed something", size)
				}
				mustAlloc(t, ta, size, 0)
			}
			mustAlloc(t, twin, size, 0)
		}
		t.Logf("refused %d times at call %d", refusals, nth)
		if refusals < 2 {
			t.Error("that shows little")
		}
		wantClean(t, ta)
		ta.refuse(nth, refused)
		if err := ta.attach(); !errors.Is(err, refused) {
			t.Errorf("attach, refused at call %d of ensure: %v", nth, err)
		}
	}
}
