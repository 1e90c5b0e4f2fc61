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

// TestRightChecksumsDoNotExcuseNonsense changes one field and makes all
// checksums right.
func TestRightChecksumsDoNotExcuseNonsense(t *testing.T) {
	le := binary.LittleEndian
	good := encode(t, small(), testOptions())
	block1 := headerUnit
	block2 := block1 + 3*pageSize
	index := len(good) - 4096
	trailer := len(good) - trailerSize
	for name, change := range map[string]func(b []byte){
		"size not whole pages":     func(b []byte) { b[hSize]++ },
		"size two pages less":      func(b []byte) { le.PutUint64(b[hSize:], uint64(small().Size()-2*pageSize)) },
		"size a region less":       func(b []byte) { le.PutUint64(b[hSize:], uint64(small().Size()-regionSize)) },
		"size a region more":       func(b []byte) { le.PutUint64(b[hSize:], uint64(small().Size()+regionSize)) },
		"size nothing":             func(b []byte) { le.PutUint64(b[hSize:], 0) },
		"size the largest":         func(b []byte) { le.PutUint64(b[hSize:], uint64(MaxSize)) },
		"size beyond the largest":  func(b []byte) { le.PutUint64(b[hSize:], uint64(MaxSize)+pageSize) },
		"size negative":            func(b []byte) { le.PutUint64(b[hSize:], math.MaxUint64-4095) },
		"metadata longer":          func(b []byte) { b[hMetaLen]++ },
		"metadata shorter":         func(b []byte) { b[hMetaLen]-- },
		"metadata huge":            func(b []byte) { le.PutUint32(b[hMetaLen:], math.MaxUint32) },
		"metadata none":            func(b []byte) { le.PutUint32(b[hMetaLen:], 0) },
		"metadata nonsense":        func(b []byte) { b[hMetadata] = 0xc1 },
		"header padding":           func(b []byte) { b[headerUnit-1] = 1 },
		"header reserved":          func(b []byte) { b[hReserved] = 1 },
		"block region":             func(b []byte) { b[block1+block.RegionOff] = 1 },
		"block outside":            func(b []byte) { b[block2+block.RegionOff] = 3 },
		"block far outside":        func(b []byte) { le.PutUint32(b[block2+block.RegionOff:], math.MaxUint32) },
		"block out of order":       func(b []byte) { b[block2+block.RegionOff] = 0 },
		"block of another":         func(b []byte) { b[block2+block.IDOff] ^= 1 },
		"block reserved":           func(b []byte) { b[block2+block.ReservedOff] = 1 },
		"page moved":               func(b []byte) { b[block1+block.BitmapOff] = 4 },
		"page outside":             func(b []byte) { b[block2+block.BitmapOff] = 8 },
		"page more":                func(b []byte) { b[block2+block.BitmapOff] |= 4 },
		"page more, and counted":   func(b []byte) { b[block2+block.BitmapOff] |= 4; b[block2+block.CountOff]++ },
		"block count":              func(b []byte) { b[block2+block.CountOff]++ },
		"block count huge":         func(b []byte) { le.PutUint32(b[block2+block.CountOff:], math.MaxUint32) },
		"index reserved":           func(b []byte) { b[index+xReserved] = 1 },
		"index of another":         func(b []byte) { b[index+xID] ^= 1 },
		"index length":             func(b []byte) { b[index+xRegions]++ },
		"index length huge":        func(b []byte) { le.PutUint64(b[index+xRegions:], math.MaxUint64) },
		"index padding":            func(b []byte) { b[trailer-1] = 1 },
		"entry off a byte":         func(b []byte) { b[index+xEntries]++ },
		"entry off a page":         func(b []byte) { b[index+xEntries+1] += 0x10 },
		"entry beyond":             func(b []byte) { b[index+xEntries+16+7] = 0x80 },
		"entry in the index":       func(b []byte) { le.PutUint64(b[index+xEntries+16:], uint64(index)) },
		"entry in the header":      func(b []byte) { le.PutUint64(b[index+xEntries:], 8) },
		"entry missing":            func(b []byte) { clear(b[index+xEntries+16:][:8]) },
		"entry too many":           func(b []byte) { copy(b[index+xEntries+8:], b[index+xEntries:][:8]) },
		"entries exchanged":        func(b []byte) { swap(b[index+xEntries:][:8], b[index+xEntries+16:][:8]) },
		"entry one region later":   func(b []byte) { swap(b[index+xEntries:][:8], b[index+xEntries+8:][:8]) },
		"all entries missing":      func(b []byte) { clear(b[index+xEntries:][:24]) },
		"trailer reserved":         func(b []byte) { b[trailer+tReserved] = 1 },
		"trailer end":              func(b []byte) { b[trailer+trailerSize-1] = 1 },
		"trailer index offset":     func(b []byte) { b[trailer+tIndexOff+1] ^= 0x10 },
		"trailer index length":     func(b []byte) { b[trailer+tIndexLen]++ },
		"trailer blocks":           func(b []byte) { b[trailer+tBlocks]++ },
		"trailer pages":            func(b []byte) { b[trailer+tPages]-- },
		"trailer length":           func(b []byte) { b[trailer+tLength+7] = 0xff },
		"trailer of another":       func(b []byte) { b[trailer+tID] ^= 1 },
		"header length two units":  func(b []byte) { le.PutUint32(b[hLength:], 2*headerUnit) },
		"blocks end without index": func(b []byte) { copy(b[index:], b[block2:][:4096]) },
	} {
		t.Run(name, func(t *testing.T) {
			b := bytes.Clone(good)
			change(b)
			reseal(b)
			if err := drain(bytes.NewReader(b)); !isTyped(err) || !errors.Is(err, ErrCorrupt) {
				t.Errorf("stream: %v", err)
			}
			err := drainFile(tempFile(t, b))
			if !isTyped(err) || !errors.Is(err, ErrCorrupt) {
				t.Errorf("file: %v", err)
			}
			if name != "metadata nonsense" && strings.Contains(err.Error(), "%!") {
				t.Errorf("bad format: %v", err)
			}
		})
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

// TestClaimsAreNotBelieved gives readers a few bytes that claim to be many: they
// must not take memory for what has not arrived.
func TestClaimsAreNotBelieved(t *testing.T) {
	le := binary.LittleEndian
	const enough = 1 << 20 // for a short file's buffers; ioBuffers are taken before
	bufferPool.Put(bufferPool.Get())
	good := encode(t, small(), testOptions())
	for name, change := range map[string]func(b []byte) []byte{
		"header of 16 MiB": func(b []byte) []byte { le.PutUint32(b[hLength:], maxHeader); return b[:headerUnit] },
		"header of 4 GiB":  func(b []byte) []byte { le.PutUint32(b[hLength:], math.MaxUint32); return b },
		"arena of 4 PiB":   func(b []byte) []byte { le.PutUint64(b[hSize:], uint64(MaxSize)); return b },
		"metadata text of 4 GiB": func(b []byte) []byte {
			copy(b[hMetadata:], "\x81\xdb\xff\xff\xff\xff")
			return b
		},
		"metadata array of 4 G": func(b []byte) []byte {
			copy(b[hMetadata:], "\x81\xa5roots\xdd\xff\xff\xff\xff")
			return b
		},
	} {
		t.Run(name, func(t *testing.T) {
			b := change(bytes.Clone(good))
			reseal(b)
			var stream, file error
			if n := allocated(func() { stream = drain(bytes.NewReader(b)) }); n > enough+block.MaxSize {
				t.Errorf("stream: %d bytes were taken", n)
			}
			if n := allocated(func() { _, file = NewImage(bytes.NewReader(b), int64(len(b)), nil) }); n > enough+block.MaxSize {
				t.Errorf("file: %d bytes were taken", n)
			}
			for _, err := range []error{stream, file} {
				if !isTyped(err) || !errors.Is(err, ErrCorrupt) {
					t.Error(err)
				}
			}
		})
	}
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

// TestIndexMustDescribeTheWholeFile forges endings that agree with themselves:
// opening alone must refuse them, because a lazy restore does no more at first.
func TestIndexMustDescribeTheWholeFile(t *testing.T) {
	src := small()
	good := encode(t, src, testOptions())
	index := uint64(len(good) - 4096)
	block2 := uint64(headerUnit + 3*pageSize)
	page := make([]byte, pageSize)
	forge := func(content []byte, blocks, pages int64, entries ...uint64) []byte {
		end := ending{
			id:        testID,
			headerCRC: binary.LittleEndian.Uint32(good[hCRC:]),
			size:      src.Size(),
			offset:    int64(len(content)),
			blocks:    blocks,
			pages:     pages,
		}
		return join(content, end.encode(entries))
	}
	if !bytes.Equal(good, forge(good[:index], 2, 3, headerUnit, 0, block2)) {
		t.Fatal("forge is wrong, so this test proves nothing")
	}
	for name, b := range map[string][]byte{
		"gap after the header":      forge(join(good[:headerUnit], page, good[headerUnit:index]), 2, 3, headerUnit+pageSize, 0, block2+pageSize),
		"gap between blocks":        forge(join(good[:block2], page, good[block2:index]), 2, 4, headerUnit, 0, block2+pageSize),
		"more pages than there are": forge(join(good[:index], page, page, page), 2, 6, headerUnit, 0, block2),
		"block without pages":       forge(good[:index], 2, 3, headerUnit, 0, index-pageSize),
		"block off a byte":          forge(good[:index], 2, 3, headerUnit, 0, block2+1),
		"block a byte early":        forge(good[:index], 2, 2, headerUnit, 0, block2-1),
		"no blocks but bytes":       forge(good[:index], 0, 0, 0, 0, 0),
		"blocks in reverse":         forge(good[:index], 2, 3, block2, 0, headerUnit),
		"two regions, one block":    forge(good[:index], 2, 3, headerUnit, block2, block2),
		"block in the header":       forge(good[:index], 2, 3, 0, 8, block2),
		"block behind the index":    forge(good[:index], 2, 3, headerUnit, 0, index+4096),
		"block beyond all numbers":  forge(good[:index], 2, 3, headerUnit, 0, 1<<64-4096),
	} {
		im, err := NewImage(bytes.NewReader(b), int64(len(b)), nil)
		if err == nil {
			// A gap that looks like a page more cannot be seen in the index.
			if name != "gap between blocks" {
				t.Errorf("%s: opened", name)
			}
			err = im.Verify(t.Context(), nil)
		}
		if !isTyped(err) || !errors.Is(err, ErrCorrupt) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
