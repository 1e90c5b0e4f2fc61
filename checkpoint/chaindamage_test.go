package checkpoint

import (
	"bytes"
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
func forgeBlock(t tester, src memory, opts WriteOptions, change func(h block.Header, stored []byte) []byte) []byte {
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
