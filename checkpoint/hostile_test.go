package checkpoint

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math"
	"runtime"
	"strings"
	"testing"

	"github.com/cowheap/cowheap/internal/block"
)

// reseal makes every checksum of a checkpoint right again, as a hostile writer
// would: what the checksums cannot refuse, the checks behind them must.
func reseal(b []byte) {
	put := binary.LittleEndian.PutUint32
	get := binary.LittleEndian.Uint32
	if len(b) < headerUnit {
		return
	}
	length := int64(get(b[hLength:]))
	if length < headerUnit || length > int64(len(b)) {
		return
	}
	put(b[hCRC:], block.CRCWithout(b[:length], hCRC))
	at := int(length)
	for at+block.HeaderSize <= len(b) && (get(b[at:]) == block.Magic || get(b[at:]) == block.SparseMagic) {
		h := block.Header(b[at : at+block.HeaderSize])
		rest := b[at+block.HeaderSize:]
		size := resealPages(h, rest) * pageSize
		if h.Codec() != block.Raw {
			size = 0
			for i := range block.Pieces {
				n := int(min(get(h[block.PieceOff+8*i:]), block.PieceSize))
				if n > 0 && size+n <= len(rest) {
					put(h[block.PieceOff+8*i+4:], block.CRC(rest[size:size+n]))
				}
				size += n
			}
			size = int(roundUp(int64(size), pageSize))
		}
		put(h[block.CRCOff:], block.CRCWithout(h, block.CRCOff))
		at += block.HeaderSize + min(size, len(rest))
	}
	if at+trailerSize > len(b) || at%headerUnit != 0 {
		return
	}
	trailer := b[len(b)-trailerSize:]
	put(trailer[tIndexCRC:], block.CRC(b[at:len(b)-trailerSize]))
	put(trailer[tHeaderCRC:], get(b[hCRC:]))
	put(trailer[tCRC:], block.CRCWithout(trailer, tCRC))
}

// resealPages makes the checksums of a block's pages right, as far as rest has
// them, and says how many there are.
func resealPages(h block.Header, rest []byte) (n int) {
	page := func(rank int) []byte {
		if end := (rank + 1) * pageSize; end <= len(rest) {
			return rest[end-pageSize : end]
		}
		return nil
	}
	if isSparse(h) {
		s := block.Sparse(h)
		for i := range min(uint(s.Len()), block.MaxEntries) {
			if s.Entry(int(i)).Zero {
				continue
			}
			if p := page(n); p != nil && h.Codec() == block.Raw {
				binary.LittleEndian.PutUint32(h[block.EntryOff+8*i+4:], block.CRC(p))
			}
			n++
		}
		return n
	}
	for run := range h.Runs() {
		for j := range run.Count {
			if p := page(n); p != nil && h.Codec() == block.Raw {
				binary.LittleEndian.PutUint32(h[block.PageCRCOff+4*(run.Page+j):], block.CRC(p))
			}
			n++
		}
	}
	return n
}

func TestResealLeavesAGoodCheckpointAsItIs(t *testing.T) {
	all := [][]byte{encode(t, small(), testOptions())}
	for _, b := range append(all, increments(t)...) {
		again := bytes.Clone(b)
		reseal(again)
		if !bytes.Equal(b, again) {
			t.Fatal("reseal is wrong, so the tests that use it prove nothing")
		}
	}
}

func swap(a, b []byte) {
	c := bytes.Clone(a)
	copy(a, b)
	copy(b, c)
}

func TestOtherVersionsAndPageSizesAreNamed(t *testing.T) {
	good := encode(t, small(), testOptions())
	for name, c := range map[string]struct {
		off   int
		value uint32
		says  string
	}{
		"version 2":     {hVersion, 2, "format version 2, this version of cowheap reads 1 to 1"},
		"version 0":     {hVersion, 0, "format version 0, this version of cowheap reads 1 to 1"},
		"pages of 16 K": {hPageSize, 16384, "pages of 16384 bytes, this version of cowheap reads pages of 4096"},
		"a new feature": {hFlags, 8, "features 0x8"},
	} {
		t.Run(name, func(t *testing.T) {
			for _, sealed := range []bool{true, false} {
				b := bytes.Clone(good)
				binary.LittleEndian.PutUint32(b[c.off:], c.value)
				if sealed {
					reseal(b)
				}
				stream := drain(bytes.NewReader(b))
				file := drainFile(tempFile(t, b))
				for _, err := range []error{stream, file} {
					if !isTyped(err) || !strings.Contains(err.Error(), c.says) {
						t.Errorf("got %v, want %q", err, c.says)
					}
					// What may be a flipped bit is damage as well, so that a
					// directory falls back; what was written so is not.
					if errors.Is(err, ErrCorrupt) == sealed || strings.Contains(err.Error(), "damaged") == sealed {
						t.Errorf("checksum right: %v, yet %v", sealed, err)
					}
					if !strings.Contains(err.Error(), "use the version that wrote it") && !strings.Contains(err.Error(), "restore it on a machine") {
						t.Errorf("no remedy in: %v", err)
					}
				}
			}
		})
	}
}

// TestHeaderOfAnotherVersionMayHaveAnyLength: the length field is promised to
// stay, what it counts is not.
func TestHeaderOfAnotherVersionMayHaveAnyLength(t *testing.T) {
	b := bytes.Clone(encode(t, small(), testOptions()))
	binary.LittleEndian.PutUint32(b[hVersion:], 7)
	for _, length := range []uint32{0, 1, 8192, 1 << 20, math.MaxUint32} {
		binary.LittleEndian.PutUint32(b[hLength:], length)
		err := drain(bytes.NewReader(b))
		if e, ok := errors.AsType[*VersionError](err); !ok || e.Got != 7 || !e.Damaged {
			t.Errorf("length %d: %v", length, err)
		}
	}
}

// allocated is how many bytes fn takes from the heap.
func allocated(fn func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	fn()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

func TestArenaLargerThanAllowedIsRefusedBeforeItsIndex(t *testing.T) {
	src := holes{size: 1 << 40, pages: map[int64][]byte{3: arena(pageSize, 0)}}
	path := tempFile(t, encodeHoles(t, src))
	var err error
	if n := allocated(func() { _, err = OpenImageMax(path, 1<<30) }); n > 1<<20 {
		t.Errorf("%d bytes were taken", n)
	}
	e, ok := errors.AsType[*LimitError](err)
	if !ok || e.Got != 1<<40 || e.Limit != 1<<30 || e.Path != path || errors.Is(err, ErrCorrupt) {
		t.Fatalf("got %v", err)
	}
	im, err := OpenImageMax(path, 1<<40)
	if err != nil {
		t.Fatal(err)
	}
	im.Close()
}

// TestBlockOutOfOrderIsNotHandedOut: the index would show it in the end, but by
// then the caller has written the region twice.
func TestBlockOutOfOrderIsNotHandedOut(t *testing.T) {
	a := encode(t, small(), testOptions())
	firstBlock := headerUnit + 3*pageSize
	for name, b := range map[string][]byte{
		"twice":     join(a[:firstBlock], a[headerUnit:firstBlock]),
		"backwards": join(a[:headerUnit], a[firstBlock:len(a)-4096], a[headerUnit:firstBlock]),
	} {
		rd, err := NewReader(bytes.NewReader(b))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := rd.Next(); err != nil {
			t.Fatal(err)
		}
		if _, err := rd.Next(); !errors.Is(err, ErrCorrupt) || errors.Is(err, ErrTruncated) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
