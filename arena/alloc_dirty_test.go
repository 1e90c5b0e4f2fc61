package arena

import (
	"bytes"
	"math"
	"math/rand/v2"
	"testing"
)

// sizeMixes are distributions of object sizes.
var sizeMixes = []struct {
	name string
	heap uint64
	size func(r *rand.Rand) uint64
}{
	{"16 B to 1 KiB", 1 << 30, func(r *rand.Rand) uint64 { return 16 + r.Uint64N(1009) }},
	{"16 B to 32 KiB, as many in each doubling", 1 << 30, func(r *rand.Rand) uint64 {
		return uint64(16 * math.Exp2(r.Float64()*11))
	}},
	{"16 B to 32 KiB", 1 << 30, func(r *rand.Rand) uint64 { return 16 + r.Uint64N(32<<10-15) }},
	{"64 B", 256 << 20, func(*rand.Rand) uint64 { return 64 }},
}

// fragmented fills an allocator with about size bytes of objects, then frees a
// part of them at random.
func fragmented(t testing.TB, ta *testAllocator, r *rand.Rand, draw func(*rand.Rand) uint64, size uint64, freed float64) []uint64 {
	t.Helper()
	var offs []uint64
	for sum := uint64(0); sum < size; {
		n := draw(r)
		offs = append(offs, mustAlloc(t, ta, n, 0))
		sum += n
	}
	r.Shuffle(len(offs), func(i, j int) { offs[i], offs[j] = offs[j], offs[i] })
	n := int(float64(len(offs)) * freed)
	for _, off := range offs[:n] {
		if err := ta.free(off); err != nil {
			t.Fatal(err)
		}
	}
	return offs[n:]
}

// metadata returns a copy of each page of metadata.
func (ta *testAllocator) metadata() map[uint64][]byte {
	c := checker{allocator: ta.allocator}
	pages := make(map[uint64][]byte)
	for page := range c.metadataPages() {
		pages[page] = bytes.Clone(ta.mapping.Bytes(page<<runPageShift, runPageSize))
	}
	return pages
}

// changed counts the pages of metadata that are not as they were.
func (ta *testAllocator) changed(before map[uint64][]byte) int {
	n := 0
	for page := range ta.metadata() {
		if !bytes.Equal(before[page], ta.mapping.Bytes(page<<runPageShift, runPageSize)) {
			n++
		}
	}
	return n
}

// touchedMetadata counts the pages of metadata that hold anything: tables have
// room for twice what they hold, which costs nothing.
func (ta *testAllocator) touchedMetadata() int {
	zero := make([]byte, runPageSize)
	n := 0
	for _, page := range ta.metadata() {
		if !bytes.Equal(page, zero) {
			n++
		}
	}
	return n
}

// TestMetadataIsSmall: metadata of a full heap, in parts of what is in use.
func TestMetadataIsSmall(t *testing.T) {
	for _, mix := range sizeMixes {
		ta := newTestAllocator(t, 128<<20)
		fragmented(t, ta, rand.New(rand.NewPCG(1, 2)), mix.size, 64<<20, 0)
		bytes, _ := ta.inUse()
		part := float64(ta.touchedMetadata()*runPageSize) / float64(bytes)
		t.Logf("%s: metadata is %.2f%%, all that is used %.2f%% of what is allocated", mix.name, part*100, float64(ta.high())/float64(bytes)*100)
		if part > 0.01 {
			t.Errorf("%s: metadata is %.2f%% of what is in use", mix.name, part*100)
		}
		if float64(ta.high()) > 1.06*float64(bytes) {
			t.Errorf("%s: %d bytes are used for %d in objects", mix.name, ta.high(), bytes)
		}
	}
}

// TestTinyArenaIsSmall: a few objects do not make an arena of megabytes.
func TestTinyArenaIsSmall(t *testing.T) {
	ta := newTestAllocator(t, 64<<30)
	if high := ta.high(); high > 32<<10 {
		t.Errorf("an empty arena uses %d bytes", high)
	}
	for _, size := range []uint64{16, 24, 40, 64, 100, 256, 1000, 4000} {
		mustAlloc(t, ta, size, 0)
	}
	if high := ta.high(); high > 96<<10 {
		t.Errorf("an arena with 8 objects uses %d bytes", high)
	}
}

// TestAllocationWritesToFewPagesOfMetadata measures what a snapshot pays for
// allocation, beyond the objects themselves.
func TestAllocationWritesToFewPagesOfMetadata(t *testing.T) {
	const (
		count = 1000
		bound = 20
	)
	for _, mix := range sizeMixes {
		if testing.Short() && mix.heap > 256<<20 {
			continue // one goroutine, one seed: the pages are the same in every build
		}
		for _, freed := range []float64{0.1, 0.5} {
			ta := newTestAllocator(t, 2*mix.heap)
			r := rand.New(rand.NewPCG(1, 2))
			live := fragmented(t, ta, r, mix.size, mix.heap, freed)
			before := ta.metadata()
			for range count {
				mustAlloc(t, ta, mix.size(r), 0)
			}
			allocated := ta.changed(before)

			before = ta.metadata()
			for _, off := range live[:count] {
				if err := ta.free(off); err != nil {
					t.Fatal(err)
				}
			}
			t.Logf("%s, %.0f%% of %d MiB freed: %d pages of metadata of %d changed by %d allocations, %d by as many random frees",
				mix.name, freed*100, mix.heap>>20, allocated, ta.touchedMetadata(), count, ta.changed(before))
			if allocated > bound {
				t.Errorf("%s, %.0f%% freed: %d allocations changed %d pages of metadata, at most %d are wanted", mix.name, freed*100, count, allocated, bound)
			}
			ta.unmap()
		}
	}
}

// TestFreeTouchesNoObject: what lies in an object that is freed stays there,
// and so does what lies beside it.
func TestFreeTouchesNoObject(t *testing.T) {
	ta := newTestAllocator(t, 64<<20)
	r := rand.New(rand.NewPCG(3, 4))
	live := fragmented(t, ta, r, sizeMixes[1].size, 16<<20, 0.2)
	metadata := ta.metadata()
	before := ta.image(t)
	for _, off := range live {
		if err := ta.free(off); err != nil {
			t.Fatal(err)
		}
	}
	for page := range uint64(len(before)) >> runPageShift {
		off := page << runPageShift
		if metadata[page] == nil && !bytes.Equal(before[off:off+runPageSize], ta.mapping.Bytes(off, runPageSize)) {
			t.Fatalf("freeing changed page %d, which is not metadata", page)
		}
	}
}
