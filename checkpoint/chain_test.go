package checkpoint

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/uuid"
	"pgregory.net/rapid"

	"github.com/cowheap/cowheap/internal/block"
)

// ranges yields page numbers as a Changed does, neighbours joined.
func ranges(pages ...int) iter.Seq2[int64, int64] {
	slices.Sort(pages)
	pages = slices.Compact(pages)
	return func(yield func(off, n int64) bool) {
		for i := 0; i < len(pages); {
			k := 1
			for i+k < len(pages) && pages[i+k] == pages[i]+k {
				k++
			}
			if !yield(int64(pages[i])*pageSize, int64(k)*pageSize) {
				return
			}
			i += k
		}
	}
}

// changedPages are the pages in which b differs from a, and those that only b
// has and that are not zero.
func changedPages(a, b memory) (pages []int) {
	for p := range len(b) / pageSize {
		now := b[p*pageSize:][:pageSize]
		if (p+1)*pageSize > len(a) && !block.IsZero(now) || (p+1)*pageSize <= len(a) && !bytes.Equal(now, a[p*pageSize:][:pageSize]) {
			pages = append(pages, p)
		}
	}
	return pages
}

// chain is a row of states, each a checkpoint on the one before, in a directory.
type chain struct {
	dir    string
	states []memory
	ids    []uuid.UUID
}

// put writes the next state. pages are what may have changed.
func (c *chain) put(t tester, m memory, compression Compression, pages ...int) string {
	t.Helper()
	n := len(c.states)
	opts := WriteOptions{ID: numberedID(n), Time: testTime, Roots: nil, Compression: compression}
	if n > 0 {
		opts.Parent, opts.ParentSize, opts.Changed = c.ids[n-1], c.states[n-1].Size(), ranges(pages...)
	}
	path := c.path(n)
	if err := os.WriteFile(path, encode(t, m, opts), 0o600); err != nil {
		t.Fatal(err)
	}
	c.states = append(c.states, slices.Clone(m))
	c.ids = append(c.ids, opts.ID)
	return path
}

func (c *chain) path(n int) string { return filepath.Join(c.dir, fileName(numberedID(n))) }

// check reads the n-th state in every way.
func (c *chain) check(t tester, n int) {
	t.Helper()
	im, err := OpenImage(c.path(n))
	if err != nil {
		t.Fatal(err)
	}
	defer im.Close()
	want := c.states[n]
	if im.Size() != want.Size() || im.Info().Chain != n+1 || len(im.Files()) != n+1 {
		t.Fatalf("size %d, want %d; chain of %d, want %d", im.Size(), want.Size(), im.Info().Chain, n+1)
	}
	if err := im.Verify(context.Background(), nil); err != nil {
		t.Fatal(err)
	}
	_, blocks, err := readImage(im)
	if err != nil || !bytes.Equal(blocks, want) {
		t.Fatalf("state %d by blocks: %v, equal %v", n, err, bytes.Equal(blocks, want))
	}
	read := make(memory, len(want))
	if _, err := im.ReadAt(read, 0); err != nil || !bytes.Equal(read, want) {
		t.Fatalf("state %d by ReadAt: %v", n, err)
	}
	page := make([]byte, pageSize)
	for p := int64(0); p < want.Size()/pageSize; p += 97 {
		if err := im.ReadPage(p, page); err != nil || !bytes.Equal(page, want[p*pageSize:][:pageSize]) {
			t.Fatalf("page %d: %v", p, err)
		}
	}
	rows := make(memory, len(want))
	buf := make([]byte, 7*pageSize)
	for region := range im.Regions() {
		if err := im.ReadRuns(region, buf, func(page int, pages []byte) error {
			copy(rows[region*regionSize+page*pageSize:], pages)
			return nil
		}); err != nil {
			t.Fatal(err)
		}
	}
	if !bytes.Equal(rows, want) {
		t.Fatalf("state %d by rows differs", n)
	}
	c.checkDirect(t, im, want)
}

// checkDirect reads as the resolver of a lazy restore does: what Direct points to
// as it stands, over it what ReadRest gives.
func (c *chain) checkDirect(t tester, im *Image, want memory) {
	t.Helper()
	d := im.Direct()
	got := make(memory, len(want))
	var head [block.HeaderSize]byte
	page := make([]byte, pageSize)
	for region, off := range d.Index {
		if off == 0 {
			continue
		}
		if _, err := d.File.ReadAt(head[:], int64(off)); err != nil {
			t.Fatal(err)
		}
		h := block.Header(head[:])
		if err := h.Check(); err != nil || h.ID() != d.ID {
			t.Fatalf("header of region %d: %v, ID %x", region, err, h.ID())
		}
		for i := range pagesIn(int64(region), im.Size()) {
			if !h.Stored(i) {
				continue
			}
			if _, err := d.File.ReadAt(page, int64(off)+block.HeaderSize+int64(h.Rank(i))*pageSize); err != nil {
				t.Fatal(err)
			}
			copy(got[region*regionSize+i*pageSize:], page)
		}
	}
	if d.Whole && !bytes.Equal(got, want) {
		t.Fatal("Direct is said to be whole and is not")
	}
	buf := make([]byte, 5*pageSize)
	for region := range im.Regions() {
		if err := im.ReadRest(&d, region, buf, func(page int, pages []byte) error {
			copy(got[region*regionSize+page*pageSize:], pages)
			return nil
		}); err != nil {
			t.Fatal(err)
		}
	}
	if !bytes.Equal(got, want) {
		t.Fatal("Direct and ReadRest together are not the state")
	}
}

// tester is what rapid's T and testing's have in common.
type tester interface {
	Helper()
	Fatal(args ...any)
	Fatalf(format string, args ...any)
}

// TestChainModel makes chains of random changes, of arenas that grow and shrink,
// with and without compression, and reads every state of them.
func TestChainModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		dir, err := os.MkdirTemp("", "chain")
		if err != nil {
			t.Fatal(err)
		}
		defer os.RemoveAll(dir)
		c := &chain{dir: dir}
		size := func() int { return rapid.IntRange(1, 1300).Draw(t, "pages") }
		m := make(memory, size()*pageSize)
		seed := uint64(0)
		for range rapid.IntRange(1, 6).Draw(t, "links") {
			old := slices.Clone(m)
			if rapid.Bool().Draw(t, "resize") {
				m = slices.Clone(m[:min(len(m), size()*pageSize)])
				m = append(m, make(memory, rapid.IntRange(0, 600).Draw(t, "more")*pageSize)...)
			}
			last := len(m)/pageSize - 1
			var extra []int
			for range rapid.IntRange(0, 12).Draw(t, "writes") {
				p := rapid.IntRange(0, last).Draw(t, "page")
				n := rapid.IntRange(1, 40).Draw(t, "run")
				seed++
				kind := rapid.SampledFrom([]string{"random", "text", "zero", "same"}).Draw(t, "kind")
				for i := p; i <= min(p+n-1, last); i++ {
					to := m[i*pageSize:][:pageSize]
					switch kind {
					case "random":
						rng := rand.New(rand.NewPCG(seed, uint64(i)))
						for j := range to {
							to[j] = byte(rng.Uint32())
						}
					case "text":
						copy(to, bytes.Repeat(fmt.Appendf(nil, "write %d to page %d; ", seed, i), pageSize))
					case "zero":
						clear(to)
					case "same": // may have changed, has not
						extra = append(extra, i)
					}
				}
			}
			compression := rapid.SampledFrom([]Compression{Uncompressed, Uncompressed, S2, Zstd}).Draw(t, "compression")
			c.put(t, m, compression, append(changedPages(old, m), extra...)...)
		}
		for n := range c.states {
			c.check(t, n)
		}
	})
}

// shortChain is a full checkpoint and two on it; the arena grows, shrinks, and
// pages become zero.
func shortChain(t testing.TB, compression Compression) *chain {
	t.Helper()
	c := &chain{dir: t.TempDir()}
	c.put(t, arena(2*regionSize+3*pageSize, 1, 2, 511, 513, 1025), compression)
	c.put(t, arena(regionSize+8*pageSize, 1, 511, 515), compression, 2, 513, 515)
	c.put(t, arena(2*regionSize+8*pageSize, 0, 511, 1030), compression, 0, 1, 515, 1030)
	return c
}

func TestWhatIsBeyondAParentIsZero(t *testing.T) {
	c := shortChain(t, Uncompressed)
	for n := range c.states {
		c.check(t, n)
	}
	// Page 1025 is in the full one, and the one in between does not reach so far.
	im := open(t, c.path(2))
	page := make([]byte, pageSize)
	if err := im.ReadPage(1025, page); err != nil || !block.IsZero(page) {
		t.Errorf("page 1025: %v", err)
	}
}

func open(t testing.TB, path string) *Image {
	t.Helper()
	im, err := OpenImage(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { im.Close() })
	return im
}

func TestIncrementHoldsOnlyWhatChanged(t *testing.T) {
	c := &chain{dir: t.TempDir()}
	m := random(40*regionSize, 0.5)
	c.put(t, m, Uncompressed)
	m[7*regionSize+5] ^= 1
	clear(m[9*regionSize:][:pageSize])
	c.put(t, m, Uncompressed, 7*512, 9*512)
	info := open(t, c.path(1)).Info()
	if !info.Incremental || info.ParentSize != m.Size() || info.Pages != 1 || info.Blocks != 1 || info.Bytes != 4096*(1+2+1) {
		t.Errorf("%+v", info)
	}
	c.check(t, 1)
}

// reading counts what is read of a source.
type reading struct {
	memory
	n int64
}

func (r *reading) ReadAt(p []byte, off int64) (int, error) {
	r.n += int64(len(p))
	return r.memory.ReadAt(p, off)
}

func TestOnlyWhatChangedIsRead(t *testing.T) {
	src := &reading{memory: random(20*regionSize, 1)}
	encode(t, src, WriteOptions{ID: testID, Parent: testParent, ParentSize: src.Size(), Changed: ranges(3, 4, 700, 9000)})
	if src.n != 4*pageSize {
		t.Errorf("%d bytes were read, 4 pages have changed", src.n)
	}
}

func TestNonsenseChangesAreRefused(t *testing.T) {
	pair := func(nums ...int64) iter.Seq2[int64, int64] {
		return func(yield func(off, n int64) bool) {
			for ; len(nums) > 0; nums = nums[2:] {
				if !yield(nums[0], nums[1]) {
					return
				}
			}
		}
	}
	good := WriteOptions{ID: testID, Parent: testParent, ParentSize: 4 * pageSize}
	for name, opts := range map[string]func(o *WriteOptions){
		"not a page":       func(o *WriteOptions) { o.Changed = pair(5, pageSize) },
		"half a page":      func(o *WriteOptions) { o.Changed = pair(0, 100) },
		"descending":       func(o *WriteOptions) { o.Changed = pair(8192, 4096, 0, 4096) },
		"negative":         func(o *WriteOptions) { o.Changed = pair(-4096, 4096) },
		"beyond numbers":   func(o *WriteOptions) { o.Changed = pair(1<<63-4096, 4096) },
		"no parent":        func(o *WriteOptions) { o.Changed, o.Parent = pair(), uuid.Nil },
		"its own parent":   func(o *WriteOptions) { o.Changed, o.Parent = pair(), testID },
		"odd parent size":  func(o *WriteOptions) { o.Changed, o.ParentSize = pair(), 5 },
		"unknown compress": func(o *WriteOptions) { o.Compression = 77 },
	} {
		o := good
		opts(&o)
		var out bytes.Buffer
		if _, err := Write(t.Context(), &out, arena(8*pageSize, 1), o); err == nil || out.Len() > 0 {
			t.Errorf("%s: %v, %d bytes written", name, err, out.Len())
		}
	}
}

// parents finds the members of a chain in a map.
func parents(files map[uuid.UUID][]byte) Parents {
	return func(id uuid.UUID) (io.ReaderAt, int64, error) {
		b, ok := files[id]
		if !ok {
			return nil, 0, os.ErrNotExist
		}
		return bytes.NewReader(b), int64(len(b)), nil
	}
}

// TestHostileChains: loops, wrong parents, sizes that do not fit, parents that
// are missing or damaged, chains without end.
func TestHostileChains(t *testing.T) {
	increment := func(id, parent int, size, parentSize int64) []byte {
		return encode(t, arena(size, 0), WriteOptions{ID: numberedID(id), Parent: numberedID(parent), ParentSize: parentSize, Time: testTime, Changed: ranges(0)})
	}
	full := func(id int, size int64) []byte {
		return encode(t, arena(size, 1), WriteOptions{ID: numberedID(id), Time: testTime})
	}
	const size = 4 * pageSize
	damaged := full(1, size)
	damaged[100] ^= 1
	for name, c := range map[string]struct {
		files map[int][]byte
		want  error
	}{
		"parent missing":        {map[int][]byte{2: increment(2, 1, size, size)}, ErrNoParent},
		"grandparent missing":   {map[int][]byte{3: increment(3, 2, size, size), 2: increment(2, 1, size, size)}, ErrNoParent},
		"loop of two":           {map[int][]byte{2: increment(2, 1, size, size), 1: increment(1, 2, size, size)}, ErrCorrupt},
		"loop behind the start": {map[int][]byte{3: increment(3, 2, size, size), 2: increment(2, 1, size, size), 1: increment(1, 2, size, size)}, ErrCorrupt},
		"parent has another ID": {map[int][]byte{2: increment(2, 1, size, size), 1: full(5, size)}, ErrCorrupt},
		"parent too small":      {map[int][]byte{2: increment(2, 1, size, size), 1: full(1, 2*pageSize)}, ErrCorrupt},
		"parent too large":      {map[int][]byte{2: increment(2, 1, size, size), 1: full(1, 2*size)}, ErrCorrupt},
		"parent damaged":        {map[int][]byte{2: increment(2, 1, size, size), 1: damaged}, ErrCorrupt},
		"parent cut off":        {map[int][]byte{2: increment(2, 1, size, size), 1: full(1, size)[:9000]}, ErrTruncated},
	} {
		t.Run(name, func(t *testing.T) {
			files := map[uuid.UUID][]byte{}
			dir := t.TempDir()
			newest := 0
			for n, b := range c.files {
				files[numberedID(n)] = b
				newest = max(newest, n)
				if err := os.WriteFile(filepath.Join(dir, fileName(numberedID(n))), b, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			b := c.files[newest]
			_, inMemory := NewImage(bytes.NewReader(b), int64(len(b)), parents(files))
			_, inFiles := OpenImage(filepath.Join(dir, fileName(numberedID(newest))))
			for _, err := range []error{inMemory, inFiles} {
				e, ok := errors.AsType[*ParentError](err)
				if !ok || !errors.Is(err, c.want) || e.Parent == uuid.Nil {
					t.Errorf("got %v, want a *ParentError that is %v", err, c.want)
				}
			}
		})
	}
	b := increment(2, 1, size, size)
	if _, err := NewImage(bytes.NewReader(b), int64(len(b)), nil); !errors.Is(err, ErrNoParent) {
		t.Errorf("without parents: %v", err)
	}
}

func TestEndlessChainIsRefused(t *testing.T) {
	id := func(n int) uuid.UUID {
		u := testID
		u[14], u[15] = byte(n>>8), byte(n)
		return u
	}
	opened := 0
	_, err := func() (*Image, error) {
		next := func(n int) []byte {
			return encode(t, arena(pageSize), WriteOptions{ID: id(n), Parent: id(n + 1), ParentSize: pageSize, Time: testTime, Changed: ranges()})
		}
		b := next(0)
		return NewImage(bytes.NewReader(b), int64(len(b)), func(uuid.UUID) (io.ReaderAt, int64, error) {
			opened++
			b := next(opened)
			return bytes.NewReader(b), int64(len(b)), nil
		})
	}()
	if e, ok := errors.AsType[*LimitError](err); !ok || e.Limit != MaxChain || opened != MaxChain-1 {
		t.Fatalf("%v after %d parents", err, opened)
	}
}
