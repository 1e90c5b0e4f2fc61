package checkpoint

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/cowheap/cowheap/internal/block"
)

// openBytes opens a checkpoint in memory.
func openBytes(t testing.TB, b []byte) *Image {
	t.Helper()
	im, err := NewImage(bytes.NewReader(b), int64(len(b)), nil)
	if err != nil {
		t.Fatal(err)
	}
	return im
}

// countingReaderAt counts what is read.
type countingReaderAt struct {
	io.ReaderAt
	bytes, calls atomic.Int64
}

func (c *countingReaderAt) ReadAt(p []byte, off int64) (int, error) {
	c.bytes.Add(int64(len(p)))
	c.calls.Add(1)
	return c.ReaderAt.ReadAt(p, off)
}

// TestOpeningReadsTheIndexOnly is why a lazy restore of 4 GiB starts as fast as
// one of 64 MiB.
func TestOpeningReadsTheIndexOnly(t *testing.T) {
	for _, size := range []int64{64 << 20, 4 << 30} {
		src := holes{size: size, pages: map[int64][]byte{}}
		page := arena(pageSize, 0)
		for p := int64(0); p < size/pageSize; p += 512 {
			src.pages[p] = page
		}
		b := encodeHoles(t, src)
		counted := &countingReaderAt{ReaderAt: bytes.NewReader(b)}
		im, err := NewImage(counted, int64(len(b)), nil)
		if err != nil {
			t.Fatal(err)
		}
		if got, most := counted.bytes.Load(), 8*int64(im.Regions())+3*4096; got > most {
			t.Errorf("opening %d MiB read %d bytes, more than %d", size>>20, got, most)
		}
		if counted.calls.Load() > 4 {
			t.Errorf("opening %d MiB took %d reads", size>>20, counted.calls.Load())
		}
	}
}

func TestBlockIsOneRead(t *testing.T) {
	b := encode(t, random(3*regionSize, 0.9), WriteOptions{})
	counted := &countingReaderAt{ReaderAt: bytes.NewReader(b)}
	im, err := NewImage(counted, int64(len(b)), nil)
	if err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, block.MaxSize)
	for region := range im.Regions() {
		before := counted.calls.Load()
		blk, err := im.ReadBlock(region, buf)
		if err != nil {
			t.Fatal(err)
		}
		if counted.calls.Load() != before+1 {
			t.Errorf("region %d took %d reads", region, counted.calls.Load()-before)
		}
		if &blk.Header[0] != &buf[0] || &blk.Pages[0] != &buf[block.HeaderSize] {
			t.Error("the block is not in the caller's buffer")
		}
		if im.BlockOffset(region) != int64(im.Direct().Index[region]) || im.BlockSize(region) != blk.Header.Size() {
			t.Errorf("region %d: offset %d, size %d", region, im.BlockOffset(region), im.BlockSize(region))
		}
	}
}

func TestRegionWithoutBlockIsZero(t *testing.T) {
	im := openBytes(t, encode(t, small(), testOptions()))
	blk, err := im.ReadBlock(1, nil)
	if err != nil || blk.Header != nil || blk.Pages != nil || blk.Region != 1 {
		t.Errorf("got %+v, %v", blk, err)
	}
	if h, err := im.ReadHeader(1, nil); h != nil || err != nil {
		t.Errorf("got header %v, %v", h, err)
	}
	if im.BlockOffset(1) != 0 || im.BlockSize(1) != 0 {
		t.Error("a region without a block has one")
	}
}

func TestBufferTooSmallIsAnError(t *testing.T) {
	im := openBytes(t, encode(t, small(), testOptions()))
	if _, err := im.ReadBlock(0, make([]byte, im.BlockSize(0)-1)); !errors.Is(err, io.ErrShortBuffer) {
		t.Error(err)
	}
	if _, err := im.ReadHeader(0, make([]byte, block.HeaderSize-1)); !errors.Is(err, io.ErrShortBuffer) {
		t.Error(err)
	}
	if err := im.ReadPage(0, make([]byte, pageSize-1)); !errors.Is(err, io.ErrShortBuffer) {
		t.Error(err)
	}
}

func TestPagesAndRangesAreThoseOfTheArena(t *testing.T) {
	want := random(3*regionSize+7*pageSize, 0.4)
	im := openBytes(t, encode(t, want, WriteOptions{}))
	page := make([]byte, pageSize)
	for p := range want.Size() / pageSize {
		if err := im.ReadPage(p, page); err != nil || !bytes.Equal(page, want[p*pageSize:][:pageSize]) {
			t.Fatalf("page %d: %v", p, err)
		}
	}
	for _, p := range []int64{-1, want.Size() / pageSize} {
		if err := im.ReadPage(p, page); !errors.Is(err, io.EOF) {
			t.Errorf("page %d: %v", p, err)
		}
	}
	rng := rand.New(rand.NewPCG(1, 2))
	for range 300 {
		off := rng.Int64N(want.Size() + 2*pageSize)
		p := make([]byte, rng.IntN(5*pageSize))
		q := make([]byte, len(p))
		n, err := im.ReadAt(p, off)
		m, _ := want.ReadAt(q, off)
		if n != m || (err == io.EOF) != (n < len(p)) || (err != nil && err != io.EOF) || !bytes.Equal(p, q) {
			t.Fatalf("%d bytes at %d: %d, %v; want %d", len(p), off, n, err, m)
		}
	}
	if _, err := im.ReadAt(page, -1); err == nil {
		t.Error("a negative offset must be refused")
	}
}

func TestOnlyTheDamagedPageIsRefused(t *testing.T) {
	want := small()
	b := encode(t, want, testOptions())
	b[headerUnit+block.HeaderSize+pageSize+9] ^= 1 // page 511
	im := openBytes(t, b)
	page := make([]byte, pageSize)
	if err := im.ReadPage(1, page); err != nil || !bytes.Equal(page, want[pageSize:2*pageSize]) {
		t.Errorf("page 1 is good: %v", err)
	}
	e, ok := errors.AsType[*ChecksumError](im.ReadPage(511, page))
	if !ok || e.Offset != headerUnit+block.HeaderSize+pageSize {
		t.Errorf("page 511 is damaged: %v", e)
	}
	if n, err := im.ReadAt(make([]byte, regionSize), 0); n != 511*pageSize || !errors.Is(err, ErrCorrupt) {
		t.Errorf("the range with it: %d, %v", n, err)
	}
	if _, err := im.ReadBlock(2, make([]byte, block.MaxSize)); err != nil {
		t.Errorf("region 2 is good: %v", err)
	}
}

func TestFileCutAfterOpeningIsAnError(t *testing.T) {
	b := encode(t, small(), testOptions())
	path := tempFile(t, b)
	im, err := OpenImage(path)
	if err != nil {
		t.Fatal(err)
	}
	defer im.Close()
	if d := im.Direct(); d.File == nil || d.File.Name() != path || d.Path != path || !d.Whole {
		t.Error("Direct is not the file")
	}
	if err := os.Truncate(path, im.BlockOffset(2)+block.HeaderSize+100); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, block.MaxSize)
	if _, err := im.ReadBlock(0, buf); err != nil {
		t.Errorf("before the cut: %v", err)
	}
	if _, err := im.ReadBlock(2, buf); !errors.Is(err, ErrTruncated) {
		t.Errorf("after the cut: %v", err)
	}
	if err := im.Verify(t.Context(), nil); !errors.Is(err, ErrTruncated) {
		t.Errorf("verify: %v", err)
	}
	if err := im.ReadPage(1025, buf); !errors.Is(err, ErrTruncated) {
		t.Errorf("page: %v", err)
	}
}

func TestManyReadersAtOnce(t *testing.T) {
	want := random(6*regionSize, 0.5)
	path := tempFile(t, encode(t, want, WriteOptions{}))
	im, err := OpenImage(path)
	if err != nil {
		t.Fatal(err)
	}
	var readers sync.WaitGroup
	for i := range 4 {
		readers.Go(func() {
			buf := make([]byte, block.MaxSize)
			got := make(memory, len(want))
			for region := range im.Regions() {
				blk, err := im.ReadBlock((region+i)%im.Regions(), buf)
				if err != nil {
					t.Error(err)
					return
				}
				got.put(blk)
			}
			if !bytes.Equal(got, want) {
				t.Error("other bytes")
			}
		})
	}
	readers.Wait()
	if err := im.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := im.ReadBlock(0, make([]byte, block.MaxSize)); !errors.Is(err, os.ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
}

func TestVerifyTellsProgressAndCanBeCancelled(t *testing.T) {
	b := encode(t, random(9*regionSize, 0.3), WriteOptions{})
	im := openBytes(t, b)
	var last, calls int64
	if err := im.Verify(t.Context(), func(done, total int64) {
		if done <= last || done > total || total != im.Info().Bytes-headerUnit-endingSize(im.Size()) {
			t.Errorf("progress %d of %d after %d", done, total, last)
		}
		last = done
		calls++
	}); err != nil {
		t.Fatal(err)
	}
	if calls != im.Info().Blocks || last == 0 {
		t.Errorf("%d calls for %d blocks, the last at %d", calls, im.Info().Blocks, last)
	}
	ctx, cancel := context.WithCancel(t.Context())
	calls = 0
	err := im.Verify(ctx, func(done, total int64) { cancel(); calls++ })
	if !errors.Is(err, context.Canceled) || calls >= im.Info().Blocks {
		t.Errorf("cancelled: %v after %d blocks", err, calls)
	}
	for region := range im.Regions() {
		b[im.BlockOffset(region)+5000] ^= 1
		if err := im.Verify(t.Context(), nil); !errors.Is(err, ErrCorrupt) {
			t.Errorf("damage in region %d: %v", region, err)
		}
		b[im.BlockOffset(region)+5000] ^= 1
	}
}

func BenchmarkOpenImage(b *testing.B) {
	for name, size := range map[string]int64{"64MiB": 64 << 20, "4GiB": 4 << 30} {
		b.Run(name, func(b *testing.B) {
			src := holes{size: size, pages: map[int64][]byte{}}
			page := arena(pageSize, 0)
			for p := int64(0); p < size/pageSize; p += 512 {
				src.pages[p] = page
			}
			path := tempFile(b, encodeHoles(b, src))
			for b.Loop() {
				im, err := OpenImage(path)
				if err != nil {
					b.Fatal(err)
				}
				im.Close()
			}
		})
	}
}

func BenchmarkVerify(b *testing.B) {
	path := tempFile(b, encode(b, random(64*regionSize, 1), WriteOptions{}))
	im, err := OpenImage(path)
	if err != nil {
		b.Fatal(err)
	}
	defer im.Close()
	b.SetBytes(im.Size())
	for b.Loop() {
		if err := im.Verify(b.Context(), nil); err != nil {
			b.Fatal(err)
		}
	}
}
