package checkpoint_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"math/bits"
	"os"
	"testing"

	"github.com/vmihailenco/msgpack/v5"
)

// stranger is a reader written from docs/FORMAT.md alone: it uses nothing of this
// module, numbers as they stand there. If it reads what the package writes, the
// document can be believed.
type stranger struct {
	arena []byte
	roots map[string]uint64
}

func readByTheBook(file []byte) (s stranger, err error) {
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
	check(u32(header, 8) == 1 && u32(header, 16) == 4096 && u32(header, 28) == 0, "version, page size or features")
	size := u64(header, 32)
	s.arena = make([]byte, size)

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

	blocks, pages := uint64(0), uint64(0)
	for r := range regions {
		at := u64(index, 32+8*r)
		if at == 0 {
			continue
		}
		blocks++
		head := file[at:][:4096]
		check(string(head[:4]) == "CWB1" && u32(head, 4) == uint32(r), "block")
		check(u32(head, 12) == crc(head[:12], head[16:]), "CRC of a block")
		check(bytes.Equal(head[80:96], header[48:64]), "UUID of a block")
		next := at + 4096
		for i := range 512 {
			if head[16+i/8]>>(i%8)&1 == 0 {
				continue
			}
			page := file[next:][:4096]
			check(u32(head, 2048+4*i) == crc(page), "CRC of a page")
			copy(s.arena[r*2<<20+i*4096:], page)
			next += 4096
			pages++
		}
		ones := 0
		for _, b := range head[16:80] {
			ones += bits.OnesCount8(b)
		}
		check(u32(head, 8) == uint32(ones), "number of pages")
	}
	check(u64(trailer, 32) == blocks && u64(trailer, 40) == pages, "numbers of blocks and pages")
	return s, err
}

func TestStrangerReadsWhatThePackageWrote(t *testing.T) {
	file, err := os.ReadFile("testdata/version1.cowheap")
	if err != nil {
		t.Fatal(err)
	}
	s, err := readByTheBook(file)
	if err != nil {
		t.Fatal(err)
	}
	want := make([]byte, 4*4096)
	copy(want[4096:], "page one")
	want[4*4096-1] = 0xff
	if !bytes.Equal(s.arena, want) || s.roots["counter"] != 4096 {
		t.Fatalf("roots %v, %d bytes", s.roots, len(s.arena))
	}
}
