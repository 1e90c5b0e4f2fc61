package checkpoint

import (
	"bytes"
	"errors"
	"io"
	"testing"
	"testing/iotest"

	"github.com/cowheap/cowheap/internal/block"
)

func TestStreamIsReadToItsEndAndNoFurther(t *testing.T) {
	first, second := small(), random(3*regionSize, 0.1)
	opts := testOptions()
	opts.Roots = nil
	var pipe bytes.Buffer
	pipe.Write(encode(t, first, testOptions()))
	pipe.Write(encode(t, second, opts))
	pipe.Write(encode(t, memory{}, opts))
	pipe.WriteString("what follows")
	for _, want := range []memory{first, second, {}} {
		_, got, err := readStream(&pipe)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, want) {
			t.Fatal("other bytes")
		}
	}
	if pipe.String() != "what follows" {
		t.Fatalf("left on the stream: %q", pipe.String())
	}
}

// TestHowAStreamArrivesDoesNotMatter: in single bytes, in halves, its end with
// the last bytes or after them.
func TestHowAStreamArrivesDoesNotMatter(t *testing.T) {
	want := small()
	b := encode(t, want, testOptions())
	for name, wrap := range map[string]func(io.Reader) io.Reader{
		"single bytes":      iotest.OneByteReader,
		"halves":            iotest.HalfReader,
		"end with the data": iotest.DataErrReader,
	} {
		_, got, err := readStream(wrap(bytes.NewReader(b)))
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestReaderStaysWhereItEnded(t *testing.T) {
	b := encode(t, small(), testOptions())
	rd, err := NewReader(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	if got := rd.Info(); got.Blocks != 0 || got.Bytes != headerUnit || got.ID != testID {
		t.Errorf("at the start: %+v", got)
	}
	if _, err := rd.Next(); err != nil {
		t.Fatal(err)
	}
	if got := rd.Info(); got.Blocks != 1 || got.Pages != 2 {
		t.Errorf("after a block: %+v", got)
	}
	if _, err := rd.Next(); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if _, err := rd.Next(); err != io.EOF {
			t.Fatalf("after the last block: %v", err)
		}
	}
	if got := rd.Info(); got.Bytes != int64(len(b)) {
		t.Errorf("at the end: %+v", got)
	}

	b[headerUnit+block.HeaderSize] ^= 1
	if rd, err = NewReader(bytes.NewReader(b)); err != nil {
		t.Fatal(err)
	}
	_, first := rd.Next()
	_, again := rd.Next()
	if !errors.Is(first, ErrCorrupt) || first != again {
		t.Errorf("damaged: %v, then %v", first, again)
	}
}

// TestErrorsNameTheByte damages one place of each part.
func TestErrorsNameTheByte(t *testing.T) {
	good := encode(t, small(), testOptions())
	block2 := int64(headerUnit + 3*pageSize)
	index := int64(len(good) - 4096)
	for name, c := range map[string]struct {
		at, offset int64
		what       string
	}{
		"header":       {hMetadata + 3, 0, "the header"},
		"block header": {block2 + 100, block2, "the block's header"},
		"page":         {block2 + block.HeaderSize + 77, block2 + block.HeaderSize, "page 1 of region 2"},
		"index":        {index + xEntries, index, "the index"},
		"trailer":      {int64(len(good)) - 1, int64(len(good)) - trailerSize, "the trailer"},
	} {
		t.Run(name, func(t *testing.T) {
			b := bytes.Clone(good)
			b[c.at] ^= 0x20
			path := tempFile(t, b)
			for from, err := range map[string]error{"": drain(bytes.NewReader(b)), path: drainFile(path)} {
				e, ok := errors.AsType[*ChecksumError](err)
				if !ok || e.Path != from || e.Offset != c.offset || e.What != c.what || e.Want == e.Got {
					t.Errorf("from %q: %v, want offset %d of %s", from, err, c.offset, c.what)
				}
			}
		})
	}
}

func BenchmarkReader(b *testing.B) {
	src := random(64*regionSize, 1)
	data := encode(b, src, WriteOptions{})
	b.SetBytes(int64(len(data)))
	b.ReportAllocs()
	for b.Loop() {
		if err := drain(bytes.NewReader(data)); err != nil {
			b.Fatal(err)
		}
	}
}
