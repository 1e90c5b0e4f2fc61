package checkpoint

import (
	"bytes"
	"errors"
	"io"
	"testing"

	"github.com/cowheap/cowheap/internal/block"
)

func TestReadRunsGivesWhatReadAtGives(t *testing.T) {
	src := make([]byte, 3*block.RegionSize)
	for _, p := range []int{0, 1, 2, 7, 9, 10, 511, 1024, 1535} {
		for i := range 100 {
			src[p*block.PageSize+i*40] = byte(p + i + 1)
		}
	}
	var file bytes.Buffer
	if _, err := Write(t.Context(), &file, bytesSource(src), WriteOptions{}); err != nil {
		t.Fatal(err)
	}
	im, err := NewImage(bytes.NewReader(file.Bytes()), int64(file.Len()), nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, room := range []int{1, 2, 3, 512} {
		got := make([]byte, len(src))
		buf := make([]byte, room*block.PageSize)
		for r := range im.Regions() {
			err := im.ReadRuns(r, buf, func(page int, pages []byte) error {
				if len(pages) > room*block.PageSize || block.IsZero(pages) {
					t.Errorf("row of %d bytes at page %d", len(pages), page)
				}
				copy(got[r*block.RegionSize+page*block.PageSize:], pages)
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		if !bytes.Equal(got, src) {
			t.Errorf("with room for %d pages the rows differ from the source", room)
		}
	}
	if err := im.ReadRuns(0, make([]byte, block.PageSize-1), nil); !errors.Is(err, io.ErrShortBuffer) {
		t.Errorf("no room: %v", err)
	}
	stop := errors.New("stop")
	if err := im.ReadRuns(0, make([]byte, block.MaxSize), func(int, []byte) error { return stop }); err != stop {
		t.Errorf("do's error: %v", err)
	}
	at := im.BlockOffset(0) + block.HeaderSize + 3*block.PageSize + 40
	file.Bytes()[at] ^= 1
	var sum *ChecksumError
	if err := im.ReadRuns(0, make([]byte, block.MaxSize), func(int, []byte) error { return nil }); !errors.As(err, &sum) || sum.Offset != at-40 {
		t.Errorf("a damaged page: %v", err)
	}
}

type bytesSource []byte

func (s bytesSource) Size() int64 { return int64(len(s)) }

func (s bytesSource) ReadAt(p []byte, off int64) (int, error) {
	return bytes.NewReader(s).ReadAt(p, off)
}
