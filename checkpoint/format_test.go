package checkpoint

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/cowheap/cowheap/internal/block"
)

const formatDocument = "../docs/FORMAT.md"

// example is the checkpoint of the worked example.
func example(t *testing.T) (memory, []byte) {
	m := make(memory, 4*pageSize)
	copy(m[pageSize:], "page one")
	m[4*pageSize-1] = 0xff
	return m, encode(t, m, WriteOptions{
		ID:   uuid.MustParse("01890f3c-1a2b-7c4d-8e5f-0123456789ab"),
		Time: testTime,
		Roots: []Root{{Name: "counter", Offset: 4096, Layout: Layout{
			{Name: "int64", Kind: "int64", Size: 8, Elem: -1, Key: -1},
		}}},
	})
}

// secondExample is an incremental checkpoint on the first, compressed.
func secondExample(t *testing.T) (memory, []byte) {
	m, _ := example(t)
	m = append(m, make(memory, pageSize)...)
	clear(m[pageSize : 2*pageSize])
	copy(m[2*pageSize:3*pageSize], bytes.Repeat([]byte("page two, "), pageSize/10))
	return m, encode(t, m, WriteOptions{
		ID:     uuid.MustParse("01890f3c-1a2c-7c4d-8e5f-0123456789ab"),
		Time:   testTime,
		Parent: uuid.MustParse("01890f3c-1a2b-7c4d-8e5f-0123456789ab"), ParentSize: 4 * pageSize,
		Changed: ranges(1, 2), Compression: S2,
	})
}

// thirdExample is an incremental checkpoint on the second, with a sparse block.
func thirdExample(t *testing.T) (memory, []byte) {
	m, _ := secondExample(t)
	m = append(m, make(memory, 509*pageSize)...)
	copy(m, "page zero")
	clear(m[2*pageSize : 3*pageSize])
	m[514*pageSize-1] = 0xee
	return m, encode(t, m, WriteOptions{
		ID:     uuid.MustParse("01890f3c-1a2d-7c4d-8e5f-0123456789ab"),
		Time:   testTime,
		Parent: uuid.MustParse("01890f3c-1a2c-7c4d-8e5f-0123456789ab"), ParentSize: 5 * pageSize,
		Changed: ranges(0, 2, 512, 513),
	})
}

// dump prints bytes as hexdump -C does.
func dump(b []byte) string {
	var out strings.Builder
	lines := strings.Split(strings.TrimSuffix(hex.Dump(b), "\n"), "\n")
	const text = 8 // where the bytes start: what is before is the offset
	for i, line := range lines {
		same := func(j int) bool { return j >= 0 && j < len(lines) && lines[j][text:] == line[text:] }
		switch {
		case !same(i - 1):
			out.WriteString(line + "\n")
		case !same(i-2) || i == 1:
			out.WriteString("*\n")
		}
	}
	fmt.Fprintf(&out, "%08x\n", len(b))
	return out.String()
}

// TestExamplesAreTheSpecifiedOnes keeps code, golden files and document together.
// Another version of the compressor may give other bytes in the second one, and
// so does that for another processor.
func TestExamplesAreTheSpecifiedOnes(t *testing.T) {
	_, first := example(t)
	_, second := secondExample(t)
	if runtime.GOARCH != "amd64" {
		var err error
		if second, err = os.ReadFile("testdata/increment1.cowheap"); err != nil {
			t.Fatal(err)
		}
	}
	golden(t, "example.hex", []byte(dump(first)))
	golden(t, "version1.cowheap", first)
	golden(t, "example2.hex", []byte(dump(second)))
	golden(t, "increment1.cowheap", second)
	_, third := thirdExample(t)
	golden(t, "example3.hex", []byte(dump(third)))
	golden(t, "sparse1.cowheap", third)
	doc, err := os.ReadFile(formatDocument)
	if err != nil {
		t.Fatal(err)
	}
	texts := []string{dump(first), dump(second), dump(third)}
	fenced := regexp.MustCompile("(?s)\n```\n.*?```\n")
	if n := len(fenced.FindAll(doc, -1)); n != len(texts) {
		t.Fatalf("the document has %d worked examples", n)
	}
	want := fenced.ReplaceAllStringFunc(string(doc), func(string) string {
		text := texts[0]
		texts = texts[1:]
		return "\n```\n" + text + "```\n"
	})
	if *update {
		if err := os.WriteFile(formatDocument, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if string(doc) != want {
		t.Errorf("the examples in %s are not what is written; go test -update puts them in", formatDocument)
	}
}

// TestFilesOfEveryVersionAreRead is the promise of the format.
func TestFilesOfEveryVersionAreRead(t *testing.T) {
	want, _ := example(t)
	files, err := filepath.Glob("testdata/version*.cowheap")
	if err != nil || len(files) != FormatVersion {
		t.Fatalf("files of %d versions, want %d: %v", len(files), FormatVersion, err)
	}
	for _, path := range files {
		info, got, err := readFile(path)
		if err != nil || !bytes.Equal(got, want) || len(info.Roots) != 1 || info.Roots[0].Name != "counter" {
			t.Errorf("%s: %+v, %v", path, info, err)
		}
	}
	dir := t.TempDir()
	for id, name := range map[string]string{
		"01890f3c1a2b7c4d8e5f0123456789ab": "version1.cowheap",
		"01890f3c1a2c7c4d8e5f0123456789ab": "increment1.cowheap",
		"01890f3c1a2d7c4d8e5f0123456789ab": "sparse1.cowheap",
	} {
		b, err := os.ReadFile(filepath.Join("testdata", name))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, id+fileSuffix), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for n, example := range []func(*testing.T) (memory, []byte){example, secondExample, thirdExample} {
		want, _ := example(t)
		info, got, err := readFile(filepath.Join(dir, fmt.Sprintf("01890f3c1a2%c7c4d8e5f0123456789ab", 'b'+n)+fileSuffix))
		if err != nil || !bytes.Equal(got, want) || info.Chain != n+1 || info.Sparse != (n == 2) {
			t.Errorf("file %d of the chain: %+v, %v", n, info, err)
		}
	}
}

// TestOffsetsAreThoseOfTheDocument compares the tables with the constants.
func TestOffsetsAreThoseOfTheDocument(t *testing.T) {
	doc, err := os.ReadFile(formatDocument)
	if err != nil {
		t.Fatal(err)
	}
	for heading, rows := range map[string][][2]int{
		"Header": {{hMagic, hVersion}, {hVersion, hCRC}, {hCRC, hPageSize}, {hPageSize, hLength}, {hLength, hMetaLen}, {hMetaLen, hFlags},
			{hFlags, hSize}, {hSize, hTime}, {hTime, hID}, {hID, hParent}, {hParent, hParentLen}, {hParentLen, hReserved}, {hReserved, hMetadata}, {hMetadata, 0}},
		"Block": {{block.MagicOff, block.RegionOff}, {block.RegionOff, block.CountOff}, {block.CountOff, block.CRCOff}, {block.CRCOff, block.BitmapOff},
			{block.BitmapOff, block.IDOff}, {block.IDOff, block.ZeroOff}, {block.ZeroOff, block.CodecOff}, {block.CodecOff, block.CodecOff + 4},
			{block.CodecOff + 4, block.PieceOff}, {block.PieceOff, block.ReservedOff}, {block.ReservedOff, block.PageCRCOff}, {block.PageCRCOff, block.HeaderSize}},
		"Sparse block": {{block.MagicOff, block.RegionOff}, {block.RegionOff, block.CountOff}, {block.CountOff, block.CRCOff}, {block.CRCOff, block.EntriesOff},
			{block.EntriesOff, block.EntriesOff + 4}, {block.EntriesOff + 4, block.IDOff}, {block.IDOff, block.ZeroOff}, {block.ZeroOff, block.CodecOff},
			{block.CodecOff, block.CodecOff + 4}, {block.CodecOff + 4, block.PieceOff}, {block.PieceOff, block.EntryOff}, {block.EntryOff, block.HeaderSize}},
		"Index": {{xMagic, xReserved}, {xReserved, xRegions}, {xRegions, xID}, {xID, xEntries}, {xEntries, 0}},
		"Trailer": {{tMagic, tCRC}, {tCRC, tIndexOff}, {tIndexOff, tIndexLen}, {tIndexLen, tIndexCRC}, {tIndexCRC, tHeaderCRC}, {tHeaderCRC, tBlocks},
			{tBlocks, tPages}, {tPages, tLength}, {tLength, tID}, {tID, tReserved}, {tReserved, trailerSize}},
	} {
		_, section, found := strings.Cut(string(doc), "\n## "+heading+"\n")
		if !found {
			t.Errorf("no section %q", heading)
			continue
		}
		section, _, _ = strings.Cut(section, "\n## ")
		got := regexp.MustCompile(`(?m)^\| (\d+) \| (\d*)`).FindAllStringSubmatch(section, -1)
		if len(got) != len(rows) {
			t.Errorf("%s: %d rows with an offset, want %d", heading, len(got), len(rows))
			continue
		}
		for i, row := range rows {
			size := fmt.Sprint(row[1] - row[0])
			if row[1] == 0 {
				size = got[i][2] // to the end
			}
			if got[i][1] != fmt.Sprint(row[0]) || got[i][2] != size {
				t.Errorf("%s, row %d: offset %s, size %s; the code has %d, %s", heading, i, got[i][1], got[i][2], row[0], size)
			}
		}
	}
}
