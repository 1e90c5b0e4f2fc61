package checkpoint

import (
	"bytes"
	"errors"
	"flag"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/cowheap/cowheap/internal/block"
)

var damageSamples = flag.Int("damage.samples", 300, "how many bits of a checkpoint of 16 MiB are flipped; 10000 take half a minute")

// place is where an error says that the damage is: the file, and an offset in it.
func place(err error) (path string, offset int64, ok bool) {
	if e, ok := errors.AsType[*ChecksumError](err); ok {
		return e.Path, e.Offset, true
	}
	if e, ok := errors.AsType[*FormatError](err); ok {
		return e.Path, e.Offset, true
	}
	if e, ok := errors.AsType[*VersionError](err); ok {
		return e.Path, hVersion, true
	}
	if e, ok := errors.AsType[*PageSizeError](err); ok {
		return e.Path, hPageSize, true
	}
	return "", 0, false
}

// TestFlippedBitIsFoundWhereItIs flips single bits at sampled positions of a checkpoint of 16 MiB,
// full of pages that are not zero. Opening and Verify find each, and name the file and the page, or
// the part around the pages, that has it.
func TestFlippedBitIsFoundWhereItIs(t *testing.T) {
	b := encode(t, random(8*regionSize, 1), testOptions())
	path := tempFile(t, b)
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	verify := func() error {
		im, err := OpenImage(path)
		if err != nil {
			return err
		}
		defer im.Close()
		return im.Verify(t.Context(), nil)
	}
	flip := func(at, bit int) {
		t.Helper()
		b[at] ^= 1 << bit
		if _, err := f.WriteAt(b[at:at+1], int64(at)); err != nil {
			t.Fatal(err)
		}
	}
	ending := (len(b) - 1) / block.PageSize * block.PageSize // one page holds all of it
	rng := rand.New(rand.NewPCG(16, 10_000))
	for n := range *damageSamples {
		at, bit := rng.IntN(len(b)), rng.IntN(8)
		flip(at, bit)
		err := verify()
		if n%10 == 0 {
			_, inFile, _ := place(err)
			stream := drain(bytes.NewReader(b))
			if _, offset, ok := place(stream); !ok || at >= block.PageSize && at < ending && offset != inFile {
				t.Fatalf("bit %d of byte %d of a stream: %v; of a file: %v", bit, at, stream, err)
			}
		}
		flip(at, bit)
		file, offset, ok := place(err)
		if !ok || !errors.Is(err, ErrCorrupt) || file != path || !bytes.Contains([]byte(err.Error()), []byte(filepath.Base(path))) {
			t.Fatalf("bit %d of byte %d: %v, want a typed ErrCorrupt that names the file", bit, at, err)
		}
		// Pages and the headers of blocks have 4096 bytes each; what is before the blocks
		// and after them is one part each.
		if page := at / block.PageSize * block.PageSize; page > 0 && page < ending && offset/block.PageSize*block.PageSize != int64(page) {
			t.Fatalf("bit %d of byte %d: %v, want an offset in the 4096 bytes from %d", bit, at, err, page)
		}
	}
	if err := verify(); err != nil {
		t.Fatalf("after all bits were put back: %v", err)
	}
}
