package checkpoint

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/cowheap/cowheap/internal/block"
)

// spread is a checkpoint of full regions and one after a few pages of each, and in
// one region many, were written; page 3 of each has become zero.
func spread(t testing.TB, regions int, compression Compression) *chain {
	t.Helper()
	c := &chain{dir: t.TempDir()}
	var stored []int
	for r := range regions {
		stored = append(stored, pagesBetween(r*512, 8)...)
	}
	m := textArena(int64(regions)*regionSize, stored...)
	c.put(t, m, compression)
	next := slices.Clone(m)
	for r := range regions {
		copy(next[(r*512+r%3)*pageSize:], fmt.Sprintf("region %d has changed", r))
		clear(next[(r*512+3)*pageSize:][:pageSize])
		copy(next[(r*512+9)*pageSize:], arena(pageSize, 0))
	}
	many := regions / 2 * 512
	copy(next[many*pageSize:], arena(500*pageSize, pagesBetween(0, 500)...))
	c.put(t, next, compression, changedPages(m, next)...)
	return c
}

func TestChangedPagesOfManyRegionsShareABlock(t *testing.T) {
	c := spread(t, 41, Uncompressed)
	c.check(t, 1)
	info := open(t, c.path(1)).Info()
	// One block for the 20 regions before that with many pages, one for it, one for those after it.
	pages := int64(40*2 + 500)
	if info.Blocks != 3 || info.Pages != pages || info.Bytes != (1+3+pages+1)*pageSize || !info.Sparse {
		t.Errorf("%+v", info)
	}
	full := open(t, c.path(0)).Info()
	if full.Sparse || full.Blocks != 41 {
		t.Errorf("the full one: %+v", full)
	}
}

// TestSparseBlocksAreAsFewAsCanBe compares with the smallest number of blocks that
// neighbouring regions can be parted into, found by trying.
func TestSparseBlocksAreAsFewAsCanBe(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var c changes
		region := int64(0)
		for range rapid.IntRange(0, 30).Draw(t, "regions") {
			region += rapid.SampledFrom([]int64{1, 2, 1000, block.MaxSpan - 1, block.MaxSpan}).Draw(t, "gap")
			n := rapid.OneOf(rapid.IntRange(1, 10), rapid.IntRange(1, 512)).Draw(t, "pages")
			c.regions = append(c.regions, changedRegion{region, block.FirstPages(n)})
		}
		fewest := make([]int64, len(c.regions)+1) // of the first so many regions
		for end := range c.regions {
			fewest[end+1] = fewest[end] + 1
			for first, pages := end, 0; first >= 0; first-- {
				pages += c.regions[first].pages.Len()
				if pages > block.MaxEntries || c.regions[end].region-c.regions[first].region >= block.MaxSpan {
					break
				}
				fewest[end+1] = min(fewest[end+1], fewest[first]+1)
			}
		}
		if got := c.blocks(); got != fewest[len(c.regions)] {
			t.Fatalf("%d blocks, want %d", got, fewest[len(c.regions)])
		}
		var all []changedRegion
		sparse := false
		for task := range tasks(&c, 0) {
			n := 0
			for _, r := range task.regions {
				n += r.pages.Len()
			}
			first, last := task.regions[0].region, task.regions[len(task.regions)-1].region
			if len(task.regions) > 1 && (n > block.MaxEntries || last-first >= block.MaxSpan) {
				t.Fatalf("regions %d to %d with %d pages share a block", first, last, n)
			}
			sparse = sparse || len(task.regions) > 1
			all = append(all, task.regions...)
		}
		if !slices.Equal(all, c.regions) || sparse != c.sparse() {
			t.Fatal("regions are missing, or the feature is wrong")
		}
	})
}

// TestRegionAloneHasAnOrdinaryBlock: such increments are as they were before there
// were sparse blocks, and older versions read them.
func TestRegionAloneHasAnOrdinaryBlock(t *testing.T) {
	for name, changed := range map[string][]int{
		"one page":           {700},
		"many pages":         pagesBetween(512, 100),
		"two full ones":      pagesBetween(512, 1024),
		"too many for a few": append(pagesBetween(512, 300), pagesBetween(1024, 300)...),
	} {
		opts := WriteOptions{ID: testID, Parent: testParent, ParentSize: 4 * regionSize, Time: testTime, Changed: ranges(changed...)}
		b := encode(t, random(4*regionSize, 1), opts)
		if b[hFlags] != flagIncremental || bytes.Contains(b, []byte("CWS1")) {
			t.Errorf("%s: features %#x", name, b[hFlags])
		}
	}
}

// TestWhatIsBeyondTheParentAndZeroMakesNoSparseBlock: of these regions only one has
// anything in the end, which an ordinary block holds in as many bytes.
func TestWhatIsBeyondTheParentAndZeroMakesNoSparseBlock(t *testing.T) {
	for name, stored := range map[string][]int{"first": {1}, "last": {1030}, "none": nil} {
		opts := WriteOptions{ID: testID, Parent: testParent, ParentSize: 0, Time: testTime, Changed: ranges(1, 600, 1030)}
		b := encode(t, arena(3*regionSize, stored...), opts)
		if bytes.Contains(b, []byte("CWS1")) || len(b) != (2+2*len(stored))*pageSize {
			t.Errorf("%s: %d bytes", name, len(b))
		}
		_, got, err := readStream(bytes.NewReader(b))
		if err != nil || !bytes.Equal(got, arena(3*regionSize, stored...)) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestFullCheckpointsAreAsTheyWere compares with the sum of what was written before
// there were sparse blocks.
func TestFullCheckpointsAreAsTheyWere(t *testing.T) {
	const want = "f97d237aba64c05fe851a1bdf32f90657d1b7ee47cdef5d4d66f257869d4ce06"
	if got := fmt.Sprintf("%x", sha256.Sum256(encode(t, random(5*regionSize+3*pageSize, 0.3), testOptions()))); got != want {
		t.Errorf("the sum is %s", got)
	}
}

func TestStreamGivesTheRegionsOfASparseBlockOneByOne(t *testing.T) {
	for _, compression := range []Compression{Uncompressed, S2} {
		c := spread(t, 9, compression)
		b, err := os.ReadFile(c.path(1))
		if err != nil {
			t.Fatal(err)
		}
		rd, err := NewReader(bytes.NewReader(b))
		if err != nil {
			t.Fatal(err)
		}
		m := slices.Clone(c.states[0])
		for region := range 9 {
			blk, err := rd.Next()
			if err != nil || blk.Region != region {
				t.Fatalf("region %d of %d: %v", region, blk.Region, err)
			}
			if err := blk.Header.Check(); err != nil || blk.Header.Size()-block.HeaderSize != len(blk.Pages) {
				t.Fatalf("region %d: %v, %d bytes", region, err, len(blk.Pages))
			}
			zeros := blk.Header.ZeroPages()
			for first, n := range zeros.Runs() {
				clear(m[region*regionSize+first*pageSize:][:n*pageSize])
			}
			m.put(blk)
		}
		if err := drainRest(rd); err != nil || !bytes.Equal(m, c.states[1]) {
			t.Fatalf("%v: %v, equal %v", compression, err, bytes.Equal(m, c.states[1]))
		}
	}
}

func drainRest(rd *Reader) error {
	for {
		if _, err := rd.Next(); err != nil {
			if err == io.EOF {
				return nil
			}
			return err
		}
	}
}

// TestSparseChainModel makes chains in which some regions change in a few pages, some
// in most, where the arena grows and shrinks and pages become zero, and compares every
// state, read in every way, with a copy. The last link has blocks of either kind.
func TestSparseChainModel(t *testing.T) {
	const most = 4 * 512 // pages of an arena
	rapid.Check(t, func(t *rapid.T) {
		dir, err := os.MkdirTemp("", "sparse")
		if err != nil {
			t.Fatal(err)
		}
		defer os.RemoveAll(dir)
		c := &chain{dir: dir}
		draw := func(name string, least, most int) int { return rapid.IntRange(least, most).Draw(t, name) }
		rng := rand.New(rand.NewPCG(uint64(draw("seed", 0, 1<<30)), 1))
		m := make(memory, draw("pages", 1, most)*pageSize)
		links := draw("links", 1, 3)
		for n := range links + 1 {
			old := slices.Clone(m)
			writes := func(int) int { return rapid.SampledFrom([]int{0, 1, 3, 20, 200, 2000}).Draw(t, "writes") }
			if n == links {
				m = append(m, make(memory, most*pageSize-len(m))...)
				writes = func(region int) int { return []int{20, 20, 0, 1}[region] }
				for p := 2 * 512; p < 3*512; p++ {
					m[p*pageSize+7]++
				}
			} else if n > 0 && rapid.Bool().Draw(t, "resize") {
				kept := min(len(m)/pageSize, draw("shrink", 1, most))
				m = slices.Clone(m[:kept*pageSize])
				m = append(m, make(memory, draw("grow", 0, most-kept)*pageSize)...)
			}
			extra := writeModel(m, rng, writes)
			compression := rapid.SampledFrom([]Compression{Uncompressed, Uncompressed, S2, Zstd}).Draw(t, "compression")
			path := c.put(t, m, compression, append(changedPages(old, m), extra...)...)
			if sparse, ordinary := countBlocks(t, path); n == links && (sparse == 0 || ordinary == 0) {
				t.Fatalf("%d sparse blocks, %d others: the test shows less than it should", sparse, ordinary)
			}
		}
		for n := range c.states {
			c.check(t, n)
		}
		c.checkFold(t)
	})
}

// writeModel changes pages of each region, as many times as writes says, and answers
// those that may have changed and have not.
func writeModel(m memory, rng *rand.Rand, writes func(region int) int) (extra []int) {
	for first := 0; first < len(m)/pageSize; first += 512 {
		n := min(512, len(m)/pageSize-first)
		for range writes(first / 512) {
			p := first + rng.IntN(n)
			page := m[p*pageSize:][:pageSize]
			switch rng.IntN(6) {
			case 0, 1, 2:
				random := rand.NewChaCha8([32]byte{byte(p), byte(p >> 8), byte(rng.Uint32())})
				_, _ = random.Read(page)
			case 3:
				copy(page, bytes.Repeat([]byte{byte(p), 'x', byte(rng.Uint32())}, pageSize/3))
			case 4:
				clear(page)
			case 5:
				extra = append(extra, p)
			}
		}
	}
	return extra
}

// countBlocks counts the blocks of either kind in a file.
func countBlocks(t tester, path string) (sparse, ordinary int) {
	t.Helper()
	l, err := openLink(path, MaxSize)
	if err != nil {
		t.Fatal(err)
	}
	defer l.close()
	for region := range l.index {
		switch {
		case !l.isFirst(region):
		case l.isSparse(region):
			sparse++
		default:
			ordinary++
		}
	}
	return sparse, ordinary
}

// checkFold compares the folded chain with a full checkpoint of the same state.
func (c *chain) checkFold(t tester) {
	t.Helper()
	n := len(c.states) - 1
	im, err := OpenImage(c.path(n))
	if err != nil {
		t.Fatal(err)
	}
	defer im.Close()
	var folded bytes.Buffer
	if _, err := Fold(context.Background(), &folded, im, WriteOptions{}); err != nil {
		t.Fatal(err)
	}
	if want := encode(t, c.states[n], WriteOptions{ID: c.ids[n], Parent: im.Info().Parent, Time: testTime}); !bytes.Equal(folded.Bytes(), want) {
		t.Fatal("the folded chain is not the full checkpoint of its state")
	}
}

func TestSparseBlocksAreReceivedAsTheyAre(t *testing.T) {
	c := spread(t, 9, Zstd)
	s, err := OpenStore(t.TempDir(), StoreOptions{NoFold: true})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for n := range c.states {
		b, err := os.ReadFile(c.path(n))
		if err != nil {
			t.Fatal(err)
		}
		info, err := s.Receive(t.Context(), bytes.NewReader(b))
		if err != nil {
			t.Fatal(err)
		}
		got, err := os.ReadFile(info.Path)
		if err != nil || !bytes.Equal(got, b) {
			t.Fatalf("file %d: %v", n, err)
		}
	}
	if err := s.Verify(t.Context(), c.ids[1], nil); err != nil {
		t.Error(err)
	}
	info, err := s.Fold(t.Context(), c.ids[1])
	if err != nil || info.Incremental || info.Sparse || filepath.Base(info.Path) != fileName(c.ids[1]) {
		t.Errorf("folded: %+v, %v", info, err)
	}
	if _, got, err := readFile(info.Path); err != nil || !bytes.Equal(got, c.states[1]) {
		t.Errorf("folded: %v", err)
	}
}

// TestExpandedPiecesAreKeptForTheirFileOnly reads two chains in turn whose pieces stand
// at the same places: what one has left expanded must not be taken for the other's.
func TestExpandedPiecesAreKeptForTheirFileOnly(t *testing.T) {
	made := func(letter byte) *Image {
		c := &chain{dir: t.TempDir()}
		m := make(memory, 9*regionSize)
		c.put(t, m, S2)
		var changed []int
		for region := range 9 {
			for i := range 3 {
				copy(m[(region*512+i)*pageSize:], bytes.Repeat([]byte{letter, byte(region), byte(i), letter}, pageSize/4))
				changed = append(changed, region*512+i)
			}
		}
		c.put(t, m, S2, changed...)
		return open(t, c.path(1))
	}
	a, b := made('a'), made('b')
	if a.Info().Bytes != b.Info().Bytes || !a.links[0].isCompressed(8) || !a.links[0].isSparse(8) {
		t.Fatal("the files are not alike")
	}
	page := make([]byte, pageSize)
	for region := range 9 {
		for i := range 3 {
			for letter, im := range map[byte]*Image{'a': a, 'b': b} {
				err := im.ReadPage(int64(region*512+i), page)
				if err != nil || !bytes.Equal(page, bytes.Repeat([]byte{letter, byte(region), byte(i), letter}, pageSize/4)) {
					t.Fatalf("page %d of region %d of %c: %v", i, region, letter, err)
				}
			}
		}
	}
}
