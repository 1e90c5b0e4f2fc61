package checkpoint

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/cowheap/cowheap/internal/block"
)

// sparseFile is an incremental checkpoint, not compressed, on a parent that has the
// same size: a sparse block of regions 0 and 1 (pages 2 and 5, and page 1, which has
// become zero, and 8), the block of region 2 (too many pages), and a sparse block of
// regions 3 and 4 (page 7 each).
func sparseFile(t tester, compression Compression) (memory, []byte) {
	changed := append(pagesBetween(1024, 500), 2, 5, 513, 520, 3*512+7, 4*512+7)
	m := arena(5*regionSize, append(slices.Clone(changed[:500]), 2, 5, 520, 3*512+7, 4*512+7)...)
	if compression != Uncompressed {
		m = textArena(5*regionSize, append(slices.Clone(changed[:500]), 2, 5, 520, 3*512+7, 4*512+7)...)
	}
	return m, encode(t, m, WriteOptions{
		ID: testID, Parent: testParent, ParentSize: m.Size(), Time: testTime, Compression: compression, Changed: ranges(changed...),
	})
}

// Where the parts of sparseFile are.
const (
	sparse1 = headerUnit
	middle  = sparse1 + 4*pageSize
	sparse2 = middle + 501*pageSize
	sIndex  = sparse2 + 3*pageSize
)

// TestRightChecksumsDoNotExcuseSparseNonsense changes what a sparse block or the
// index says of it and makes all checksums right. Stream, Verify and a reader of
// the region refuse it by type.
func TestRightChecksumsDoNotExcuseSparseNonsense(t *testing.T) {
	le := binary.LittleEndian
	_, good := sparseFile(t, Uncompressed)
	for at, want := range map[int]uint32{sparse1: block.SparseMagic, middle: block.Magic, sparse2: block.SparseMagic, sIndex: indexMagic} {
		if got := le.Uint32(good[at:]); got != want {
			t.Fatalf("at %d is %#x: this test would prove nothing", at, got)
		}
	}
	entry := func(b []byte, i int) []byte { return b[sparse1+block.EntryOff+8*i:][:8] }
	entry2 := func(b []byte, i int) []byte { return b[sparse2+block.EntryOff+8*i:][:8] }
	index := func(b []byte, region int) []byte { return b[sIndex+xEntries+8*region:][:8] }
	const zero = 1 << 31
	for name, change := range map[string]func(b []byte){
		"entries out of order":       func(b []byte) { swap(entry(b, 0), entry(b, 1)) },
		"entry twice":                func(b []byte) { copy(entry(b, 1), entry(b, 0)[:4]) },
		"stored and zero":            func(b []byte) { le.PutUint32(entry(b, 2), 5|zero) },
		"entry beyond the arena":     func(b []byte) { le.PutUint32(entry2(b, 1), 2*512) },
		"entry far beyond the arena": func(b []byte) { le.PutUint32(entry2(b, 1), zero-1) },
		"zero beyond the arena": func(b []byte) {
			copy(entry(b, 3), "\xff\xff\xff\xff\x00\x00\x00\x00")
			le.PutUint32(b[sparse1+block.CountOff:], 2)
		},
		"first region beyond":           func(b []byte) { b[sparse2+block.RegionOff] = 5 },
		"first region the last":         func(b []byte) { le.PutUint32(b[sparse2+block.RegionOff:], 1<<32-1) },
		"entry in a covered region":     func(b []byte) { le.PutUint32(entry(b, 3), 2*512+8) },
		"entry behind a covered region": func(b []byte) { le.PutUint32(entry(b, 3), 4*512+8) },
		"second block starts covered":   func(b []byte) { b[sparse2+block.RegionOff] = 1; le.PutUint32(entry2(b, 1), 2*512+7) },
		"second block in the first":     func(b []byte) { b[sparse2+block.RegionOff] = 0 },
		"another region":                func(b []byte) { le.PutUint32(entry(b, 1), 512) },
		"count too large":               func(b []byte) { b[sparse1+block.CountOff]++ },
		"count huge":                    func(b []byte) { le.PutUint32(b[sparse1+block.CountOff:], 1<<32-1) },
		"count too small":               func(b []byte) { b[sparse1+block.CountOff]-- },
		"entries too many":              func(b []byte) { b[sparse1+block.EntriesOff]++ },
		"entries too few":               func(b []byte) { b[sparse1+block.EntriesOff]-- },
		"entries none":                  func(b []byte) { b[sparse1+block.EntriesOff] = 0 },
		"entries huge":                  func(b []byte) { le.PutUint32(b[sparse1+block.EntriesOff:], 1<<32-1) },
		"zero mark with bytes":          func(b []byte) { le.PutUint32(entry(b, 0), 2|zero); clear(entry(b, 0)[4:]) },
		"zero mark with a checksum":     func(b []byte) { entry(b, 2)[4] = 1 },
		"zero mark lost":                func(b []byte) { le.PutUint32(entry(b, 2), 513) },
		"block of another":              func(b []byte) { b[sparse1+block.IDOff] ^= 1 },
		"reserved":                      func(b []byte) { b[sparse1+block.HeaderSize-1] = 1 },
		"compressed without the flag": func(b []byte) {
			b[sparse1+block.CodecOff] = block.S2
			le.PutUint32(b[sparse1+block.PieceOff:], pageSize)
		},
		"feature missing":             func(b []byte) { b[hFlags] &^= flagSparse },
		"sparse and full":             func(b []byte) { b[hFlags] = flagSparse; clear(b[hParentLen:][:8]) },
		"ordinary magic":              func(b []byte) { le.PutUint32(b[sparse1:], block.Magic) },
		"sparse magic":                func(b []byte) { le.PutUint32(b[middle:], block.SparseMagic) },
		"index: not sparse":           func(b []byte) { index(b, 0)[0] = 0 },
		"index: sparse without pages": func(b []byte) { index(b, 0)[0] = entrySparse },
		"index: pages without sparse": func(b []byte) { index(b, 2)[0] = 2 * entryPages },
		"index: one page less":        func(b []byte) { index(b, 0)[0] -= entryPages },
		"index: one page more":        func(b []byte) { index(b, 0)[0] += entryPages },
		"index: a page elsewhere":     func(b []byte) { index(b, 0)[0] -= entryPages; index(b, 1)[0] += entryPages },
		"index: too many pages":       func(b []byte) { le.PutUint16(index(b, 0), le.Uint16(index(b, 0))|0xffc) },
		"index: compressed":           func(b []byte) { index(b, 0)[0] |= entryCompressed },
		"index: first region missing": func(b []byte) { clear(index(b, 0)) },
		"index: last region missing":  func(b []byte) { clear(index(b, 1)) },
		"index: region of another":    func(b []byte) { copy(index(b, 2), index(b, 1)) },
		"index: regions exchanged":    func(b []byte) { swap(index(b, 3), index(b, 2)) },
		"index: in the other block":   func(b []byte) { copy(index(b, 3), index(b, 1)) },
		"index: a region between":     func(b []byte) { copy(index(b, 4), index(b, 1)) },
		"index: a page inside":        func(b []byte) { index(b, 1)[1] += 0x10 },
		"trailer: blocks by region":   func(b []byte) { b[len(b)-trailerSize+tBlocks] = 5 },
		"trailer: pages with zeros":   func(b []byte) { b[len(b)-trailerSize+tPages]++ },
	} {
		t.Run(name, func(t *testing.T) {
			b := bytes.Clone(good)
			change(b)
			reseal(b)
			stream := drain(bytes.NewReader(b))
			if !isTyped(stream) || !errors.Is(stream, ErrCorrupt) {
				t.Errorf("stream: %v", stream)
			}
			file := verifyAlone(t, b)
			if !isTyped(file) || !errors.Is(file, ErrCorrupt) || strings.Contains(file.Error(), "%!") {
				t.Errorf("file: %v", file)
			}
		})
	}
	again := bytes.Clone(good)
	reseal(again)
	if err := errors.Join(drain(bytes.NewReader(again)), verifyAlone(t, again)); err != nil || !bytes.Equal(again, good) {
		t.Errorf("the good one: %v", err)
	}
}

// TestRightHeaderDoesNotExcuseAWrongPage: the list's checksum is right, a page's is not.
func TestRightHeaderDoesNotExcuseAWrongPage(t *testing.T) {
	for _, compression := range []Compression{Uncompressed, S2, Zstd} {
		_, b := sparseFile(t, compression)
		h := block.Header(b[sparse1:][:block.HeaderSize])
		binary.LittleEndian.PutUint32(h[block.EntryOff+8+4:], 0xdeadbeef) // page 5 of region 0
		block.Sparse(h).Seal()
		for _, err := range []error{drain(bytes.NewReader(b)), verifyAlone(t, b)} {
			e, ok := errors.AsType[*ChecksumError](err)
			want := int64(sparse1 + block.HeaderSize + pageSize)
			if compression != Uncompressed {
				want = sparse1 + block.HeaderSize // of the piece
			}
			if !ok || e.What != "page 5 of region 0" || e.Want != 0xdeadbeef || e.Offset != want {
				t.Errorf("%v: %v, offset %d", compression, err, e.Offset)
			}
		}
	}
}

// TestHostileSparseCompression: what expands to more or less, and garbage.
func TestHostileSparseCompression(t *testing.T) {
	_, good := sparseFile(t, S2)
	old := block.Header(good[sparse1:][:block.HeaderSize])
	end := sparse1 + old.Size()
	compress := func(pages int) []byte {
		out, _ := S2.compress(make([]byte, 0, 4<<20), bytes.Repeat([]byte("bomb"), pages*1024))
		return bytes.Clone(out)
	}
	for name, piece := range map[string][]byte{
		"bomb":        compress(512),
		"a page more": compress(4),
		"a page less": compress(2),
		"nothing":     compress(0),
		"garbage":     []byte("garbage that nobody compressed"),
		"other pages": compress(3),
	} {
		b := bytes.Clone(good)
		h := block.Header(b[sparse1:][:block.HeaderSize])
		h.SetPiece(0, piece)
		block.Sparse(h).Seal()
		if h.Size() != old.Size() || end-sparse1 != 2*pageSize {
			t.Fatalf("%s: %d bytes", name, h.Size())
		}
		clear(b[sparse1+block.HeaderSize : end])
		copy(b[sparse1+block.HeaderSize:], piece)
		var stream, file error
		n := allocated(func() { stream, file = drain(bytes.NewReader(b)), verifyAlone(t, b) })
		for _, err := range []error{stream, file} {
			if !isTyped(err) || !errors.Is(err, ErrCorrupt) {
				t.Errorf("%s: %v", name, err)
			}
		}
		if n > 24<<20 {
			t.Errorf("%s: %d bytes were taken", name, n)
		}
	}
}

// TestSparseBlockOutOfOrderIsNotHandedOut: the index would show it in the end, but by
// then the caller has written a region twice.
func TestSparseBlockOutOfOrderIsNotHandedOut(t *testing.T) {
	_, b := sparseFile(t, Uncompressed)
	for name, c := range map[string]struct {
		b    []byte
		good int // regions before it
	}{
		"twice":     {join(b[:middle], b[sparse1:]), 2},
		"backwards": {join(b[:sparse1], b[middle:sIndex], b[sparse1:middle], b[sIndex:]), 3},
	} {
		rd, err := NewReader(bytes.NewReader(c.b))
		if err != nil {
			t.Fatal(err)
		}
		for range c.good {
			if _, err := rd.Next(); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := rd.Next(); !errors.Is(err, ErrCorrupt) || errors.Is(err, ErrTruncated) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestReaderOfOneRegionBelievesNoIndex opens files whose index is forged to agree
// with itself, and reads each region.
func TestReaderOfOneRegionBelievesNoIndex(t *testing.T) {
	m, good := sparseFile(t, Uncompressed)
	parent := encode(t, make(memory, m.Size()), WriteOptions{ID: testParent, Time: testTime})
	index := func(b []byte, region int) []byte { return b[sIndex+xEntries+8*region:][:8] }
	for name, c := range map[string]struct {
		change  func(b []byte)
		regions []int // that cannot be read
	}{
		"good":             {func([]byte) {}, nil},
		"a page elsewhere": {func(b []byte) { index(b, 0)[0] -= entryPages; index(b, 1)[0] += entryPages }, []int{0, 1}},
		"a region for other": {func(b []byte) {
			copy(index(b, 4), index(b, 3))
			copy(index(b, 3), make([]byte, 8))
			index(b, 4)[0] += entryPages
		}, []int{4}},
	} {
		b := bytes.Clone(good)
		c.change(b)
		reseal(b)
		im, err := NewImage(bytes.NewReader(b), int64(len(b)), func(uuid.UUID) (io.ReaderAt, int64, error) {
			return bytes.NewReader(parent), int64(len(parent)), nil
		})
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		for region := range im.Regions() {
			_, err := im.ReadBlock(region, make([]byte, block.MaxSize))
			if want := slices.Contains(c.regions, region); (err != nil) != want || want && !(isTyped(err) && errors.Is(err, ErrCorrupt)) {
				t.Errorf("%s, region %d: %v", name, region, err)
			}
		}
		if err := im.Verify(t.Context(), nil); (err != nil) != (c.regions != nil) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestSparseIndexMustDescribeTheFile: what the index alone shows is refused when the
// file is opened, because a lazy restore does no more at first.
func TestSparseIndexMustDescribeTheFile(t *testing.T) {
	_, good := sparseFile(t, Uncompressed)
	if _, err := linkOf(good); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(index []byte){
		"more pages than entries":        func(b []byte) { b[0] = entrySparse + entryPages; b[8] = entrySparse + entryPages },
		"more entries than can be":       func(b []byte) { binary.LittleEndian.PutUint16(b[8:], binary.LittleEndian.Uint16(b[8:])+470*entryPages) },
		"sparse without entries":         func(b []byte) { b[0] = entrySparse },
		"entries without sparse":         func(b []byte) { b[16] = entryPages },
		"compressed without the feature": func(b []byte) { b[0] |= entryCompressed; b[8] |= entryCompressed },
		"a region of a later block":      func(b []byte) { copy(b[8:16], b[24:32]) },
		"a region of an earlier block":   func(b []byte) { copy(b[24:32], b[8:16]) },
		"not where a block is":           func(b []byte) { b[8+1] += 0x10 },
	} {
		b := bytes.Clone(good)
		change(b[sIndex+xEntries:])
		reseal(b)
		if _, err := linkOf(b); !isTyped(err) || !errors.Is(err, ErrCorrupt) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
