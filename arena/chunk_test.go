package arena

import (
	"math/rand/v2"
	"testing"
)

// naiveFind returns the lowest page from which on n pages are free; pages
// beyond the slice are.
func naiveFind(taken []bool, n uint64) uint64 {
	run := uint64(0)
	for page, is := range taken {
		if is {
			run = 0
		} else if run++; run == n {
			return uint64(page) + 1 - n
		}
	}
	return uint64(len(taken)) - run
}

// TestFindRunIsTheLowestFit compares findRun with a walk over all pages, in an
// arena of 300 chunks: more than a page of the table of free runs stands for.
func TestFindRunIsTheLowestFit(t *testing.T) {
	const pages = 300 * chunkPages
	ta := newTestAllocator(t, 2*pages<<runPageShift)
	ta.mu.Lock()
	defer ta.mu.Unlock()
	for ta.chunks.Load()*chunkPages < pages {
		if err := ta.growChunks(); err != nil {
			t.Fatal(err)
		}
	}
	total := ta.chunks.Load() * chunkPages
	taken := make([]bool, total)
	for page := range total {
		taken[page] = ta.isTaken(page)
	}
	mark := func(page, n uint64, is bool) {
		if !ta.flipRun(page, n, !is) {
			t.Fatalf("%d pages from %d on cannot be marked %v", n, page, is)
		}
		for p := page; p < page+n; p++ {
			taken[p] = is
		}
	}
	r := rand.New(rand.NewPCG(31, 32))
	draw := func() uint64 {
		switch r.IntN(10) {
		case 0:
			return 1 + r.Uint64N(3000)
		case 1:
			return 1 + r.Uint64N(70000)
		default:
			return 1 + r.Uint64N(64)
		}
	}
	type run struct{ page, n uint64 }
	var runs []run
	find := func(n uint64) uint64 {
		page, want := ta.findRun(n), naiveFind(taken, n)
		if page != want {
			t.Fatalf("findRun(%d) = %d, want %d", n, page, want)
		}
		return page
	}
	for round := range 300 {
		// Fill, and free at random, more of one and then of the other.
		n := draw()
		if page := find(n); page+n <= total {
			mark(page, n, true)
			runs = append(runs, run{page, n})
		}
		for range 40 {
			// Without a walk over everything in between.
			n := 1 + r.Uint64N(200)
			if page := ta.findRun(n); page+n <= total {
				mark(page, n, true)
				runs = append(runs, run{page, n})
			}
		}
		for range 40 * (round / 100) {
			if len(runs) == 0 {
				break
			}
			i := r.IntN(len(runs))
			mark(runs[i].page, runs[i].n, false)
			runs[i] = runs[len(runs)-1]
			runs = runs[:len(runs)-1]
		}
		if round%50 == 0 {
			c := checker{allocator: ta.allocator}
			if c.checkSummaries(); c.n != 0 {
				t.Fatal(c.errs[0])
			}
		}
	}
	for n := uint64(1); n < 400000; n = n*3/2 + 1 {
		find(n)
	}
}

func TestLongestInside(t *testing.T) {
	naive := func(word uint64) (most uint64) {
		run, seen := uint64(0), false
		for i := range 64 {
			if word>>i&1 != 0 {
				if seen {
					most = max(most, run)
				}
				run, seen = 0, true
			} else {
				run++
			}
		}
		return most
	}
	r := rand.New(rand.NewPCG(33, 34))
	for range 20000 {
		word := r.Uint64()
		for range r.IntN(6) {
			word &= r.Uint64()
		}
		word |= 1 << r.IntN(64)
		known := r.Uint64N(70)
		if got, want := max(known, longestInside(word, known)), max(known, naive(word)); got != want {
			t.Fatalf("longestInside(%#x, %d): %d, want %d", word, known, got, want)
		}
	}
}

// TestSparseArenaOf64GiB: what is never touched costs metadata of a few pages a
// GiB, and is found again.
func TestSparseArenaOf64GiB(t *testing.T) {
	const gib = 1 << 30
	ta := newTestAllocator(t, 64*gib)
	var offs []uint64
	for _, size := range []uint64{10 * gib, 1 * gib, 20 * gib, 100 << 20, 5 * gib, 16} {
		offs = append(offs, mustAlloc(t, ta, size, 0))
	}
	wantClean(t, ta)
	if err := ta.free(offs[1]); err != nil {
		t.Fatal(err)
	}
	if off := mustAlloc(t, ta, gib-64<<20, 0); off != offs[1] {
		t.Errorf("960 MiB at %#x, there is 1 GiB free at %#x", off, offs[1])
	}
	if off := mustAlloc(t, ta, 64<<20, 0); off != offs[1]+gib-64<<20 {
		t.Errorf("64 MiB at %#x, there are just as many free at %#x", off, offs[1]+gib-64<<20)
	}
	if _, err := ta.alloc(40*gib, 0); err == nil {
		t.Error("40 GiB found in 64 GiB, 36 of which are taken")
	}
	if metadata := ta.touchedMetadata() << runPageShift; metadata > 4<<20 {
		t.Errorf("%d bytes of metadata", metadata)
	}
	wantClean(t, ta)
}
