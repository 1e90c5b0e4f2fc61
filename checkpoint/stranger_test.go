package checkpoint_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"math/bits"
	"math/rand/v2"
	"os"
	"testing"

	"github.com/klauspost/compress/s2"
	"github.com/klauspost/compress/zstd"
	"github.com/vmihailenco/msgpack/v5"

	"github.com/cowheap/cowheap/checkpoint"
)

// stranger is a reader written from docs/FORMAT.md alone: its reader uses nothing of this
// module, numbers as they stand there. If it reads what the package writes, the
// document can be believed.
type stranger struct {
	arena []byte
	roots map[string]uint64
}

// readByTheBook reads a checkpoint; parent finds that of an incremental one.
func readByTheBook(file []byte, parent func(id []byte) []byte) (s stranger, err error) {
	u32 := func(b []byte, at int) uint32 { return binary.LittleEndian.Uint32(b[at:]) }
	u64 := func(b []byte, at int) uint64 { return binary.LittleEndian.Uint64(b[at:]) }
	crc := func(parts ...[]byte) uint32 {
		return crc32.Checksum(bytes.Join(parts, nil), crc32.MakeTable(crc32.Castagnoli))
	}
	check := func(ok bool, what string) {
		if !ok && err == nil {
			err = errors.New(what)
		}
	}

	check(string(file[:8]) == "\x89\x43\x57\x48\x0d\x0a\x1a\x0a", "magic")
	header := file[:u32(file, 20)]
	check(u32(header, 12) == crc(header[:12], header[16:]), "CRC of the header")
	features := u32(header, 28)
	check(u32(header, 8) == 1 && u32(header, 16) == 4096 && features < 8 && features&5 != 4, "version, page size or features")
	size := u64(header, 32)
	s.arena = make([]byte, size)
	if features&1 != 0 {
		p, err := readByTheBook(parent(header[64:80]), parent)
		if err != nil {
			return s, err
		}
		check(uint64(len(p.arena)) == u64(header, 80), "size of the parent")
		copy(s.arena, p.arena)
	} else {
		check(u64(header, 80) == 0, "size of a parent in a full checkpoint")
	}
	check(u64(header, 88) == 0, "reserved bytes of the header")

	var meta struct {
		Roots []struct {
			Name string `msgpack:"name"`
			Off  uint64 `msgpack:"off"`
		} `msgpack:"roots"`
	}
	if err := msgpack.Unmarshal(header[96:][:u32(header, 24)], &meta); err != nil {
		return s, err
	}
	s.roots = map[string]uint64{}
	for _, r := range meta.Roots {
		s.roots[r.Name] = r.Off
	}

	regions := int(size+(2<<20)-1) / (2 << 20)
	ending := (32 + 8*regions + 128 + 4095) / 4096 * 4096
	index := file[len(file)-ending : len(file)-128]
	trailer := file[len(file)-128:]
	check(string(trailer[:4]) == "CWT1" && u32(trailer, 4) == crc(trailer[:4], trailer[8:]), "trailer")
	check(u64(trailer, 8) == uint64(len(file)-ending) && u64(trailer, 16) == uint64(len(index)), "place of the index")
	check(u32(trailer, 24) == crc(index) && u32(trailer, 28) == u32(header, 12), "CRC of the index")
	check(u64(trailer, 48) == uint64(len(file)), "length")
	check(string(index[:4]) == "CWX1" && u64(index, 8) == uint64(regions), "index")

	blocks, pages, last := uint64(0), uint64(0), uint64(0)
	for r := range regions {
		entry := u64(index, 32+8*r)
		if entry == 0 {
			continue
		}
		at := entry - entry%4096
		if at != last {
			blocks++
		}
		compressed, sparse, listed := entry%2 == 1, entry/2%2 == 1, int(entry%4096/4)
		head := file[at:][:4096]
		codec := u32(head, 160)
		check((codec != 0) == compressed && (codec == 0 || features&2 != 0), "compression")
		check((listed > 0) == sparse && (!sparse || features&4 != 0) && (sparse || at != last), "sparse")
		count := int(u32(head, 8))
		body := file[at+4096:]
		if compressed {
			body = nil
			from := at + 4096
			for i := 0; 32*i < count; i++ {
				n := min(count-32*i, 32) * 4096
				stored := file[from:][:u32(head, 192+8*i)]
				check(u32(head, 196+8*i) == crc(stored), "CRC of a piece")
				from += uint64(len(stored))
				piece := stored
				if len(stored) < n {
					var expandErr error
					switch codec {
					case 1:
						piece, expandErr = s2.Decode(nil, stored)
					case 2:
						d, _ := zstd.NewReader(nil)
						piece, expandErr = d.DecodeAll(stored, nil)
						d.Close()
					}
					check(expandErr == nil, "a piece does not expand")
				}
				check(len(piece) == n, "length of a piece")
				body = append(body, piece...)
			}
		}
		check(u32(head, 12) == crc(head[:12], head[16:]), "CRC of a block")
		check(bytes.Equal(head[80:96], header[48:64]), "UUID of a block")
		if sparse {
			check(string(head[:4]) == "CWS1", "sparse block")
			next, stored := 0, 0
			for i := range int(u32(head, 16)) {
				word := u32(head, 320+8*i)
				page := int(u32(head, 4))*512 + int(word&0x7fffffff)
				content := make([]byte, 4096)
				if word>>31 == 0 {
					content = body[next:][:4096]
					next += 4096
					stored++
					check(u32(head, 324+8*i) == crc(content), "CRC of a page of a sparse block")
				} else {
					check(u32(head, 324+8*i) == 0, "CRC of a page of zeros")
				}
				if page/512 == r {
					copy(s.arena[page*4096:], content)
					listed--
				}
			}
			check(count == stored && listed == 0, "numbers of pages of a sparse block")
			if at != last {
				pages += uint64(stored)
			}
			last = at
			continue
		}
		last = at
		check(string(head[:4]) == "CWB1" && u32(head, 4) == uint32(r), "block")
		next := 0
		for i := range 512 {
			zero := head[96+i/8]>>(i%8)&1 != 0
			check(!zero || features&1 != 0, "zeros in a full checkpoint")
			if zero {
				clear(s.arena[r*2<<20+i*4096:][:4096])
			}
			if head[16+i/8]>>(i%8)&1 == 0 {
				continue
			}
			check(!zero, "page is stored and zero")
			page := body[next:][:4096]
			check(u32(head, 2048+4*i) == crc(page), "CRC of a page")
			copy(s.arena[r*2<<20+i*4096:], page)
			next += 4096
			pages++
		}
		ones := 0
		for _, b := range head[16:80] {
			ones += bits.OnesCount8(b)
		}
		check(count == ones, "number of pages")
	}
	check(u64(trailer, 32) == blocks && u64(trailer, 40) == pages, "numbers of blocks and pages")
	return s, err
}

func TestStrangerReadsWhatThePackageWrote(t *testing.T) {
	full, err := os.ReadFile("testdata/version1.cowheap")
	if err != nil {
		t.Fatal(err)
	}
	s, err := readByTheBook(full, nil)
	if err != nil {
		t.Fatal(err)
	}
	want := make([]byte, 4*4096)
	copy(want[4096:], "page one")
	want[4*4096-1] = 0xff
	if !bytes.Equal(s.arena, want) || s.roots["counter"] != 4096 {
		t.Fatalf("roots %v, %d bytes", s.roots, len(s.arena))
	}

	increment, err := os.ReadFile("testdata/increment1.cowheap")
	if err != nil {
		t.Fatal(err)
	}
	s, err = readByTheBook(increment, func(id []byte) []byte {
		if !bytes.Equal(id, full[48:64]) {
			t.Errorf("parent %x", id)
		}
		return full
	})
	want = append(want, make([]byte, 4096)...)
	clear(want[4096:8192])
	copy(want[8192:12288], bytes.Repeat([]byte("page two, "), 409))
	if err != nil || !bytes.Equal(s.arena, want) {
		t.Fatalf("increment: %v", err)
	}

	sparse, err := os.ReadFile("testdata/sparse1.cowheap")
	if err != nil {
		t.Fatal(err)
	}
	s, err = readByTheBook(sparse, func(id []byte) []byte {
		if bytes.Equal(id, increment[48:64]) {
			return increment
		}
		return full
	})
	want = append(want, make([]byte, 509*4096)...)
	copy(want, "page zero")
	clear(want[8192:12288])
	want[513*4096+4095] = 0xee
	if err != nil || !bytes.Equal(s.arena, want) {
		t.Fatalf("sparse increment: %v", err)
	}
}

// TestStrangerReadsLongerChains: several pieces, some of them not compressed,
// arenas that shrink and grow, blocks of one region and of several.
func TestStrangerReadsLongerChains(t *testing.T) {
	for _, compression := range []checkpoint.Compression{checkpoint.Uncompressed, checkpoint.S2, checkpoint.ZstdFastest, checkpoint.Zstd, checkpoint.ZstdBest} {
		rng := rand.New(rand.NewPCG(8, 9))
		files := map[string][]byte{}
		var info checkpoint.Info
		var m []byte
		sparse := 0
		for n, pages := range []int{700, 90, 1100, 2100, 2600} {
			old := m
			m = make([]byte, pages*4096)
			copy(m, old)
			var changed []int64
			for p := range pages {
				// What is new, and some of what was there: in the last so few that regions share a block.
				if n > 0 && p*4096 < len(old) && rng.IntN([]int{0, 3, 3, 3, 20}[n]) > 0 {
					continue
				}
				changed = append(changed, int64(p)*4096)
				page := m[p*4096:][:4096]
				switch rng.IntN(3) {
				case 0:
					clear(page)
				case 1:
					for i := range page {
						page[i] = byte(rng.Uint32())
					}
				case 2:
					copy(page, bytes.Repeat([]byte{byte(p), 'x', byte(n)}, 1366))
				}
			}
			opts := checkpoint.WriteOptions{Compression: compression}
			if n > 0 {
				opts.Parent, opts.ParentSize = info.ID, info.Size
				opts.Changed = func(yield func(off, n int64) bool) {
					for _, off := range changed {
						if !yield(off, 4096) {
							return
						}
					}
				}
			}
			var out bytes.Buffer
			var err error
			if info, err = checkpoint.Write(t.Context(), &out, source{bytes.NewReader(m)}, opts); err != nil {
				t.Fatal(err)
			}
			files[string(info.ID[:])] = out.Bytes()
			sparse += bytes.Count(out.Bytes(), []byte("CWS1"))
			s, err := readByTheBook(out.Bytes(), func(id []byte) []byte { return files[string(id)] })
			if err != nil || !bytes.Equal(s.arena, m) {
				t.Fatalf("%v, link %d: %v", compression, n, err)
			}
		}
		if sparse == 0 {
			t.Errorf("%v: no sparse blocks", compression)
		}
	}
}
