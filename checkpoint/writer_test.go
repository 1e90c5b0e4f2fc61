package checkpoint

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cowheap/cowheap/internal/block"
)

// shapes are arenas with something at every edge of the format.
var shapes = map[string]func() memory{
	"empty":               func() memory { return memory{} },
	"one page":            func() memory { return arena(pageSize, 0) },
	"one page of zeros":   func() memory { return arena(pageSize) },
	"zeros":               func() memory { return arena(5*regionSize + pageSize) },
	"full region":         func() memory { return random(regionSize, 1) },
	"full":                func() memory { return random(3*regionSize, 1) },
	"last region short":   func() memory { return random(2*regionSize+5*pageSize, 1) },
	"small":               small,
	"sparse":              func() memory { return random(6*regionSize, 0.01) },
	"half":                func() memory { return random(4*regionSize, 0.5) },
	"dense":               func() memory { return random(4*regionSize, 0.97) },
	"only the last page":  func() memory { return arena(3*regionSize, 3*512-1) },
	"only the first page": func() memory { return arena(3*regionSize, 0) },
}

func TestWhatIsWrittenIsRead(t *testing.T) {
	for name, shape := range shapes {
		t.Run(name, func(t *testing.T) {
			src := shape()
			opts := testOptions()
			if len(src) <= 4096 {
				opts.Roots = nil // they would be outside
			}
			var out bytes.Buffer
			want, err := Write(t.Context(), &out, src, opts)
			if err != nil {
				t.Fatal(err)
			}
			stored, blocks := 0, 0
			for r := 0; r*regionSize < len(src); r++ {
				region := src[r*regionSize : min((r+1)*regionSize, len(src))]
				if block.IsZero(region) {
					continue
				}
				blocks++
				for ; len(region) > 0; region = region[pageSize:] {
					if !block.IsZero(region[:pageSize]) {
						stored++
					}
				}
			}
			if want.Pages != int64(stored) || want.Blocks != int64(blocks) {
				t.Errorf("%d pages in %d blocks, want %d in %d", want.Pages, want.Blocks, stored, blocks)
			}
			if want.Bytes != int64(out.Len()) || want.Bytes%4096 != 0 || want.Bytes < int64(stored)*pageSize {
				t.Errorf("%d bytes for %d pages", want.Bytes, stored)
			}
			if want.ID != testID || want.Parent != testParent || !want.Time.Equal(testTime) || want.Size != src.Size() || !sameRoots(want.Roots, opts.Roots) {
				t.Errorf("info %+v", want)
			}

			got, m, err := readStream(bytes.NewReader(out.Bytes()))
			if err != nil {
				t.Fatalf("stream: %v", err)
			}
			if !bytes.Equal(m, src) || !sameInfo(got, want) {
				t.Fatalf("stream: other bytes or info %+v", got)
			}
			path := tempFile(t, out.Bytes())
			got, m, err = readFile(path)
			if err != nil {
				t.Fatalf("file: %v", err)
			}
			if !bytes.Equal(m, src) || !sameInfo(got, want) || got.Path != path {
				t.Fatalf("file: other bytes or info %+v", got)
			}

			im, err := NewImage(bytes.NewReader(out.Bytes()), int64(out.Len()), nil)
			if err != nil {
				t.Fatal(err)
			}
			if err := im.Verify(t.Context(), nil); err != nil {
				t.Fatal(err)
			}
			// An image is a source: its checkpoint is the same again.
			if again := encode(t, im, opts); !bytes.Equal(again, out.Bytes()) {
				t.Error("the checkpoint of the image is another one")
			}
		})
	}
}

// holes is a large Source with few pages.
type holes struct {
	size  int64
	pages map[int64][]byte // by number
}

func (s holes) Size() int64 { return s.size }

func (s holes) ReadAt(p []byte, off int64) (int, error) {
	clear(p)
	for at := off; at < off+int64(len(p)); at += pageSize {
		copy(p[at-off:], s.pages[at/pageSize])
	}
	return len(p), nil
}

// TestIndexOfAnySize has indexes around each size at which they are read or
// padded differently: one page with the trailer, one entry more, several pieces.
func TestIndexOfAnySize(t *testing.T) {
	const fits = (4096 - xEntries - trailerSize) / 8
	for _, regions := range []int64{1, fits - 1, fits, fits + 1, fits + 512, 3 * regionSize / 8} {
		t.Run(fmt.Sprint(regions), func(t *testing.T) {
			src := holes{size: regions * regionSize, pages: map[int64][]byte{}}
			for _, r := range []int64{0, regions / 2, regions - 1} {
				src.pages[r*512+r%512] = arena(pageSize, 0)
			}
			b := encodeHoles(t, src)
			rd, err := NewReader(bytes.NewReader(b))
			if err != nil {
				t.Fatal(err)
			}
			im, err := NewImage(bytes.NewReader(b), int64(len(b)), nil)
			if err != nil {
				t.Fatal(err)
			}
			seen := 0
			for ; ; seen++ {
				blk, err := rd.Next()
				if err == io.EOF {
					break
				}
				if err != nil {
					t.Fatal(err)
				}
				page := int64(blk.Region*512 + blk.Region%512)
				if !bytes.Equal(blk.Pages, src.pages[page]) || !blk.Header.Stored(int(page%512)) {
					t.Fatalf("region %d has other pages", blk.Region)
				}
				got := make([]byte, pageSize)
				if err := im.ReadPage(page, got); err != nil || !bytes.Equal(got, src.pages[page]) {
					t.Fatalf("page %d of the image: %v", page, err)
				}
				if got, want := im.BlockSize(blk.Region), block.HeaderSize+block.PageSize; got != want {
					t.Fatalf("block of %d bytes, want %d", got, want)
				}
			}
			if seen != len(src.pages) || im.Info().Blocks != int64(seen) || !sameInfo(im.Info(), rd.Info()) {
				t.Fatalf("%d blocks, image %+v, stream %+v", seen, im.Info(), rd.Info())
			}
		})
	}
}

// encodeHoles makes the checkpoint of a source that is mostly holes without
// reading all the zeros: block by block, by the format's own words.
func encodeHoles(t testing.TB, src holes) []byte {
	t.Helper()
	info := Info{ID: testID, Time: testTime, Size: src.size}
	b, err := encodeHeader(&info)
	if err != nil {
		t.Fatal(err)
	}
	crc := block.CRCWithout(b, hCRC)
	entries := make([]uint64, regionsOf(src.size))
	var buf ioBuffer
	for _, page := range slices.Sorted(maps.Keys(src.pages)) {
		region := page / 512
		if entries[region] == 0 {
			f := filled{task: task{[]changedRegion{{region, block.FirstPages(pagesIn(region, src.size))}}}, buf: &buf}
			f.fill(src, &info)
			entries[region] = uint64(len(b))
			b = append(b, buf[:f.size]...)
			info.Blocks++
			info.Pages += int64(f.stored)
		}
	}
	end := ending{id: testID, headerCRC: crc, size: src.size, offset: int64(len(b)), blocks: info.Blocks, pages: info.Pages}
	return append(b, end.encode(entries)...)
}

func TestSameInputGivesSameBytes(t *testing.T) {
	src := random(5*regionSize, 0.3)
	first := encode(t, src, testOptions())
	for range 3 {
		if !bytes.Equal(first, encode(t, src, testOptions())) {
			t.Fatal("two checkpoints of the same state differ")
		}
	}
}

func TestIDAndTimeAreChosenIfNotGiven(t *testing.T) {
	before := time.Now()
	a, err := Write(t.Context(), io.Discard, small(), WriteOptions{})
	if err != nil {
		t.Fatal(err)
	}
	b, err := Write(t.Context(), io.Discard, small(), WriteOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if a.ID.Version() != 7 || bytes.Compare(a.ID[:], b.ID[:]) >= 0 {
		t.Errorf("IDs %s and %s: not UUIDv7 in order", a.ID, b.ID)
	}
	if a.Time.Before(before.Truncate(0)) || a.Time.After(time.Now()) {
		t.Errorf("time %v", a.Time)
	}
}

// recorder is a Releaser that writes down what it is told.
type recorder struct {
	memory
	released []string
	readers  atomic.Int32
	readEnd  atomic.Int64
	onRead   func(end int64)
}

func (r *recorder) ReadAt(p []byte, off int64) (int, error) {
	if r.readers.Add(1) != 1 {
		panic("two reads at once")
	}
	defer r.readers.Add(-1)
	r.readEnd.Store(off + int64(len(p)))
	if r.onRead != nil {
		r.onRead(off + int64(len(p)))
	}
	return r.memory.ReadAt(p, off)
}

func (r *recorder) Release(off, n int64) {
	r.released = append(r.released, fmt.Sprintf("%d+%d", off, n))
}

// writerFunc is a writer in a test's hands.
type writerFunc func(p []byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

func TestReleaseAndProgressFollowTheWrites(t *testing.T) {
	src := &recorder{memory: small()}
	var events []string
	opts := testOptions()
	opts.Progress = func(done, total int64) {
		if len(src.released) == 0 {
			t.Error("progress before release")
		}
		events = append(events, fmt.Sprintf("%d/%d after %s", done, total, src.released[len(src.released)-1]))
	}
	w := writerFunc(func(p []byte) (int, error) {
		events = append(events, fmt.Sprintf("write %d", len(p)))
		return len(p), nil
	})
	if _, err := Write(t.Context(), w, src, opts); err != nil {
		t.Fatal(err)
	}
	size := src.Size()
	want := []string{
		"write 4096",
		fmt.Sprintf("write %d", block.HeaderSize+2*pageSize),
		fmt.Sprintf("%d/%d after 0+%d", regionSize, size, regionSize),
		fmt.Sprintf("%d/%d after %d+%d", 2*regionSize, size, regionSize, regionSize),
		fmt.Sprintf("write %d", block.HeaderSize+pageSize),
		fmt.Sprintf("%d/%d after %d+%d", size, size, 2*regionSize, 3*pageSize),
		"write 4096",
	}
	if !slices.Equal(events, want) {
		t.Fatalf("got\n%s\nwant\n%s", strings.Join(events, "\n"), strings.Join(want, "\n"))
	}
}

// TestReadingRunsAheadOfWriting holds the first block's write until every buffer
// is full: without a pipeline it would wait for ever, without a bound the reader
// would come further. With two processors the one waits for the other.
func TestReadingRunsAheadOfWriting(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(0))
	for processors, depth := range map[int]int64{1: 1, 2: 1, 3: pipelineDepth, 8: pipelineDepth} {
		runtime.GOMAXPROCS(processors)
		readAhead(t, depth)
	}
}

func readAhead(t *testing.T, depth int64) {
	t.Helper()
	allFull := make(chan struct{})
	src := &recorder{memory: random(12*regionSize, 1)}
	src.onRead = func(end int64) {
		if end == depth*regionSize {
			close(allFull)
		}
	}
	var blocks int64
	w := writerFunc(func(p []byte) (int, error) {
		if len(p) != block.MaxSize {
			return len(p), nil
		}
		if blocks == 0 {
			<-allFull
		}
		if ahead := src.readEnd.Load() - blocks*regionSize; ahead > depth*regionSize {
			t.Errorf("reading is %d bytes ahead", ahead)
		}
		blocks++
		return len(p), nil
	})
	if _, err := Write(t.Context(), w, src, WriteOptions{}); err != nil {
		t.Fatal(err)
	}
	if blocks != 12 {
		t.Fatalf("%d whole blocks written", blocks)
	}
}

// TestEveryWriteMayFail cuts the output at every write, in each way that a
// writer has.
func TestEveryWriteMayFail(t *testing.T) {
	full := errors.New("disk is full")
	src := random(4*regionSize, 0.2)
	const writes = 6 // header, four blocks, ending
	for name, fail := range map[string]func(p []byte) (int, error){
		"error":             func([]byte) (int, error) { return 0, full },
		"part and error":    func(p []byte) (int, error) { return len(p) / 2, full },
		"all and error":     func(p []byte) (int, error) { return len(p), full },
		"short, no error":   func(p []byte) (int, error) { return len(p) - 1, nil },
		"nothing, no error": func([]byte) (int, error) { return 0, nil },
		"more than all":     func(p []byte) (int, error) { return len(p) + 1, nil },
		"less than nothing": func([]byte) (int, error) { return -1, nil },
	} {
		t.Run(name, func(t *testing.T) {
			for at := range writes {
				var out bytes.Buffer
				n := 0
				rec := &recorder{memory: src}
				w := writerFunc(func(p []byte) (int, error) {
					if n++; n-1 == at {
						k, err := fail(p)
						out.Write(p[:min(max(k, 0), len(p))])
						return k, err
					}
					return out.Write(p)
				})
				_, err := Write(t.Context(), w, rec, WriteOptions{})
				e, ok := errors.AsType[*WriteError](err)
				if !ok || e.Op != "writing" {
					t.Fatalf("write %d: %v, want a *WriteError", at, err)
				}
				if strings.Contains(name, "and error") || name == "error" {
					if !errors.Is(err, full) || e.Offset != int64(out.Len()) {
						t.Fatalf("write %d: %v at %d, %d bytes were taken", at, err, e.Offset, out.Len())
					}
				}
				if strings.HasSuffix(name, "no error") && !errors.Is(err, io.ErrShortWrite) {
					t.Fatalf("write %d: %v, want io.ErrShortWrite", at, err)
				}
				if n != at+1 {
					t.Fatalf("%d writes after the one that failed", n-at-1)
				}
				if len(rec.released) > max(at-1, 0) {
					t.Fatalf("write %d: released %v, which was not written", at, rec.released)
				}
				if complete := name == "all and error" || name == "more than all"; !complete || at < writes-1 {
					if _, _, err := readStream(&out); !errors.Is(err, ErrTruncated) {
						t.Fatalf("write %d: reading what was written: %v, want ErrTruncated", at, err)
					}
				}
			}
		})
	}
}

func TestCancelledContextEndsTheWrite(t *testing.T) {
	why := errors.New("the snapshot was closed")
	for at := range 5 {
		ctx, cancel := context.WithCancelCause(t.Context())
		n := 0
		w := writerFunc(func(p []byte) (int, error) {
			if n++; n == at {
				cancel(why)
			}
			return len(p), nil
		})
		if at == 0 {
			cancel(why)
		}
		_, err := Write(ctx, w, random(6*regionSize, 0.1), WriteOptions{})
		if _, ok := errors.AsType[*WriteError](err); !ok || !errors.Is(err, context.Canceled) || !errors.Is(err, why) {
			t.Fatalf("cancelled at write %d: %v", at, err)
		}
		if n > at {
			t.Fatalf("%d writes after the context was cancelled", n-at)
		}
		cancel(nil)
	}
}

// TestCancelledContextEndsARowOfZeros: where nothing is written, no write sees it.
func TestCancelledContextEndsARowOfZeros(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	calls := 0
	opts := WriteOptions{Progress: func(done, total int64) { calls++; cancel() }}
	if _, err := Write(ctx, io.Discard, make(memory, 20*regionSize), opts); !errors.Is(err, context.Canceled) || calls != 1 {
		t.Fatalf("%v after %d regions", err, calls)
	}
}

// brokenSource fails at an offset, or gives less than it was asked for.
type brokenSource struct {
	memory
	at  int64
	err error
}

func (s brokenSource) ReadAt(p []byte, off int64) (int, error) {
	if off+int64(len(p)) > s.at {
		return int(max(s.at-off, 0)), s.err
	}
	return s.memory.ReadAt(p, off)
}

func TestSourceThatFailsIsNamed(t *testing.T) {
	broken := errors.New("snapshot was given up")
	src := random(3*regionSize, 0.5)
	for _, at := range []int64{0, pageSize, regionSize - 1, regionSize, 2*regionSize + 300_000} {
		for err, want := range map[error]error{broken: broken, nil: io.ErrUnexpectedEOF, io.EOF: io.ErrUnexpectedEOF} {
			_, got := Write(t.Context(), io.Discard, brokenSource{src, at, err}, WriteOptions{})
			e, ok := errors.AsType[*SourceError](got)
			if !ok || !errors.Is(got, want) || e.Offset != at {
				t.Fatalf("source ends at %d with %v: %v", at, err, got)
			}
		}
	}
}

// eofSource returns io.EOF together with the last bytes, as io.ReaderAt allows.
type eofSource struct{ memory }

func (s eofSource) ReadAt(p []byte, off int64) (int, error) {
	n, _ := s.memory.ReadAt(p, off)
	return n, io.EOF
}

func TestFullReadWithEOFIsNoError(t *testing.T) {
	src := random(2*regionSize+pageSize, 0.5)
	if !bytes.Equal(encode(t, eofSource{src}, testOptions()), encode(t, src, testOptions())) {
		t.Fatal("other bytes")
	}
}

// sized claims a size.
type sized struct {
	memory
	size int64
}

func (s sized) Size() int64 { return s.size }

func TestWhatTheFormatCannotHoldIsRefused(t *testing.T) {
	long := strings.Repeat("x", maxHeader)
	for name, c := range map[string]struct {
		src  Source
		opts WriteOptions
		want string
	}{
		"part of a page": {sized{nil, 100}, WriteOptions{}, "whole pages"},
		"negative size":  {sized{nil, -4096}, WriteOptions{}, "whole pages"},
		"too large":      {sized{nil, MaxSize + 4096}, WriteOptions{}, "limit"},
		"long metadata":  {small(), WriteOptions{Roots: []Root{{Name: long}}}, "limit"},
		"root outside":   {small(), WriteOptions{Roots: []Root{{Name: "r", Offset: uint64(len(small()))}}}, "outside"},
		"root twice":     {small(), WriteOptions{Roots: []Root{{Name: "r"}, {Name: "r", Offset: 8}}}, "two roots"},
		"field to no type": {small(), WriteOptions{Roots: []Root{{Name: "r", Layout: Layout{{Name: "T", Elem: -1, Key: -1,
			Fields: []Field{{Name: "f", Type: 1}}}}}}}, `"f"`},
		"element to no type": {small(), WriteOptions{Roots: []Root{{Name: "r", Layout: Layout{{Name: "T", Elem: 1, Key: -1}}}}}, "element 1"},
	} {
		t.Run(name, func(t *testing.T) {
			w := writerFunc(func(p []byte) (int, error) {
				t.Error("something was written")
				return len(p), nil
			})
			_, err := Write(t.Context(), w, c.src, c.opts)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("got %v, want something about %q", err, c.want)
			}
		})
	}
}

// TestSourceIsNotReadAfterWriteReturned: a snapshot is closed then.
func TestSourceIsNotReadAfterWriteReturned(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(4)) // so that reading goes on while something is written
	started, failing := make(chan struct{}), make(chan struct{})
	src := &recorder{memory: random(4*regionSize, 1)}
	src.onRead = func(end int64) {
		if end == 3*regionSize {
			close(started)
			<-failing
			for range 1000 {
				runtime.Gosched() // so that a Write that does not wait has returned
			}
		}
	}
	_, err := Write(t.Context(), writerFunc(func(p []byte) (int, error) {
		if len(p) < block.MaxSize {
			return len(p), nil
		}
		<-started
		close(failing)
		return 0, io.ErrClosedPipe
	}), src, WriteOptions{})
	if reading := src.readers.Load(); !errors.Is(err, io.ErrClosedPipe) || reading != 0 {
		t.Fatalf("%v; %d reads go on", err, reading)
	}
}

// TestNoGoroutineIsLeftBehind fails with a deadlock if one is.
func TestNoGoroutineIsLeftBehind(t *testing.T) {
	src := random(6*regionSize, 0.5)
	for at := range 9 {
		synctest.Test(t, func(t *testing.T) {
			n := 0
			_, err := Write(t.Context(), writerFunc(func(p []byte) (int, error) {
				if n++; n > at {
					return 0, io.ErrClosedPipe
				}
				return len(p), nil
			}), src, WriteOptions{})
			if (err == nil) != (at == 8) {
				t.Fatalf("%d writes: %v", at, err)
			}
		})
	}
}

func TestBuffersAreReused(t *testing.T) {
	src := random(8*regionSize, 0.9)
	opts := testOptions()
	run := func() {
		if _, err := Write(context.Background(), io.Discard, src, opts); err != nil {
			t.Fatal(err)
		}
	}
	run()
	if n := testing.AllocsPerRun(20, run); n > 250 {
		t.Errorf("%v allocations a checkpoint: more than a few for the header's metadata", n)
	}
}

func BenchmarkWrite(b *testing.B) {
	for name, density := range map[string]float64{"full": 1, "half": 0.5, "zero": 0} {
		b.Run(name, func(b *testing.B) {
			src := random(64*regionSize, density)
			b.SetBytes(int64(len(src)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := Write(b.Context(), io.Discard, src, WriteOptions{}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
