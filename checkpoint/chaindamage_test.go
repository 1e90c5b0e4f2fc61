package checkpoint

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/cowheap/cowheap/internal/block"
)

// textArena is an arena of pages that compress, and a few that do not.
func textArena(size int64, pages ...int) memory {
	m := make(memory, size)
	for _, p := range pages {
		to := m[p*pageSize:][:pageSize]
		if p%5 == 4 {
			copy(to, arena(pageSize, 0))
			continue
		}
		copy(to, bytes.Repeat([]byte{byte(p), byte(p >> 8), 'p', 'a', 'g', 'e'}, pageSize/6))
	}
	return m
}

func pagesBetween(first, n int) (pages []int) {
	for p := range n {
		pages = append(pages, first+p)
	}
	return pages
}

// damagedChains are those whose every byte is flipped: a full checkpoint and one
// or two on it.
func damagedChains(t testing.TB) map[string]*chain {
	compressed := func(compression Compression) *chain {
		c := &chain{dir: t.TempDir()}
		c.put(t, textArena(regionSize+9*pageSize, append(pagesBetween(0, 70), 512, 515)...), compression)
		next := textArena(regionSize+9*pageSize, append(pagesBetween(0, 60), 512)...)
		next[3*pageSize+7]++
		c.put(t, next, compression, append(pagesBetween(60, 10), 3, 515)...)
		return c
	}
	return map[string]*chain{
		"raw": shortChain(t, Uncompressed), "s2": compressed(S2), "zstd": compressed(Zstd),
		"sparse": sparseChain(t, Uncompressed), "sparse s2": sparseChain(t, S2), "sparse zstd": sparseChain(t, Zstd),
	}
}

// TestFlippedBitOfAChainIsFoundAndNamed flips single bits at sampled positions
// of every file of a chain; around everything that is not a page, at all.
func TestFlippedBitOfAChainIsFoundAndNamed(t *testing.T) {
	for name, c := range damagedChains(t) {
		t.Run(name, func(t *testing.T) {
			newest := c.path(len(c.states) - 1)
			flips := 0
			for n := range c.states {
				path := c.path(n)
				b, err := os.ReadFile(path)
				if err != nil {
					t.Fatal(err)
				}
				step := 37
				if testing.Short() {
					step = 211
				}
				for at := 0; at < len(b); at += step {
					flips++
					bit := byte(1) << (flips % 8)
					b[at] ^= bit
					if err := os.WriteFile(path, b, 0o600); err != nil {
						t.Fatal(err)
					}
					im, err := OpenImage(newest)
					if err == nil {
						err = im.Verify(t.Context(), nil)
						im.Close()
					}
					if !errors.Is(err, ErrCorrupt) || !bytes.Contains([]byte(err.Error()), []byte(filepath.Base(path))) {
						t.Fatalf("file %d of %d, byte %d of %d: %v", n, len(c.states), at, len(b), err)
					}
					if stream := drain(bytes.NewReader(b)); !isTyped(stream) || !errors.Is(stream, ErrCorrupt) {
						t.Fatalf("stream of file %d, byte %d: %v", n, at, stream)
					}
					b[at] ^= bit
				}
				if err := os.WriteFile(path, b, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			for n := range c.states {
				c.check(t, n)
			}
		})
	}
}

// TestEveryPrefixIsRefused cuts every file of a chain at sampled lengths, and
// the last one at each of its last bytes.
func TestEveryPrefixIsRefused(t *testing.T) {
	for name, c := range damagedChains(t) {
		t.Run(name, func(t *testing.T) {
			for n := range c.states {
				b, err := os.ReadFile(c.path(n))
				if err != nil {
					t.Fatal(err)
				}
				for cut := len(b) - 1; cut >= 0; cut-- {
					if len(b)-cut > 300 && cut%61 != 0 {
						continue
					}
					if err := drain(bytes.NewReader(b[:cut])); !isTyped(err) || !errors.Is(err, ErrTruncated) {
						t.Fatalf("stream of file %d cut at %d of %d: %v", n, cut, len(b), err)
					}
					if _, err := newLink(bytes.NewReader(b[:cut]), int64(cut), "", MaxSize); !isTyped(err) || !errors.Is(err, ErrTruncated) {
						t.Fatalf("file %d cut at %d of %d: %v", n, cut, len(b), err)
					}
				}
			}
		})
	}
}

// forgeBlock makes a checkpoint of one region whose block is what change makes
// of a good one, with every checksum right.
func forgeBlock(t testing.TB, src memory, opts WriteOptions, change func(h block.Header, stored []byte) []byte) []byte {
	t.Helper()
	b := encode(t, src, opts)
	h := block.Header(b[headerUnit:][:block.HeaderSize])
	if err := h.Check(); err != nil {
		t.Fatal(err)
	}
	stored := change(h, bytes.Clone(b[headerUnit+block.HeaderSize:headerUnit+h.StoredSize()]))
	h.Seal()
	out := append(bytes.Clone(b[:headerUnit+block.HeaderSize]), stored...)
	out = append(out, make([]byte, int(roundUp(int64(len(out)), 4096))-len(out))...)
	entry := uint64(headerUnit)
	if h.Codec() != block.Raw {
		entry |= entryCompressed
	}
	end := ending{id: testID, headerCRC: binary.LittleEndian.Uint32(b[hCRC:]), size: src.Size(), offset: int64(len(out)), blocks: 1, pages: int64(h.Count())}
	return append(out, end.encode([]uint64{entry})...)
}

// TestHostileCompression: bombs, pieces that expand to less, codecs that do not
// match, garbage with a right checksum.
func TestHostileCompression(t *testing.T) {
	src := textArena(40*pageSize, pagesBetween(0, 40)...)
	compress := func(c Compression, n int) []byte {
		out, _ := c.compress(make([]byte, 0, 4<<20), bytes.Repeat([]byte("bomb"), n/4))
		return bytes.Clone(out)
	}
	replaced := func(piece []byte) func(h block.Header, stored []byte) []byte {
		return func(h block.Header, stored []byte) []byte {
			second := stored[h.Piece(0).Size:]
			h.SetPiece(0, piece)
			return append(bytes.Clone(piece), second...)
		}
	}
	for _, c := range []Compression{S2, Zstd} {
		opts := WriteOptions{ID: testID, Time: testTime, Compression: c}
		for name, change := range map[string]func(h block.Header, stored []byte) []byte{
			"bomb of 2 MiB":   replaced(compress(c, 2<<20)),
			"a page too many": replaced(compress(c, 33*pageSize)),
			"a page too few":  replaced(compress(c, 31*pageSize)),
			"nothing":         replaced(compress(c, 0)),
			"garbage":         replaced([]byte("garbage that nobody compressed")),
			"of the other kind": func(h block.Header, stored []byte) []byte {
				h.SetCodec(block.S2 + block.Zstd - c.codec())
				return stored
			},
			"another page":        replaced(compress(c, 32*pageSize)),
			"padding is not 0":    func(h block.Header, stored []byte) []byte { return append(stored, 1) },
			"zeros in full":       func(h block.Header, stored []byte) []byte { h.SetZero(100); return stored },
			"zero beyond its end": func(h block.Header, stored []byte) []byte { h.SetZero(511); return stored },
		} {
			b := forgeBlock(t, src, opts, change)
			var stream, file error
			n := allocated(func() {
				stream = drain(bytes.NewReader(b))
				file = drainWhole(b)
			})
			for _, err := range []error{stream, file} {
				if !isTyped(err) || !errors.Is(err, ErrCorrupt) {
					t.Errorf("%v, %s: %v", c, name, err)
				}
			}
			if n > 24<<20 {
				t.Errorf("%v, %s: %d bytes were taken", c, name, n)
			}
		}
		same := forgeBlock(t, src, opts, func(h block.Header, stored []byte) []byte { return stored })
		if err := errors.Join(drain(bytes.NewReader(same)), drainWhole(same)); err != nil {
			t.Fatalf("forgeBlock is wrong, so this test proves nothing: %v", err)
		}
	}
	// A compressed block in a file that does not have the feature.
	b := forgeBlock(t, src, WriteOptions{ID: testID, Time: testTime, Compression: S2}, func(h block.Header, stored []byte) []byte { return stored })
	b[hFlags] = 0
	reseal(b)
	if err := drain(bytes.NewReader(b)); !errors.Is(err, ErrCorrupt) {
		t.Errorf("compressed without saying so: %v", err)
	}
	if err := drainWhole(b); !errors.Is(err, ErrCorrupt) {
		t.Errorf("compressed without saying so: %v", err)
	}
}

// drainWhole verifies a full checkpoint as a file.
func drainWhole(b []byte) error {
	im, err := NewImage(bytes.NewReader(b), int64(len(b)), nil)
	if err != nil {
		return err
	}
	if err := im.Verify(context.Background(), nil); err != nil {
		return err
	}
	return nil
}

// TestHeadersOfParentsThatMakeNoSense are sealed, so that only sense is checked.
func TestHeadersOfParentsThatMakeNoSense(t *testing.T) {
	good := encode(t, arena(8*pageSize, 1), WriteOptions{ID: testID, Parent: testParent, ParentSize: 4 * pageSize, Time: testTime, Changed: ranges(1)})
	for name, change := range map[string]func(b []byte){
		"no parent":      func(b []byte) { clear(b[hParent : hParent+16]) },
		"its own parent": func(b []byte) { copy(b[hParent:], testID[:]) },
		"half a page":    func(b []byte) { b[hParentLen] = 7 },
		"too large":      func(b []byte) { b[hParentLen+7] = 0x7f },
		"negative":       func(b []byte) { b[hParentLen+7] = 0x80 },
		"full with size": func(b []byte) { b[hFlags] = 0 },
		"reserved":       func(b []byte) { b[hReserved] = 1 },
	} {
		b := bytes.Clone(good)
		change(b)
		reseal(b)
		if err := drain(bytes.NewReader(b)); !isTyped(err) || !errors.Is(err, ErrCorrupt) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := drain(bytes.NewReader(good)); err != nil {
		t.Fatal(err)
	}
}
