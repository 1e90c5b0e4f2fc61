package checkpoint

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/cowheap/cowheap/internal/block"
)

// sparseChain is a small full checkpoint and one on it with a sparse block of three
// regions: pages that changed, pages that became zero, a page beyond the parent.
func sparseChain(t testing.TB, compression Compression) *chain {
	t.Helper()
	c := &chain{dir: t.TempDir()}
	m := textArena(3*regionSize-9*pageSize, 0, 2, 513, 1030)
	c.put(t, m, compression)
	next := append(slices.Clone(m), make(memory, 12*pageSize)...)
	copy(next[2*pageSize:], textArena(pageSize, 0))
	copy(next[5*pageSize:], arena(pageSize, 0))
	clear(next[513*pageSize:][:pageSize])
	copy(next[520*pageSize:], textArena(3*pageSize, 0, 1, 2))
	copy(next[1536*pageSize:], textArena(pageSize, 0))
	c.put(t, next, compression, append(changedPages(m, next), 1538)...)
	return c
}

// linkOf opens bytes as a file of that name, without parents.
func linkOf(b []byte) (*link, error) {
	return newLink(bytes.NewReader(b), int64(len(b)), "sparse.cowheap", MaxSize)
}

// verifyAlone verifies one file.
func verifyAlone(t testing.TB, b []byte) error {
	l, err := linkOf(b)
	if err != nil {
		return err
	}
	return l.verify(t.Context(), &progressMeter{})
}

// TestEveryBitOfASparseFileIsFoundAndNamed flips each bit, in -short each 31st. The
// file is named, and the 4096 bytes or the compressed piece that has the
// bit, and of a page its region and number.
func TestEveryBitOfASparseFileIsFoundAndNamed(t *testing.T) {
	for _, compression := range []Compression{Uncompressed, S2} {
		c := sparseChain(t, compression)
		b, err := os.ReadFile(c.path(1))
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(verifyAlone(t, b), drain(bytes.NewReader(b))); err != nil {
			t.Fatal(err)
		}
		s := block.Sparse(b[headerUnit:][:block.HeaderSize])
		if err := s.Check(); err != nil || (block.Header(s).Codec() != block.Raw) != (compression != Uncompressed) {
			t.Fatalf("no sparse block: %v", err)
		}
		index := headerUnit + block.Header(s).Size()
		// says is what the message must have of a bit of a page.
		says := func(at int) string {
			h := block.Header(s)
			rank := (at - headerUnit - block.HeaderSize) / pageSize
			if h.Codec() != block.Raw {
				if at >= headerUnit+h.StoredSize() {
					return "fill the block up"
				}
				last := s.PageOf(h.Count() - 1)
				return fmt.Sprintf("the piece from page 2 of region 0 to page %d of region %d", last.Page, last.Region)
			}
			e := s.PageOf(rank)
			return fmt.Sprintf("page %d of region %d", e.Page, e.Region)
		}
		step := 1
		if testing.Short() {
			step = 31
		}
		for bit := 0; bit < 8*len(b); bit += step {
			at := bit / 8
			b[at] ^= 1 << (bit % 8)
			err := verifyAlone(t, b)
			path, offset, ok := place(err)
			if !ok || !errors.Is(err, ErrCorrupt) || path != "sparse.cowheap" || !strings.Contains(err.Error(), path) {
				t.Fatalf("bit %d of byte %d: %v", bit%8, at, err)
			}
			switch page := int64(at / pageSize * pageSize); {
			case at < headerUnit || at >= index:
			case offset/pageSize*pageSize != page && block.Header(s).Codec() == block.Raw:
				t.Fatalf("bit %d of byte %d: %v, want an offset in the 4096 bytes from %d", bit%8, at, err, page)
			case at >= headerUnit+block.HeaderSize && !strings.Contains(err.Error(), says(at)):
				t.Fatalf("bit %d of byte %d: %v, want %q", bit%8, at, err, says(at))
			}
			stream := drain(bytes.NewReader(b))
			if _, streamed, ok := place(stream); !ok || !errors.Is(stream, ErrCorrupt) || at >= headerUnit && at < index && streamed != offset {
				t.Fatalf("bit %d of byte %d of a stream: %v; of a file: %v", bit%8, at, stream, err)
			}
			b[at] ^= 1 << (bit % 8)
		}
	}
}

func TestSparseFileCutAtEvery512thByteIsRefused(t *testing.T) {
	for _, compression := range []Compression{Uncompressed, Zstd} {
		for _, c := range []*chain{sparseChain(t, compression), spread(t, 7, compression)} {
			b, err := os.ReadFile(c.path(1))
			if err != nil {
				t.Fatal(err)
			}
			for n := (len(b) - 1) / 512 * 512; n >= 0; n -= 512 {
				if err := drain(bytes.NewReader(b[:n])); !isTyped(err) || !errors.Is(err, ErrTruncated) {
					t.Fatalf("stream cut at %d of %d: %v", n, len(b), err)
				}
				if err := verifyAlone(t, b[:n]); !isTyped(err) || !errors.Is(err, ErrTruncated) {
					t.Fatalf("file cut at %d of %d: %v", n, len(b), err)
				}
			}
		}
	}
}

// TestReadingFindsDamageInASparseBlock reads regions and pages of a chain, without
// Verify, after each page and the header were damaged.
func TestReadingFindsDamageInASparseBlock(t *testing.T) {
	for _, compression := range []Compression{Uncompressed, S2} {
		c := spread(t, 9, compression)
		path := c.path(1)
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for region := range 9 {
			im := open(t, path)
			l := im.links[0]
			if !l.isSparse(region) {
				continue
			}
			var buf [block.HeaderSize]byte
			h, err := l.readHeader(region, buf[:])
			if err != nil {
				t.Fatal(err)
			}
			part := block.Sparse(h).Part(int64(region))
			first := block.Sparse(h).PageOf(part.Rank)
			off := l.blockOffset(region)
			at := off + block.HeaderSize + int64(part.Rank)*pageSize
			if compression != Uncompressed {
				at = off + int64(h.Piece(part.Rank/block.PiecePages).Offset)
			}
			for where, says := range map[int64]string{
				at:                   fmt.Sprintf("page %d of region %d", first.Page, region),
				off + block.EntryOff: "the block's header",
			} {
				if compression != Uncompressed && where == at {
					says = "the piece from page"
				}
				b[where] ^= 0x10
				if err := os.WriteFile(path, b, 0o600); err != nil {
					t.Fatal(err)
				}
				im := open(t, path)
				room := make([]byte, block.MaxSize)
				_, byBlock := im.ReadBlock(region, room)
				byRuns := im.ReadRuns(region, room, func(int, []byte) error { return nil })
				byPage := im.ReadPage(int64(region*512+first.Page), room)
				d := im.Direct()
				byRest := im.ReadRest(&d, region, room, func(int, []byte) error { return nil })
				for n, err := range []error{byBlock, byRuns, byPage, byRest} {
					if e, ok := errors.AsType[*ChecksumError](err); !ok || !strings.HasPrefix(e.What, says) || e.Path != path || e.Offset > where || where-e.Offset >= 2<<20 {
						t.Errorf("%v, region %d, byte %d, reader %d: %v, want %q", compression, region, where, n, err, says)
					}
				}
				b[where] ^= 0x10
			}
			if err := os.WriteFile(path, b, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		c.check(t, 1)
	}
}
