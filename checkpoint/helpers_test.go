package checkpoint

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/cowheap/cowheap/internal/block"
)

const (
	pageSize   = block.PageSize
	regionSize = block.RegionSize
)

// memory is a Source in a byte slice.
type memory []byte

func (m memory) Size() int64 { return int64(len(m)) }

func (m memory) ReadAt(p []byte, off int64) (int, error) {
	return bytes.NewReader(m).ReadAt(p, off)
}

// Fixed values, so that a checkpoint is the same bytes each time.
var (
	testID     = uuid.MustParse("01890f3c-1a2b-7c4d-8e5f-0123456789ab")
	testParent = uuid.MustParse("01890f3c-0000-7000-8000-000000000001")
	testTime   = time.Unix(1700000000, 123456789).UTC()
)

var testRoots = []Root{
	{Name: "accounts", Offset: 4096, Layout: Layout{
		{Name: "bank.Accounts", Kind: "struct", Size: 24, Elem: -1, Key: -1, Fields: []Field{
			{Name: "Total", Offset: 0, Type: 1},
			{Name: "All", Offset: 8, Type: 2},
		}},
		{Name: "int64", Kind: "int64", Size: 8, Elem: -1, Key: -1},
		{Name: "[2]int64", Kind: "array", Size: 16, Elem: 1, Key: -1, Len: 2},
	}},
	{Name: "log position", Offset: 512},
}

func testOptions() WriteOptions {
	return WriteOptions{ID: testID, Parent: testParent, Time: testTime, Roots: testRoots}
}

// arena makes size bytes in which the given pages are random and all others zero.
func arena(size int64, pages ...int) memory {
	m := make(memory, size)
	for _, p := range pages {
		rng := rand.New(rand.NewPCG(7, uint64(p)))
		for i := 0; i < pageSize; i += 8 {
			binary.LittleEndian.PutUint64(m[p*pageSize+i:], rng.Uint64())
		}
	}
	return m
}

// random makes an arena in which a page is stored with the given probability.
func random(size int64, density float64) memory {
	rng := rand.New(rand.NewPCG(3, uint64(size)))
	var pages []int
	for p := range int(size / pageSize) {
		if rng.Float64() < density {
			pages = append(pages, p)
		}
	}
	return arena(size, pages...)
}

// small is the arena whose checkpoint is damaged at every place: three regions,
// one of them empty, the last one short.
func small() memory {
	return arena(2*regionSize+3*pageSize, 1, 511, 1025)
}

// encode is the checkpoint of src as bytes.
func encode(t tester, src Source, opts WriteOptions) []byte {
	t.Helper()
	var out bytes.Buffer
	info, err := Write(context.Background(), &out, src, opts)
	if err != nil {
		t.Fatal(err)
	}
	if info.Bytes != int64(out.Len()) {
		t.Fatalf("Info says %d bytes, written were %d", info.Bytes, out.Len())
	}
	return out.Bytes()
}

// tempFile puts bytes into a file.
func tempFile(t testing.TB, b []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "checkpoint")
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// readStream is everything that a Reader gives.
func readStream(r io.Reader) (Info, memory, error) {
	rd, err := NewReader(r)
	if err != nil {
		return Info{}, nil, err
	}
	m := make(memory, rd.Info().Size)
	for {
		b, err := rd.Next()
		if err == io.EOF {
			return rd.Info(), m, nil
		}
		if err != nil {
			return Info{}, nil, err
		}
		m.put(b)
	}
}

// readImage is everything that an Image gives, block by block.
func readImage(im *Image) (Info, memory, error) {
	m := make(memory, im.Size())
	buf := bufferPool.Get().(*ioBuffer)
	defer bufferPool.Put(buf)
	for region := range im.Regions() {
		b, err := im.ReadBlock(region, buf[:])
		if err != nil {
			return Info{}, nil, err
		}
		m.put(b)
	}
	return im.Info(), m, nil
}

// drain reads a stream to its end without keeping anything.
func drain(r io.Reader) error {
	rd, err := NewReader(r)
	for err == nil {
		_, err = rd.Next()
	}
	if err == io.EOF {
		return nil
	}
	return err
}

// drainImage reads every block without keeping anything.
func drainImage(im *Image) error {
	buf := bufferPool.Get().(*ioBuffer)
	defer bufferPool.Put(buf)
	for region := range im.Regions() {
		if _, err := im.ReadBlock(region, buf[:]); err != nil {
			return err
		}
	}
	return nil
}

// drainFile opens a file and reads every block.
func drainFile(path string) error {
	im, err := OpenImage(path)
	if err != nil {
		return err
	}
	defer im.Close()
	return drainImage(im)
}

func readFile(path string) (Info, memory, error) {
	im, err := OpenImage(path)
	if err != nil {
		return Info{}, nil, err
	}
	defer im.Close()
	return readImage(im)
}

// put restores one block.
func (m memory) put(b Block) {
	if b.Header == nil {
		return
	}
	for run := range b.Header.Runs() {
		copy(m[b.Region*regionSize+run.Page*pageSize:], b.Pages[run.Rank*pageSize:(run.Rank+run.Count)*pageSize])
	}
}

// sameInfo compares all but the path.
func sameInfo(a, b Info) bool {
	return a.ID == b.ID && a.Parent == b.Parent && a.Time.Equal(b.Time) && a.Size == b.Size &&
		a.Pages == b.Pages && a.Blocks == b.Blocks && a.Bytes == b.Bytes && sameRoots(a.Roots, b.Roots)
}

func sameRoots(a, b []Root) bool {
	return slices.EqualFunc(a, b, func(a, b Root) bool {
		return a.Name == b.Name && a.Offset == b.Offset && slices.EqualFunc(a.Layout, b.Layout, func(a, b Type) bool {
			return a.Name == b.Name && a.Kind == b.Kind && a.Size == b.Size && a.Elem == b.Elem && a.Key == b.Key &&
				a.Len == b.Len && slices.Equal(a.Fields, b.Fields)
		})
	})
}

// isTyped reports whether an error about content is one that callers can tell
// apart, and says where.
func isTyped(err error) bool {
	if e, ok := errors.AsType[*FormatError](err); ok {
		return e.Reason != "" && errors.Is(err, ErrCorrupt)
	}
	if e, ok := errors.AsType[*ChecksumError](err); ok {
		return e.What != "" && e.Want != e.Got && errors.Is(err, ErrCorrupt)
	}
	if e, ok := errors.AsType[*VersionError](err); ok {
		return e.Damaged == errors.Is(err, ErrCorrupt)
	}
	if e, ok := errors.AsType[*PageSizeError](err); ok {
		return e.Damaged == errors.Is(err, ErrCorrupt)
	}
	_, ok := errors.AsType[*LimitError](err)
	return ok
}
