package block

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"math/rand/v2"
	"testing"
)

var testID = [IDSize]byte{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16}

// build makes a block with the given pages of random content.
func build(t testing.TB, region uint32, stored []int) (Header, []byte) {
	t.Helper()
	rng := rand.New(rand.NewPCG(1, uint64(region)))
	h := Header(bytes.Repeat([]byte{0xff}, HeaderSize))
	h.Reset(region, testID)
	var pages []byte
	for _, i := range stored {
		page := make([]byte, PageSize)
		for j := range page {
			page[j] = byte(rng.Uint32())
		}
		h.SetPage(i, CRC(page))
		pages = append(pages, page...)
	}
	h.Seal()
	return h, pages
}

func everyNth(n int) (s []int) {
	for i := 0; i < RegionPages; i += n {
		s = append(s, i)
	}
	return s
}

var shapes = map[string][]int{
	"first":     {0},
	"last":      {RegionPages - 1},
	"words":     {63, 64, 127, 128},
	"runs":      {0, 1, 2, 9, 10, 62, 63, 64, 65, 300, 511},
	"every 3rd": everyNth(3),
	"all":       everyNth(1),
}

// TestLayoutIsTheSpecifiedOne states the format's numbers a second time: a
// constant changed by accident makes every file on disk unreadable.
func TestLayoutIsTheSpecifiedOne(t *testing.T) {
	h, pages := build(t, 0x01020304, []int{1, 10})
	if string(h[:4]) != "CWB1" {
		t.Errorf("magic is %q", h[:4])
	}
	if !bytes.Equal(h[4:8], []byte{4, 3, 2, 1}) {
		t.Errorf("region is % x", h[4:8])
	}
	if binary.LittleEndian.Uint32(h[8:]) != 2 {
		t.Errorf("count is % x", h[8:12])
	}
	table := crc32.MakeTable(crc32.Castagnoli)
	sum := crc32.Update(crc32.Checksum(h[:12], table), table, h[16:4096])
	if binary.LittleEndian.Uint32(h[12:]) != sum {
		t.Errorf("checksum is % x, want %#x", h[12:16], sum)
	}
	if h[16] != 1<<1 || h[17] != 1<<2 {
		t.Errorf("bitmap is % x", h[16:80])
	}
	if !bytes.Equal(h[80:96], testID[:]) {
		t.Errorf("ID is % x", h[80:96])
	}
	if got := binary.LittleEndian.Uint32(h[2048+4*10:]); got != crc32.Checksum(pages[4096:], table) {
		t.Errorf("checksum of page 10 is %#x", got)
	}
	if HeaderSize != 4096 || PageSize != 4096 || RegionSize != 2<<20 || PageCRCOff+4*RegionPages != HeaderSize ||
		BitmapOff+BitmapSize != IDOff || IDOff+IDSize != ZeroOff || ZeroOff+BitmapSize != CodecOff || PieceOff+8*Pieces != ReservedOff ||
		Pieces*PieceSize != RegionSize {
		t.Error("the parts do not add up")
	}
}

func TestHeaderSaysWhatWasStored(t *testing.T) {
	for name, stored := range shapes {
		t.Run(name, func(t *testing.T) {
			h, pages := build(t, 7, stored)
			if err := h.Check(); err != nil {
				t.Fatal(err)
			}
			if err := h.CheckPages(pages); err != nil {
				t.Fatal(err)
			}
			if h.Region() != 7 || h.ID() != testID || h.Count() != len(stored) || h.Size() != HeaderSize+len(pages) {
				t.Fatalf("region %d, ID %x, count %d, size %d", h.Region(), h.ID(), h.Count(), h.Size())
			}
			rank := 0
			for i := range RegionPages {
				in := rank < len(stored) && stored[rank] == i
				if h.Stored(i) != in || h.Rank(i) != rank {
					t.Fatalf("page %d: stored %v, rank %d; want %v, %d", i, h.Stored(i), h.Rank(i), in, rank)
				}
				if in {
					if sum := CRC(pages[rank*PageSize:][:PageSize]); h.PageCRC(i) != sum {
						t.Fatalf("page %d: checksum %#x, want %#x", i, h.PageCRC(i), sum)
					}
					rank++
				}
			}
			if h.Rank(RegionPages) != len(stored) {
				t.Fatalf("rank of the end is %d", h.Rank(RegionPages))
			}
		})
	}
}

func TestRunsAreMaximalAndComplete(t *testing.T) {
	for name, stored := range shapes {
		t.Run(name, func(t *testing.T) {
			h, _ := build(t, 0, stored)
			var got []int
			last := -1
			for run := range h.Runs() {
				if run.Count < 1 || run.Page <= last {
					t.Fatalf("%+v after page %d: empty, out of order or joinable", run, last)
				}
				if run.Rank != len(got) {
					t.Fatalf("%+v: %d pages before it", run, len(got))
				}
				for j := range run.Count {
					got = append(got, run.Page+j)
				}
				last = run.Page + run.Count
			}
			if len(got) != len(stored) {
				t.Fatalf("runs hold %d pages, want %d", len(got), len(stored))
			}
			for i := range got {
				if got[i] != stored[i] {
					t.Fatalf("page %d instead of %d", got[i], stored[i])
				}
			}
			for range h.Runs() {
				break // stopping early must not panic
			}
		})
	}
}

func TestEveryFlippedBitOfAHeaderIsNoticed(t *testing.T) {
	h, _ := build(t, 3, shapes["runs"])
	for bit := range HeaderSize * 8 {
		h[bit/8] ^= 1 << (bit % 8)
		if _, ok := errors.AsType[*Error](h.Check()); !ok {
			t.Fatalf("bit %d of byte %d flipped: no *Error", bit%8, bit/8)
		}
		h[bit/8] ^= 1 << (bit % 8)
	}
	if err := h.Check(); err != nil {
		t.Fatal(err)
	}
}

// TestConsistentChecksumDoesNotExcuseNonsense seals headers that a hostile
// writer could make: the checksum is right, the content is not.
func TestConsistentChecksumDoesNotExcuseNonsense(t *testing.T) {
	seal := func(h Header) { binary.LittleEndian.PutUint32(h[CRCOff:], CRCWithout(h, CRCOff)) }
	for name, c := range map[string]struct {
		change func(h Header)
		field  Field
	}{
		"no page":             {func(h Header) { clear(h[BitmapOff:IDOff]); clear(h[PageCRCOff:]); clear(h[CountOff:CRCOff]) }, FieldCount},
		"count too small":     {func(h Header) { h[CountOff]-- }, FieldCount},
		"count too large":     {func(h Header) { h[CountOff+3] = 0xff }, FieldCount},
		"bit without count":   {func(h Header) { h[BitmapOff+63] ^= 1 << 3 }, FieldCount},
		"reserved start":      {func(h Header) { h[ReservedOff] = 1 }, FieldReserved},
		"reserved end":        {func(h Header) { h[PageCRCOff-1] = 1 }, FieldReserved},
		"checksum of nothing": {func(h Header) { h[PageCRCOff+4*5] = 1 }, FieldReserved},
		"reserved middle":     {func(h Header) { h[PieceOff-1] = 1 }, FieldReserved},
		"stored and zero":     {func(h Header) { h.SetZero(shapes["runs"][0]) }, FieldZero},
		"piece of raw pages":  {func(h Header) { h[PieceOff] = 1 }, FieldReserved},
		"unknown compression": {func(h Header) { h.SetCodec(Zstd + 1) }, FieldCodec},
		"pieces without size": {func(h Header) { h.SetCodec(S2) }, FieldPiece},
		"other magic":         {func(h Header) { h[0] = 'c' }, FieldMagic},
	} {
		t.Run(name, func(t *testing.T) {
			h, _ := build(t, 3, shapes["runs"])
			c.change(h)
			seal(h)
			e, ok := errors.AsType[*Error](h.Check())
			if !ok || e.Field != c.field {
				t.Fatalf("got %v, want field %q", h.Check(), c.field)
			}
			if e.Error() == "" || e.Checksum() {
				t.Fatalf("%v must not claim a checksum difference", e)
			}
		})
	}
	if e, ok := errors.AsType[*Error](Header(make([]byte, HeaderSize-1)).Check()); !ok || e.Field != FieldSize {
		t.Fatal("a short header must be refused")
	}
}

func TestDamagedPageIsNamed(t *testing.T) {
	h, pages := build(t, 3, shapes["runs"])
	for rank, page := range shapes["runs"] {
		at := rank*PageSize + (rank*997)%PageSize
		pages[at] ^= 0x10
		e, ok := errors.AsType[*Error](h.CheckPages(pages))
		if !ok || e.Field != FieldPage || e.Page != page || !e.Checksum() {
			t.Fatalf("page %d damaged: %v", page, e)
		}
		pages[at] ^= 0x10
	}
	if e, ok := errors.AsType[*Error](h.CheckPages(pages[:len(pages)-1])); !ok || e.Field != FieldSize {
		t.Fatal("a short block must be refused")
	}
}

func TestIsZeroFindsASingleByte(t *testing.T) {
	for _, n := range []int{0, 1, 7, 4095, 4096, 4097, 3 * 4096} {
		b := make([]byte, n)
		if !IsZero(b) {
			t.Fatalf("%d zero bytes are zero", n)
		}
		for i := range b {
			b[i] = 1
			if IsZero(b) {
				t.Fatalf("byte %d of %d is not zero", i, n)
			}
			b[i] = 0
		}
	}
}

func TestNothingAllocates(t *testing.T) {
	h, pages := build(t, 3, shapes["every 3rd"])
	if n := testing.AllocsPerRun(10, func() {
		if h.Check() != nil || h.CheckPages(pages) != nil {
			t.Fatal("damaged")
		}
		for run := range h.Runs() {
			_ = run
		}
		h.Reset(3, testID)
		for i := 0; i < RegionPages; i += 3 {
			h.SetPage(i, CRC(pages[i/3*PageSize:][:PageSize]))
		}
		h.Seal()
	}); n != 0 {
		t.Fatalf("%v allocations", n)
	}
}

func BenchmarkCheckBlock(b *testing.B) {
	h, pages := build(b, 3, shapes["all"])
	b.SetBytes(MaxSize)
	for b.Loop() {
		if h.Check() != nil || h.CheckPages(pages) != nil {
			b.Fatal("damaged")
		}
	}
}
