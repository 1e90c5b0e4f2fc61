package checkpoint

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
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

// TestExampleIsTheSpecifiedOne keeps code, golden file and document together.
func TestExampleIsTheSpecifiedOne(t *testing.T) {
	_, b := example(t)
	text := dump(b)
	golden(t, "example.hex", []byte(text))
	golden(t, "version1.cowheap", b)
	doc, err := os.ReadFile(formatDocument)
	if err != nil {
		t.Fatal(err)
	}
	head, _, found := strings.Cut(string(doc), "\n```\n")
	if !found {
		t.Fatal("the document has no worked example")
	}
	want := head + "\n```\n" + text + "```\n"
	if *update {
		if err := os.WriteFile(formatDocument, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if string(doc) != want {
		t.Errorf("the example in %s is not what is written; go test -update puts it in", formatDocument)
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
