package checkpoint

import (
	"bytes"
	"errors"
	"io"
	"os"
	"testing"
)

// The checkpoint that these tests damage has everything: two blocks, a region
// without one, a short last region, roots, layouts, a parent.

// TestCutAtEveryLength cuts a checkpoint at every length, in a file and on a
// stream.
func TestCutAtEveryLength(t *testing.T) {
	b := encode(t, small(), testOptions())
	f, err := os.OpenFile(tempFile(t, b), os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for n := len(b) - 1; n >= 0; n-- {
		if err := f.Truncate(int64(n)); err != nil {
			t.Fatal(err)
		}
		for from, read := range map[string]func() error{
			"stream": func() error { return drain(bytes.NewReader(b[:n])) },
			"file":   func() error { return drainFile(f.Name()) },
		} {
			if err := read(); !errors.Is(err, ErrTruncated) || !isTyped(err) {
				t.Fatalf("%s of %d bytes, cut at %d: %v, want a typed ErrTruncated", from, len(b), n, err)
			}
		}
	}
}

// TestFlippedBitAtEveryByte flips one bit of every byte and, at every 61st byte,
// each bit. Every byte is covered by a checksum or compared with something: there
// is none whose change may pass.
func TestFlippedBitAtEveryByte(t *testing.T) {
	want := small()
	b := encode(t, want, testOptions())
	path := tempFile(t, b)
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	check := func(at, bit int) {
		t.Helper()
		b[at] ^= 1 << bit
		if _, err := f.WriteAt(b[at:at+1], int64(at)); err != nil {
			t.Fatal(err)
		}
		if err := drain(bytes.NewReader(b)); !isTyped(err) || !errors.Is(err, ErrCorrupt) {
			t.Fatalf("stream, bit %d of byte %d flipped: %v, want a typed ErrCorrupt", bit, at, err)
		}
		if err := drainFile(path); !isTyped(err) || !errors.Is(err, ErrCorrupt) {
			t.Fatalf("file, bit %d of byte %d flipped: %v, want a typed ErrCorrupt", bit, at, err)
		}
		b[at] ^= 1 << bit
		if _, err := f.WriteAt(b[at:at+1], int64(at)); err != nil {
			t.Fatal(err)
		}
	}
	for at := range b {
		if at%61 != 0 {
			check(at, at%8)
			continue
		}
		for bit := range 8 {
			check(at, bit)
		}
	}
	if _, got, err := readFile(path); err != nil || !bytes.Equal(got, want) {
		t.Fatalf("after all bits were put back: %v", err)
	}
}

// TestEveryByteOfAFileIsReadByVerify is the same without reading the blocks
// oneself: opening and Verify together must notice.
func TestEveryByteOfAFileIsReadByVerify(t *testing.T) {
	b := encode(t, small(), testOptions())
	for at := 0; at < len(b); at += 7 {
		b[at] ^= 0x80
		im, err := NewImage(bytes.NewReader(b), int64(len(b)), nil)
		if err == nil {
			err = im.Verify(t.Context(), nil)
		}
		if !isTyped(err) || !errors.Is(err, ErrCorrupt) {
			t.Fatalf("byte %d changed: %v", at, err)
		}
		b[at] ^= 0x80
	}
}

// TestSwappedPartsAreNoticed exchanges parts of good checkpoints, so that every
// checksum is right.
func TestSwappedPartsAreNoticed(t *testing.T) {
	opts := testOptions()
	a := encode(t, small(), opts)
	opts.ID[15] ^= 1
	sameShape := encode(t, small(), opts)
	other := arena(small().Size(), 1, 511, 1026)
	otherPage := encode(t, other, testOptions())
	if len(a) != len(sameShape) || len(a) != len(otherPage) {
		t.Fatal("the checkpoints should have the same length")
	}
	header, end := 4096, len(a)-4096
	firstBlock := header + 3*4096
	for name, b := range map[string][]byte{
		"header of another":    join(sameShape[:header], a[header:]),
		"block of another":     join(a[:header], sameShape[header:firstBlock], a[firstBlock:]),
		"ending of another":    join(a[:end], sameShape[end:]),
		"index of another":     join(a[:end], sameShape[end:len(a)-128], a[len(a)-128:]),
		"trailer of another":   join(a[:len(a)-128], sameShape[len(a)-128:]),
		"blocks in disorder":   join(a[:header], a[firstBlock:end], a[header:firstBlock], a[end:]),
		"first block missing":  join(a[:header], a[firstBlock:]),
		"second block missing": join(a[:firstBlock], a[end:]),
		"first block twice":    join(a[:firstBlock], a[header:]),
		"pages exchanged":      join(a[:header+4096], a[header+8192:header+12288], a[header+4096:header+8192], a[firstBlock:]),
		"a hole in it":         join(a[:firstBlock], make([]byte, 4096), a[firstBlock:]),
		"ending twice":         join(a, a[end:]),
		"cut and ended":        join(a[:firstBlock], a[end:]),
	} {
		t.Run(name, func(t *testing.T) {
			if err := drainFile(tempFile(t, b)); !isTyped(err) || !errors.Is(err, ErrCorrupt) {
				t.Errorf("file: %v", err)
			}
			if name == "ending twice" {
				return // on a stream, that is what follows
			}
			if err := drain(bytes.NewReader(b)); !isTyped(err) || !errors.Is(err, ErrCorrupt) {
				t.Errorf("stream: %v", err)
			}
		})
	}
}

func join(parts ...[]byte) []byte { return bytes.Join(parts, nil) }

func TestWhatIsNoCheckpointIsCalledSo(t *testing.T) {
	for name, b := range map[string][]byte{
		"text":          bytes.Repeat([]byte("all work and no play\n"), 1000),
		"short text":    []byte("{\"magic\": 1}"),
		"zeros":         make([]byte, 1<<20),
		"ELF":           join([]byte("\x7fELF"), make([]byte, 8192)),
		"magic in text": join([]byte("\x89CWH\n\x1a\n"), make([]byte, 8192)), // a transfer that changed line ends
	} {
		t.Run(name, func(t *testing.T) {
			stream := drain(bytes.NewReader(b))
			file := drainFile(tempFile(t, b))
			for _, err := range []error{stream, file} {
				if !isTyped(err) || !errors.Is(err, ErrCorrupt) || errors.Is(err, ErrTruncated) {
					t.Errorf("%v", err)
				}
			}
		})
	}
	if err := drain(bytes.NewReader(nil)); !errors.Is(err, ErrTruncated) {
		t.Errorf("nothing at all: %v", err)
	}
	if _, err := OpenImage(t.TempDir()); !errors.Is(err, ErrCorrupt) {
		t.Errorf("a directory: %v", err)
	}
	if _, err := OpenImage(tempFile(t, nil) + "x"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no file: %v", err)
	}
}

// TestDeviceThatFailsIsNotCalledDamage keeps the two apart: an older checkpoint
// does not help against a network that broke off.
func TestDeviceThatFailsIsNotCalledDamage(t *testing.T) {
	broken := errors.New("connection reset")
	b := encode(t, small(), testOptions())
	for _, n := range []int{0, 5, 4096, 5000, 8192, 20000, len(b) - 1} {
		err := drain(io.MultiReader(bytes.NewReader(b[:n]), errReader{broken}))
		if e, ok := errors.AsType[*ReadError](err); !ok || !errors.Is(err, broken) || errors.Is(err, ErrCorrupt) || e.Offset != int64(n) {
			t.Errorf("stream fails after %d bytes: %v", n, err)
		}
		im, err := NewImage(failingReaderAt{b, int64(n), broken}, int64(len(b)), nil)
		if err == nil {
			err = drainImage(im)
		}
		if _, ok := errors.AsType[*ReadError](err); !ok || !errors.Is(err, broken) || errors.Is(err, ErrCorrupt) {
			t.Errorf("file has a bad sector at %d: %v", n, err)
		}
	}
}

type errReader struct{ err error }

func (r errReader) Read([]byte) (int, error) { return 0, r.err }

// failingReaderAt cannot read the byte at bad.
type failingReaderAt struct {
	b   []byte
	bad int64
	err error
}

func (r failingReaderAt) ReadAt(p []byte, off int64) (int, error) {
	if off <= r.bad && r.bad < off+int64(len(p)) {
		n := copy(p, r.b[off:r.bad])
		return n, r.err
	}
	return bytes.NewReader(r.b).ReadAt(p, off)
}
