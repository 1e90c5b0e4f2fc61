package checkpoint

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/uuid"

	"github.com/cowheap/cowheap/internal/block"
)

// seeds are small checkpoints, some of them damaged.
func seeds(f *testing.F) [][]byte {
	f.Helper()
	opts := testOptions()
	plain := WriteOptions{ID: testID, Time: testTime}
	all := [][]byte{
		encode(f, small(), opts),
		encode(f, memory{}, plain),
		encode(f, arena(pageSize), plain),
		encode(f, arena(pageSize, 0), plain),
		encode(f, arena(4*regionSize, 0, 3*512+5), plain),
		encode(f, random(700*pageSize, 0.02), plain),
	}
	text := textArena(70*pageSize, pagesBetween(0, 70)...)
	for _, c := range []Compression{S2, Zstd} {
		all = append(all, encode(f, text, WriteOptions{ID: testID, Time: testTime, Compression: c}))
	}
	all = append(all, increments(f)...)
	first := all[0]
	all = append(all,
		first[:len(first)/2],
		first[:headerUnit],
		append(bytes.Clone(first), "more"...),
		[]byte(headerMagic),
		nil,
	)
	for _, at := range []int{hVersion, hPageSize, hLength + 1, hSize, hMetadata + 8, headerUnit + block.BitmapOff, len(first) - 4096 + xEntries, len(first) - 100} {
		b := bytes.Clone(first)
		b[at] ^= 4
		all = append(all, b)
	}
	for name := range hostileFiles {
		b, err := os.ReadFile(filepath.Join(hostileDir, name+fileSuffix))
		if err != nil {
			f.Fatal(err)
		}
		all = append(all, b)
	}
	return all
}

// maxFuzzArena keeps a fuzzer's arenas small: a hostile size is fine, holding
// the arena is the caller's decision.
const maxFuzzArena = 64 * regionSize

// FuzzReader gives both readers the same bytes, as they come and with all
// checksums made right. They must agree on whether that is a checkpoint; if it
// is, on what it holds, and writing it again must give the same arena; if not,
// the error must be a typed one.
//
// Run it with -fuzzminimizetime=1x: inputs of some 30 KB take the fuzzer a minute
// each to make smaller, and it does nothing else meanwhile.
func FuzzReader(f *testing.F) {
	for _, b := range seeds(f) {
		f.Add(b, false)
		f.Add(b, true)
	}
	f.Fuzz(func(t *testing.T, b []byte, sealed bool) {
		if sealed {
			b = bytes.Clone(b)
			reseal(b)
		}
		rest := bytes.NewReader(b)
		streamErr := drain(rest)
		length := len(b) - rest.Len()
		if streamErr != nil && !isTyped(streamErr) {
			t.Fatalf("stream: untyped error %v", streamErr)
		}
		// By itself: what an increment lacks is not the matter here.
		l, imageErr := newLink(bytes.NewReader(b), int64(len(b)), "", MaxSize)
		if imageErr == nil {
			imageErr = l.verify(t.Context(), &progressMeter{})
		}
		if imageErr != nil && !isTyped(imageErr) {
			t.Fatalf("image: untyped error %v", imageErr)
		}
		// A file must end where the checkpoint ends, a stream may go on.
		if agree := streamErr == nil && length == len(b); agree != (imageErr == nil) {
			t.Fatalf("stream of %d bytes, %d read: %v; image: %v", len(b), length, streamErr, imageErr)
		}
		if imageErr != nil || l.header.info.Size > maxFuzzArena || l.header.info.Incremental {
			return
		}
		im, err := NewImage(bytes.NewReader(b), int64(len(b)), nil)
		if err != nil {
			t.Fatal(err)
		}
		info, fromStream, err := readStream(bytes.NewReader(b))
		if err != nil {
			t.Fatal(err)
		}
		imageInfo, fromImage, err := readImage(im)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(fromStream, fromImage) || !sameInfo(info, imageInfo) {
			t.Fatal("stream and image differ")
		}
		again := encode(t, im, WriteOptions{ID: info.ID, Parent: info.Parent, Time: info.Time, Roots: info.Roots})
		_, rewritten, err := readStream(bytes.NewReader(again))
		if err != nil || !bytes.Equal(rewritten, fromImage) {
			t.Fatalf("written again: %v", err)
		}
	})
}

// fuzzParent is the state that increments are on.
func fuzzParent() memory { return arena(regionSize+4*pageSize, 1, 2, 511, 514) }

// increments are small incremental checkpoints on testParent, whose state is
// fuzzParent.
func increments(t testing.TB) (all [][]byte) {
	parent := fuzzParent()
	for _, c := range []Compression{Uncompressed, S2} {
		// The first changes both regions, in a sparse block, the last neither.
		for _, m := range []memory{arena(parent.Size(), 1, 3, 511, 515), textArena(parent.Size(), append(pagesBetween(0, 40), 514)...), arena(parent.Size() + 3*pageSize), textArena(5*pageSize, 0, 1), parent} {
			all = append(all, encode(t, m, WriteOptions{
				ID: testID, Parent: testParent, ParentSize: parent.Size(), Time: testTime, Compression: c, Changed: ranges(changedPages(parent, m)...),
			}))
		}
		// A sparse block behind an ordinary one, with pages of zeros beyond the parent.
		m := textArena(3*regionSize, append(pagesBetween(0, 480), 513, 1026)...)
		all = append(all, encode(t, m, WriteOptions{
			ID: testID, Parent: testParent, ParentSize: parent.Size(), Time: testTime, Compression: c, Changed: ranges(append(changedPages(parent, m), 700, 1535)...),
		}))
	}
	return all
}

// FuzzChain opens anything as a child of a good checkpoint, or of itself, and
// reads all of it: in every way the same, or a typed error.
func FuzzChain(f *testing.F) {
	parent := encode(f, fuzzParent(), WriteOptions{ID: testParent, Time: testTime})
	for _, b := range increments(f) {
		f.Add(b, false, false)
		f.Add(b, true, false)
		f.Add(b, true, true)
	}
	f.Fuzz(func(t *testing.T, b []byte, sealed, loop bool) {
		if sealed {
			b = bytes.Clone(b)
			reseal(b)
		}
		im, err := NewImage(bytes.NewReader(b), int64(len(b)), func(uuid.UUID) (io.ReaderAt, int64, error) {
			if loop {
				return bytes.NewReader(b), int64(len(b)), nil
			}
			return bytes.NewReader(parent), int64(len(parent)), nil
		})
		if err != nil {
			if _, ok := errors.AsType[*ParentError](err); !ok && !isTyped(err) {
				t.Fatalf("untyped error %v", err)
			}
			return
		}
		if im.Size() > maxFuzzArena {
			return
		}
		verified := im.Verify(t.Context(), nil)
		_, blocks, err := readImage(im)
		if err != nil && !isTyped(err) || err != nil && verified == nil {
			t.Fatalf("reading blocks: %v; Verify: %v", err, verified)
		}
		read := make(memory, im.Size())
		if _, err := im.ReadAt(read, 0); err != nil && err != io.EOF && verified == nil {
			t.Fatal(err)
		}
		if verified == nil && !bytes.Equal(read, blocks) {
			t.Fatal("blocks and ReadAt differ")
		}
		if verified != nil {
			return
		}
		var out bytes.Buffer
		if _, err := Fold(t.Context(), &out, im, WriteOptions{}); err != nil {
			t.Fatal(err)
		}
		if _, folded, err := readStream(&out); err != nil || !bytes.Equal(folded, read) {
			t.Fatalf("folded: %v", err)
		}
	})
}

// FuzzReceive gives a store anything: it takes it whole or leaves no trace.
func FuzzReceive(f *testing.F) {
	parent := encode(f, fuzzParent(), WriteOptions{ID: testParent, Time: testTime})
	for _, b := range seeds(f) {
		f.Add(b, false)
		f.Add(b, true)
	}
	d, err := openStore(f.TempDir(), StoreOptions{NoFold: true, MaxSize: maxFuzzArena}, unsyncedFS{})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { d.Close() })
	if _, err := d.Receive(f.Context(), bytes.NewReader(parent)); err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, b []byte, sealed bool) {
		if sealed {
			b = bytes.Clone(b)
			reseal(b)
		}
		rest := bytes.NewReader(b)
		info, err := d.Receive(t.Context(), rest)
		if err != nil {
			if _, ok := errors.AsType[*ParentError](err); !ok && !isTyped(err) && !errors.Is(err, fs.ErrExist) {
				t.Fatalf("untyped error %v", err)
			}
			if infos, skipped, err := d.List(); len(infos) != 1 || len(skipped) != 0 || err != nil {
				t.Fatalf("left behind: %v, %v, %v", infos, skipped, err)
			}
			return
		}
		if err := d.Verify(t.Context(), info.ID, nil); err != nil {
			t.Fatal(err)
		}
		if stored, err := os.ReadFile(info.Path); err != nil || !bytes.Equal(stored, b[:len(b)-rest.Len()]) {
			t.Fatalf("other bytes: %v", err)
		}
		if err := os.Remove(info.Path); err != nil {
			t.Fatal(err)
		}
		d.forget(fileName(info.ID))
	})
}

// FuzzImage damages a good checkpoint after it was opened, a full one or one with
// sparse blocks on it: reading must find it, and give nothing but what was written.
func FuzzImage(f *testing.F) {
	full := small()
	changed := arena(full.Size(), 1, 2, 513, 1026)
	base := encode(f, full, testOptions())
	increment := encode(f, changed, WriteOptions{
		ID: numberedID(1), Parent: testID, ParentSize: full.Size(), Time: testTime, Changed: ranges(changedPages(full, changed)...),
	})
	for _, sparse := range []bool{false, true} {
		f.Add(uint32(headerUnit), []byte{1}, sparse)
		f.Add(uint32(headerUnit+block.EntryOff), []byte("\x05\x00\x00\x80"), sparse)
		f.Add(uint32(headerUnit+block.HeaderSize), []byte("damage"), sparse)
		f.Add(uint32(headerUnit+block.CRCOff), bytes.Repeat([]byte{0xff}, 5000), sparse)
	}
	f.Fuzz(func(t *testing.T, at uint32, damage []byte, sparse bool) {
		want, good := full, base
		if sparse {
			want, good = changed, increment
		}
		b := bytes.Clone(good)
		im, err := NewImage(bytes.NewReader(b), int64(len(b)), parents(map[uuid.UUID][]byte{testID: base}))
		if err != nil {
			t.Fatal(err)
		}
		copy(b[min(int(at), len(b)):], damage)
		page := make([]byte, pageSize)
		for p := range want.Size() / pageSize {
			if p%100 > 1 && p != 511 && p < 1024 {
				continue
			}
			err := im.ReadPage(p, page)
			if err == nil && !bytes.Equal(page, want[p*pageSize:][:pageSize]) {
				t.Fatalf("page %d is wrong and was not noticed", p)
			}
			if err != nil && !(isTyped(err) && errors.Is(err, ErrCorrupt)) {
				t.Fatalf("page %d: %v", p, err)
			}
		}
		if err := drainImage(im); err != nil && !isTyped(err) {
			t.Fatal(err)
		}
	})
}

// FuzzMetadata decodes anything: it must not crash, and what it accepts must come
// back from its own encoding.
func FuzzMetadata(f *testing.F) {
	b, err := encodeMetadata(testRoots)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Add([]byte("\x82\xa1x\xd6\x05\x01\x02\x03\x04\xa5roots\x90"))
	f.Fuzz(func(t *testing.T, b []byte) {
		roots, err := decodeMetadata(b)
		if err != nil {
			if errors.Is(err, io.EOF) {
				t.Fatal("io.EOF must not come through: callers take it for the end")
			}
			return
		}
		b, err = encodeMetadata(roots)
		if err != nil {
			t.Fatal(err)
		}
		again, err := decodeMetadata(b)
		if err != nil || !sameRoots(roots, again) {
			t.Fatalf("%+v became %+v, %v", roots, again, err)
		}
	})
}
