package block

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"math/rand/v2"
	"slices"
	"testing"
)

// buildSparse makes the header of a sparse block with these entries, whose pages
// are random, and the pages.
func buildSparse(t testing.TB, entries ...Entry) (Sparse, []byte) {
	t.Helper()
	rng := rand.New(rand.NewPCG(2, uint64(len(entries))))
	s := Sparse(bytes.Repeat([]byte{0xff}, HeaderSize))
	s.Reset(testID)
	var pages []byte
	for i, e := range entries {
		if e.Zero {
			s.AddZero(e.Region, e.Page)
			continue
		}
		page := make([]byte, PageSize)
		for j := range page {
			page[j] = byte(rng.Uint32())
		}
		entries[i].CRC = CRC(page)
		s.Add(e.Region, e.Page, CRC(page))
		pages = append(pages, page...)
	}
	s.Seal()
	return s, pages
}

// sparseShapes are lists of entries.
func sparseShapes() map[string][]Entry {
	full := make([]Entry, MaxEntries)
	for i := range full {
		full[i] = Entry{Region: 7 + int64(i)/5, Page: i % 5 * 100, Zero: i%9 == 4}
	}
	return map[string][]Entry{
		"one":         {{Region: 3, Page: 511}},
		"one zero":    {{Region: 3, Zero: true}},
		"only zeros":  {{Region: 0, Page: 1, Zero: true}, {Region: 9, Page: 1, Zero: true}},
		"neighbours":  {{Region: 1, Page: 510}, {Region: 1, Page: 511}, {Region: 2, Page: 0}, {Region: 2, Page: 1}},
		"zeros first": {{Region: 1, Page: 5, Zero: true}, {Region: 1, Page: 6}, {Region: 4, Page: 0, Zero: true}, {Region: 4, Page: 1}},
		"far apart":   {{Region: 1<<31 - MaxSpan, Page: 511}, {Region: 1<<31 - 1, Page: 511, Zero: true}},
		"full":        full,
	}
}

// TestSparseLayoutIsTheSpecifiedOne states the format's numbers a second time.
func TestSparseLayoutIsTheSpecifiedOne(t *testing.T) {
	s, pages := buildSparse(t, Entry{Region: 0x01020304, Page: 5}, Entry{Region: 0x01020306, Page: 6, Zero: true})
	table := crc32.MakeTable(crc32.Castagnoli)
	want := make([]byte, 4096)
	copy(want, "CWS1")
	copy(want[4:], []byte{4, 3, 2, 1, 1, 0, 0, 0}) // region, pages
	want[16] = 2                                   // entries
	copy(want[80:], testID[:])
	want[320] = 5
	binary.LittleEndian.PutUint32(want[324:], crc32.Checksum(pages, table))
	binary.LittleEndian.PutUint32(want[328:], 1<<31|2*512+6)
	binary.LittleEndian.PutUint32(want[12:], crc32.Update(crc32.Checksum(want[:12], table), table, want[16:]))
	if !bytes.Equal(s, want) {
		t.Errorf("the header is\n% x", []byte(s))
	}
	if MaxEntries != 472 || MaxSpan != 1<<22 || EntryOff != PieceOff+8*Pieces || HeaderSize+MaxEntries*PageSize > MaxSize {
		t.Error("the parts do not add up")
	}
}

func TestSparseHeaderSaysWhatWasAdded(t *testing.T) {
	for name, entries := range sparseShapes() {
		t.Run(name, func(t *testing.T) {
			s, pages := buildSparse(t, entries...)
			if err := errors.Join(s.Check(), s.CheckPages(pages)); err != nil {
				t.Fatal(err)
			}
			if h := Header(s); h.ID() != testID || h.Count() != len(pages)/PageSize || h.Size() != HeaderSize+len(pages) {
				t.Fatalf("ID %x, count %d, size %d", h.ID(), h.Count(), h.Size())
			}
			var got []Entry
			for i := range s.Len() {
				got = append(got, s.Entry(i))
			}
			if !slices.Equal(got, entries) {
				t.Fatalf("%+v", got)
			}
			rank := 0
			for _, e := range entries {
				if !e.Zero {
					if got := s.PageOf(rank); got != e {
						t.Fatalf("page of rank %d is %+v, want %+v", rank, got, e)
					}
					rank++
				}
			}
		})
	}
}

// TestPartsAreTheBlocksThatTheyStandFor makes an ordinary block of each part.
func TestPartsAreTheBlocksThatTheyStandFor(t *testing.T) {
	for name, entries := range sparseShapes() {
		t.Run(name, func(t *testing.T) {
			s, pages := buildSparse(t, entries...)
			left := entries
			for part := range s.Parts() {
				if s.Part(part.Region) != part {
					t.Fatalf("%+v by its region is %+v", part, s.Part(part.Region))
				}
				h := Header(bytes.Repeat([]byte{0xff}, HeaderSize))
				s.PutHeader(part, h)
				if err := errors.Join(h.Check(), h.CheckPages(pages[part.Rank*PageSize:][:part.Count*PageSize])); err != nil {
					t.Fatal(err)
				}
				for i := range RegionPages {
					var want Entry
					if len(left) > 0 && left[0].Region == part.Region && left[0].Page == i {
						want, left = left[0], left[1:]
					}
					if h.Stored(i) != (want.CRC != 0) || h.Zero(i) != want.Zero || h.PageCRC(i) != want.CRC {
						t.Fatalf("page %d of region %d: stored %v, zero %v", i, part.Region, h.Stored(i), h.Zero(i))
					}
				}
			}
			if len(left) > 0 {
				t.Fatalf("no part has %+v", left)
			}
			if part := s.Part(entries[0].Region - 1); part.Len != 0 {
				t.Errorf("%+v", part)
			}
			if part := s.Part(entries[len(entries)-1].Region + 1); part.Len != 0 {
				t.Errorf("%+v", part)
			}
		})
	}
}

func TestSparseHeadersThatMakeNoSenseAreRefused(t *testing.T) {
	put := binary.LittleEndian.PutUint32
	for name, c := range map[string]struct {
		change func(s Sparse)
		field  Field
	}{
		"no entries":             {func(s Sparse) { put(s[EntriesOff:], 0) }, FieldEntries},
		"too many entries":       {func(s Sparse) { put(s[EntriesOff:], MaxEntries+1) }, FieldEntries},
		"entries without end":    {func(s Sparse) { put(s[EntriesOff:], 1<<32-1) }, FieldEntries},
		"an entry more":          {func(s Sparse) { put(s[EntriesOff:], 4) }, FieldEntry},
		"an entry less":          {func(s Sparse) { put(s[EntriesOff:], 2) }, FieldCount},
		"a page more":            {func(s Sparse) { put(s[CountOff:], 3) }, FieldCount},
		"a page less":            {func(s Sparse) { put(s[CountOff:], 1) }, FieldCount},
		"the largest count":      {func(s Sparse) { put(s[CountOff:], 1<<32-1) }, FieldCount},
		"twice the same":         {func(s Sparse) { copy(s[EntryOff+8:], s[EntryOff:EntryOff+8]) }, FieldEntry},
		"out of order":           {func(s Sparse) { swapEntries(s, 0, 2) }, FieldEntry},
		"zero and stored":        {func(s Sparse) { put(s[EntryOff+8:], 5|1<<31); put(s[EntryOff+12:], 0) }, FieldEntry},
		"zero with a checksum":   {func(s Sparse) { s[EntryOff+8+4] = 1 }, FieldReserved},
		"zero that is not":       {func(s Sparse) { s[EntryOff+8+3] = 0 }, FieldCount},
		"stored that is zero":    {func(s Sparse) { s[EntryOff+3] = 0x80; put(s[EntryOff+4:], 0) }, FieldCount},
		"not in its region":      {func(s Sparse) { s[EntryOff+1] = 2 }, FieldEntry},
		"reserved before the ID": {func(s Sparse) { s[IDOff-1] = 1 }, FieldReserved},
		"reserved after the ID":  {func(s Sparse) { s[ZeroOff] = 1 }, FieldReserved},
		"reserved before pieces": {func(s Sparse) { s[PieceOff-1] = 1 }, FieldReserved},
		"reserved at the end":    {func(s Sparse) { s[HeaderSize-1] = 1 }, FieldReserved},
		"pieces, not compressed": {func(s Sparse) { s[PieceOff] = 1 }, FieldReserved},
		"unknown compression":    {func(s Sparse) { s[CodecOff] = 9 }, FieldCodec},
		"no piece is smaller":    {func(s Sparse) { s[CodecOff] = S2; put(s[PieceOff:], 2*PageSize) }, FieldCodec},
		"an ordinary block":      {func(s Sparse) { put(s[MagicOff:], Magic) }, FieldMagic},
	} {
		s, _ := buildSparse(t, Entry{Region: 4, Page: 5}, Entry{Region: 4, Page: 9, Zero: true}, Entry{Region: 5, Page: 5})
		if err := s.Check(); err != nil {
			t.Fatal(err)
		}
		c.change(s)
		s.Seal()
		if e, ok := errors.AsType[*Error](s.Check()); !ok || e.Field != c.field {
			t.Errorf("%s: %v, want a wrong %s", name, s.Check(), c.field)
		}
	}
	if e, ok := errors.AsType[*Error](Sparse(make([]byte, 100)).Check()); !ok || e.Field != FieldSize {
		t.Errorf("a short header: %v", e)
	}
}

func swapEntries(s Sparse, i, j int) {
	a, b := s[EntryOff+8*i:][:8], s[EntryOff+8*j:][:8]
	c := bytes.Clone(a)
	copy(a, b)
	copy(b, c)
}

func TestEveryBitOfASparseHeaderCounts(t *testing.T) {
	s, pages := buildSparse(t, sparseShapes()["zeros first"]...)
	for bit := range 8 * HeaderSize {
		s[bit/8] ^= 1 << (bit % 8)
		if s.Check() == nil {
			t.Fatalf("bit %d may be flipped", bit)
		}
		s[bit/8] ^= 1 << (bit % 8)
	}
	pages[PageSize+17] ^= 4
	if e, ok := errors.AsType[*Error](s.CheckPages(pages)); !ok || e.Field != FieldPage || e.Page != 1 || !e.Checksum() {
		t.Errorf("a damaged page: %v", e)
	}
	if e, ok := errors.AsType[*Error](s.CheckPages(pages[:PageSize])); !ok || e.Field != FieldSize {
		t.Errorf("a page too few: %v", e)
	}
}

// FuzzSparse gives Check anything with a right checksum: what it accepts can be
// walked over without a panic, and is what the same words would make.
func FuzzSparse(f *testing.F) {
	for _, entries := range sparseShapes() {
		s, _ := buildSparse(f, entries...)
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) < HeaderSize {
			return
		}
		s := Sparse(bytes.Clone(b[:HeaderSize]))
		s.Seal()
		if s.Check() != nil {
			return
		}
		again := Sparse(make([]byte, HeaderSize))
		again.Reset(Header(s).ID())
		for i := range s.Len() {
			if e := s.Entry(i); e.Zero {
				again.AddZero(e.Region, e.Page)
			} else {
				again.Add(e.Region, e.Page, e.CRC)
			}
		}
		copy(again[CodecOff:EntryOff], s[CodecOff:EntryOff])
		again.Seal()
		if !bytes.Equal(s, again) {
			t.Fatalf("% x\nbecame\n% x", []byte(s), []byte(again))
		}
		n := 0
		h := Header(make([]byte, HeaderSize))
		for part := range s.Parts() {
			s.PutHeader(part, h)
			if err := h.Check(); err != nil {
				t.Fatal(err)
			}
			n += part.Count
		}
		if n != Header(s).Count() || Header(s).Size() > MaxSize {
			t.Fatalf("%d pages in parts, %d in all, %d bytes", n, Header(s).Count(), Header(s).Size())
		}
	})
}
