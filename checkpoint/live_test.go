package checkpoint

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/cowheap/cowheap/internal/block"
)

// changing is a Live in a byte slice. What settle leaves out is right: every page that
// differs from what was read, from which tests may deviate.
type changing struct {
	m        memory // as it is now; as long as at the instant
	size     int64  // that is read
	read     memory // what ReadAt gave
	change   func() // in the middle of each page that is read, if not nil
	settled  Settled
	err      error // of Settle
	calls    int   // of Settle
	released bool
	disorder *rand.Rand // how pages come, if not nil
}

func newChanging(m memory, size int64) *changing {
	return &changing{m: m, size: size, read: make(memory, size), settled: Settled{Size: m.Size(), Time: testTime}}
}

// settling is a state that had zeros in all its first region when it was read but for the last
// page, which has become zero.
func settling(m memory) *changing {
	c := newChanging(slices.Clone(m), regionSize)
	clear(c.m[:regionSize])
	copy(c.m[511*pageSize:], arena(pageSize, 0))
	c.settled.Pages = func(yield func(int64, []byte) bool) {
		copy(c.m, m)
		c.pages()(yield)
	}
	return c
}

func (c *changing) Size() int64 { return c.size }

func (c *changing) ReadAt(p []byte, off int64) (int, error) {
	for at := 0; at < len(p); at += pageSize {
		now := c.m[off+int64(at):]
		torn := at + pageSize/2
		copy(p[at:torn], now)
		if c.change != nil {
			c.change()
		}
		copy(p[torn:at+pageSize], now[pageSize/2:])
	}
	copy(c.read[off:], p)
	return len(p), nil
}

func (c *changing) Release(int64, int64) { c.released = true }

func (c *changing) Settle(context.Context) (Settled, error) {
	c.calls++
	if c.settled.Pages == nil {
		c.settled.Pages = c.pages()
	}
	return c.settled, c.err
}

// pages yields what Settle must give, and with disorder also what it may give.
func (c *changing) pages() iter.Seq2[int64, []byte] {
	return func(yield func(int64, []byte) bool) {
		var pages []latePage
		give := func(off int64) {
			pages = append(pages, latePage{off / pageSize, (*[pageSize]byte)(slices.Clone(c.m[off : off+pageSize]))})
		}
		for off := int64(0); off < c.m.Size(); off += pageSize {
			page := c.m[off : off+pageSize]
			differs := off < c.size && !bytes.Equal(page, c.read[off:off+pageSize]) || off >= c.size && !block.IsZero(page)
			if differs || c.disorder != nil && c.disorder.IntN(20) == 0 {
				give(off)
			}
		}
		if c.disorder != nil {
			c.disorder.Shuffle(len(pages), func(i, j int) { pages[i], pages[j] = pages[j], pages[i] })
			// Some come before with another content.
			for i := 0; i < len(pages); i += 1 + c.disorder.IntN(8) {
				wrong := latePage{pages[i].number, (*[pageSize]byte)(arena(pageSize, 0))}
				pages = slices.Insert(pages, c.disorder.IntN(i+1), wrong)
				i++
			}
		}
		for _, p := range pages {
			if !yield(p.number*pageSize, p.data[:]) {
				return
			}
		}
	}
}

// liveStore is where live checkpoints go that nobody crashes.
func liveStore(t interface {
	tester
	Cleanup(func())
}) *Store {
	t.Helper()
	dir, err := os.MkdirTemp("", "live")
	if err != nil {
		t.Fatal(err)
	}
	d, err := openStore(dir, StoreOptions{}, unsyncedFS{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close(); os.RemoveAll(dir) })
	return d
}

// checkLive reads a live checkpoint in every way.
func checkLive(t tester, d *Store, info Info, want memory) {
	t.Helper()
	b, err := os.ReadFile(info.Path)
	if err != nil {
		t.Fatal(err)
	}
	got, m, err := readStream(bytes.NewReader(b))
	if err != nil || !bytes.Equal(m, want) || !sameInfo(got, info) {
		t.Fatalf("stream: %v, equal %v, info %+v, want %+v", err, bytes.Equal(m, want), got, info)
	}
	got, m, err = readFile(info.Path)
	if err != nil || !bytes.Equal(m, want) || !sameInfo(got, info) {
		t.Fatalf("file: %v, equal %v, info %+v, want %+v", err, bytes.Equal(m, want), got, info)
	}
	if err := d.Verify(context.Background(), info.ID, nil); err != nil {
		t.Fatal(err)
	}
	if info.Bytes != int64(len(b)) || info.Incremental || info.Compressed || info.Chain != 1 || info.Size != want.Size() {
		t.Fatalf("info %+v", info)
	}
	im, err := OpenImage(info.Path)
	if err != nil {
		t.Fatal(err)
	}
	defer im.Close()
	opts := WriteOptions{ID: info.ID, Parent: info.Parent, Time: info.Time, Roots: info.Roots}
	if !bytes.Equal(encode(t, im, opts), encode(t, want, opts)) {
		t.Fatal("the checkpoint of the image is not that of the state")
	}
}

// TestLiveModel saves a state that is written at random while each page is read, and after
// the instant, and compares all that can be read with a copy of the instant.
func TestLiveModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		draw := func(name string, values ...int) int { return rapid.SampledFrom(values).Draw(t, name) }
		rng := rand.New(rand.NewPCG(uint64(rapid.IntRange(0, 1<<30).Draw(t, "seed")), 1))
		size := draw("regions", 0, 1, 1, 2, 3) * regionSize
		grown := draw("grown by pages", 0, 0, 1, 7, 511, 512, 513, 1800)
		m := arena(int64(size + grown*pageSize))
		zeros := draw("zeros in a hundred", 0, 2, 40)
		write := func(page int) {
			at := page*pageSize + rng.IntN(pageSize/8)*8
			switch rng.IntN(5) {
			case 0:
				clear(m[page*pageSize:][:pageSize])
			case 1:
				binary.LittleEndian.PutUint64(m[at:], rng.Uint64())
			default:
				m[page*pageSize], m[(page+1)*pageSize-1] = byte(rng.Uint32()), byte(rng.Uint32())
			}
		}
		for page := range size / pageSize {
			if rng.IntN(100) >= zeros {
				m[page*pageSize+rng.IntN(pageSize)] = 1 + byte(page)
			}
		}
		c := newChanging(m, int64(size))
		if rapid.Bool().Draw(t, "disorder") {
			c.disorder = rng
		}
		share := draw("pages read for a write", 1, 3, 50, 1000)
		c.change = func() {
			if rng.IntN(share) == 0 {
				write(rng.IntN(len(m) / pageSize))
			}
		}
		var instant memory
		c.settled.Roots = testRoots[:min(draw("roots", 0, 1, 2), len(m)/(2*pageSize))]
		c.settled.Pages = func(yield func(int64, []byte) bool) {
			if draw("late", 0, 1) == 1 {
				for range grown / 3 {
					write(size/pageSize + rng.IntN(grown))
				}
			}
			instant = slices.Clone(m)
			var given []latePage
			for off, page := range c.pages() {
				given = append(given, latePage{off / pageSize, (*[pageSize]byte)(page)})
			}
			for page := range len(m) / pageSize {
				m[page*pageSize]++ // the state goes on
			}
			for _, p := range given {
				if !yield(p.number*pageSize, p.data[:]) {
					return
				}
			}
		}
		opts := testOptions()
		opts.Roots = testRoots[:1]
		d := liveStore(t)
		info, err := d.SaveLive(context.Background(), c, opts)
		if err != nil {
			t.Fatal(err)
		}
		if c.calls != 1 || c.released || !info.Time.Equal(testTime) || !sameRoots(info.Roots, c.settled.Roots) {
			t.Fatalf("settled %d times, released %v, info %+v", c.calls, c.released, info)
		}
		if info.Pages < int64(size/pageSize) || info.Blocks < int64(size/regionSize) {
			t.Fatalf("%d pages in %d blocks: not all that were read have their place", info.Pages, info.Blocks)
		}
		checkLive(t, d, info, instant)
	})
}

// locked is a state that another goroutine writes.
type locked struct {
	*changing
	mu sync.Mutex
}

func (l *locked) ReadAt(p []byte, off int64) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.changing.ReadAt(p, off)
}

func (l *locked) Settle(ctx context.Context) (Settled, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	instant := newChanging(slices.Clone(l.m), l.size)
	instant.read = l.read
	l.changing = instant
	return instant.Settle(ctx)
}

func TestLiveSaveBesideAWriter(t *testing.T) {
	l := &locked{changing: newChanging(random(2*regionSize+5*pageSize, 1), 2*regionSize)}
	m := l.m
	stop := make(chan struct{})
	var writer sync.WaitGroup
	writer.Go(func() {
		for n := uint64(0); ; n++ {
			select {
			case <-stop:
				return
			default:
			}
			l.mu.Lock()
			binary.LittleEndian.PutUint64(m[int(n*977)%(len(m)/8)*8:], n)
			l.mu.Unlock()
		}
	})
	d := openTestStore(t, t.TempDir(), StoreOptions{}, unsyncedFS{})
	info, err := d.SaveLive(t.Context(), l, WriteOptions{})
	close(stop)
	writer.Wait()
	if err != nil {
		t.Fatal(err)
	}
	checkLive(t, d, info, l.m) // the instant's, which the writer does not have
}

// wantNotLive asks for an ErrNotLive that says why, and for a directory as it was.
func wantNotLive(t *testing.T, d *Store, src Live, opts WriteOptions, why string) {
	t.Helper()
	before := files(t, d.Path())
	_, err := d.SaveLive(t.Context(), src, opts)
	if !errors.Is(err, ErrNotLive) || !strings.Contains(err.Error(), why) {
		t.Errorf("%v, want an ErrNotLive because of %q", err, why)
	}
	if after := files(t, d.Path()); !slices.Equal(before, after) {
		t.Errorf("the directory was %v, is %v", before, after)
	}
}

func TestStateWithTooManyZerosIsNotLive(t *testing.T) {
	const pages = 8 * 512
	const most = pages/zeroShare + zeroSlack
	d := openTestStore(t, t.TempDir(), StoreOptions{}, unsyncedFS{})
	for zeros, live := range map[int]bool{most: true, most + 1: false} {
		m := make(memory, pages*pageSize)
		for page := zeros; page < pages; page++ {
			m[page*pageSize]++
		}
		if c := newChanging(m, m.Size()); live {
			info, err := d.SaveLive(t.Context(), c, WriteOptions{})
			if err != nil {
				t.Fatal(err)
			}
			checkLive(t, d, info, m)
		} else {
			wantNotLive(t, d, c, WriteOptions{}, "pages are zero")
		}
	}
	// It is given up as soon as that is certain.
	rec := &recorder{memory: make(memory, pages*pageSize)}
	wantNotLive(t, d, &liveParts{rec, nil}, WriteOptions{}, fmt.Sprintf("more than %d of its %d pages", most, pages))
	if ahead := rec.readEnd.Load(); ahead > (2+1+pipelineDepth)*regionSize {
		t.Errorf("%d bytes were read", ahead)
	}
}

func TestWhatIsNotLive(t *testing.T) {
	long := []Root{{Name: strings.Repeat("long", 2000)}}
	with := func(change func(c *changing, opts *WriteOptions)) (*changing, WriteOptions) {
		c := newChanging(random(regionSize+pageSize, 1), regionSize)
		opts := numbered(3)
		change(c, &opts)
		return c, opts
	}
	for why, change := range map[string]func(c *changing, opts *WriteOptions){
		"need a header of 8192 bytes": func(c *changing, _ *WriteOptions) { c.settled.Roots = long },
		"need a header of 4096 bytes": func(_ *changing, opts *WriteOptions) { opts.Roots = long },
		"compressed":                  func(_ *changing, opts *WriteOptions) { opts.Compression = S2 },
		"incremental":                 func(_ *changing, opts *WriteOptions) { opts.Parent, opts.Changed = numberedID(0), ranges(1) },
		"no room left":                func(c *changing, _ *WriteOptions) { c.err = fmt.Errorf("no room left: %w", ErrNotLive) },
	} {
		d := openTestStore(t, t.TempDir(), StoreOptions{}, unsyncedFS{})
		save(t, d, 0)
		c, opts := with(change)
		wantNotLive(t, d, c, opts, why)
		wantLatest(t, d, 0)
	}
	d := openTestStore(t, t.TempDir(), StoreOptions{Compression: Zstd}, unsyncedFS{})
	c, opts := with(func(*changing, *WriteOptions) {})
	wantNotLive(t, d, c, opts, "compressed")
}

func TestLiveSaveThatHasNoRoomWritesNothing(t *testing.T) {
	fsys := newFaultFS()
	d := openTestStore(t, t.TempDir(), StoreOptions{}, fsys)
	c := newChanging(random(2*regionSize, 1), 2*regionSize)
	exact := int64(len(encode(t, c.m, numbered(1))))
	free := exact - 1
	fsys.free, fsys.log = &free, nil
	wantNotLive(t, d, c, numbered(1), fmt.Sprintf("needs about %d bytes", exact))
	if _, err := d.SaveLive(t.Context(), c, numbered(1)); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("%v is not ENOSPC", err)
	}
	if slices.ContainsFunc(fsys.log, func(op string) bool { return op != "list directory" && op != "ask for free space" }) {
		t.Errorf("the disk was touched: %v", fsys.log)
	}
	free++
	if _, err := d.SaveLive(t.Context(), c, numbered(1)); err != nil {
		t.Errorf("with just enough room: %v", err)
	}
}

// TestLiveSourceThatIsWrong: what it says is refused, and nothing is left.
func TestLiveSourceThatIsWrong(t *testing.T) {
	broken := errors.New("out of memory")
	one := func(off int64, n int) iter.Seq2[int64, []byte] {
		return func(yield func(int64, []byte) bool) { yield(off, make([]byte, n)) }
	}
	for name, change := range map[string]func(c *changing) (want string){
		"size":               func(c *changing) string { c.size += pageSize; return "multiple of 2097152" },
		"smaller":            func(c *changing) string { c.settled.Size = pageSize; return "must not become smaller" },
		"no pages":           func(c *changing) string { c.settled.Size++; return "whole pages" },
		"too large":          func(c *changing) string { c.settled.Size = MaxSize + pageSize; return "the limit is" },
		"root outside":       func(c *changing) string { c.settled.Roots = []Root{{Offset: 1 << 40}}; return "outside the arena" },
		"between pages":      func(c *changing) string { c.settled.Pages = one(7, pageSize); return "byte 7" },
		"below the arena":    func(c *changing) string { c.settled.Pages = one(-pageSize, pageSize); return "byte -4096" },
		"beyond the arena":   func(c *changing) string { c.settled.Pages = one(c.settled.Size, pageSize); return "below its size" },
		"more than a page":   func(c *changing) string { c.settled.Pages = one(0, 2*pageSize); return "8192 bytes" },
		"it does not settle": func(c *changing) string { c.err = broken; return "settling the state: out of memory" },
	} {
		d := openTestStore(t, t.TempDir(), StoreOptions{}, unsyncedFS{})
		c := newChanging(random(2*regionSize, 1), regionSize)
		want := change(c)
		_, err := d.SaveLive(t.Context(), c, WriteOptions{})
		if err == nil || !strings.Contains(err.Error(), want) || errors.Is(err, ErrNotLive) || errors.Is(err, broken) != (c.err != nil) {
			t.Errorf("%s: %v", name, err)
		}
		if got := files(t, d.Path()); len(got) != 0 {
			t.Errorf("%s: directory holds %v", name, got)
		}
	}
	d := openTestStore(t, t.TempDir(), StoreOptions{}, unsyncedFS{})
	c := newChanging(random(2*regionSize, 1), 2*regionSize)
	src := &liveParts{brokenSource{c.m, 3 * pageSize, broken}, c}
	_, err := d.SaveLive(t.Context(), src, WriteOptions{})
	if e, ok := errors.AsType[*SourceError](err); !ok || !errors.Is(err, broken) || e.Offset != 3*pageSize || c.calls != 0 {
		t.Errorf("ReadAt fails: %v, settled %d times", err, c.calls)
	}
}

// liveParts is a Live of two.
type liveParts struct {
	Source
	settle interface {
		Settle(context.Context) (Settled, error)
	}
}

func (p *liveParts) Settle(ctx context.Context) (Settled, error) { return p.settle.Settle(ctx) }

// TestFailedPatchIsNamed makes each write in place fail in each way: the error has file and
// place.
func TestFailedPatchIsNamed(t *testing.T) {
	for name, fail := range faults {
		for _, off := range []int64{0, headerUnit, headerUnit + block.HeaderSize + 6*pageSize, headerUnit + block.HeaderSize + 511*pageSize} {
			fsys := newFaultFS()
			d := openTestStore(t, t.TempDir(), StoreOptions{}, fsys)
			n := -1
			fsys.fail = func(op *operation) (int, error) {
				k, err := fail(op)
				n = k
				return k, err
			}
			fsys.failIf = func(op *operation) bool { return strings.HasSuffix(op.what, fmt.Sprintf(" at %d", off)) }
			_, err := d.SaveLive(t.Context(), settling(state(liveState)), numbered(liveState))
			e, ok := errors.AsType[*WriteError](err)
			if !ok || n < 0 || e.Offset != off+int64(n) || e.Path != filepath.Join(d.Path(), fileName(numberedID(liveState))) {
				t.Errorf("%s at %d: %v", name, off, err)
			}
			if got := files(t, d.Path()); len(got) != 0 {
				t.Errorf("%s at %d: directory holds %v", name, off, got)
			}
		}
	}
}

// TestLiveSaveIsNoCheckpointBeforeItsEnd: nobody reads torn pages from what a crash has left.
func TestLiveSaveIsNoCheckpointBeforeItsEnd(t *testing.T) {
	fsys := newFaultFS()
	d := openTestStore(t, t.TempDir(), StoreOptions{}, fsys)
	c := newChanging(random(regionSize, 1), regionSize)
	looked := 0
	fsys.before = func(op *operation) {
		if op.name == "" {
			return
		}
		b, err := os.ReadFile(filepath.Join(d.Path(), op.name))
		if err != nil {
			t.Fatal(err)
		}
		looked++
		if _, err := NewReader(bytes.NewReader(b)); !errors.Is(err, ErrCorrupt) {
			t.Errorf("%s: what is there before passes for a checkpoint: %v", op.what, err)
		}
	}
	if _, err := d.SaveLive(t.Context(), c, numbered(1)); err != nil || looked != 4 {
		t.Errorf("looked %d times: %v", looked, err)
	}
}

// TestCancelledLiveSaveLeavesNothing cancels at each operation.
func TestCancelledLiveSaveLeavesNothing(t *testing.T) {
	p := storePaths["live save"]
	ops := p.operations(t)
	end := slices.IndexFunc(ops, func(op string) bool { return strings.HasPrefix(op, "sync ") })
	for at := range end - 1 {
		fsys, d := p.open(t)
		ctx, cancel := context.WithCancel(t.Context())
		fsys.before = func(*operation) {
			if len(fsys.log) == at+1 {
				cancel()
			}
		}
		_, err := d.SaveLive(ctx, settling(state(liveState)), numbered(liveState))
		if _, ok := errors.AsType[*WriteError](err); !ok || !errors.Is(err, context.Canceled) {
			t.Errorf("at %q: %v", ops[at], err)
		}
		checkNoLeftovers(t, ops[at], d)
		wantLatest(t, d, 1)
	}
}

func TestProgressOfALiveSaveEndsWithIt(t *testing.T) {
	fsys := newFaultFS()
	d := openTestStore(t, t.TempDir(), StoreOptions{}, fsys)
	c := newChanging(random(3*regionSize+pageSize, 1), 3*regionSize)
	var told []string
	opts := WriteOptions{Progress: func(done, total int64) {
		told = append(told, fmt.Sprintf("%d/%d after %s, settled %d", done/regionSize, total/regionSize, fsys.log[len(fsys.log)-1], c.calls))
	}}
	if _, err := d.SaveLive(t.Context(), c, opts); err != nil {
		t.Fatal(err)
	}
	want := []string{
		fmt.Sprintf("1/3 after write %d, settled 0", block.MaxSize),
		fmt.Sprintf("2/3 after write %d, settled 0", block.MaxSize),
		"3/3 after write 4096 at 0, settled 1",
	}
	if !slices.Equal(told, want) {
		t.Errorf("got %q, want %q", told, want)
	}
}

func TestLiveSaveTakesItsTimeFromTheInstant(t *testing.T) {
	d := openTestStore(t, t.TempDir(), StoreOptions{}, unsyncedFS{})
	c := newChanging(random(regionSize, 1), regionSize)
	c.settled.Time = time.Time{}
	before := time.Now().Truncate(0)
	info, err := d.SaveLive(t.Context(), c, WriteOptions{Time: testTime})
	if err != nil || info.Time.Before(before) || info.Time.After(time.Now()) || info.ID.Version() != 7 {
		t.Errorf("%+v, %v", info, err)
	}
}

// TestIncrementOnALiveCheckpoint: it is a parent as any other.
func TestIncrementOnALiveCheckpoint(t *testing.T) {
	d := openTestStore(t, t.TempDir(), StoreOptions{NoFold: true}, unsyncedFS{})
	m := random(regionSize+3*pageSize, 1)
	if _, err := d.SaveLive(t.Context(), settling(m), numbered(0)); err != nil {
		t.Fatal(err)
	}
	next := slices.Clone(m)
	next[5*pageSize]++
	clear(next[7*pageSize:][:pageSize])
	opts := numbered(1)
	opts.Parent, opts.ParentSize, opts.Changed = numberedID(0), m.Size(), ranges(5, 7)
	info, err := d.Save(t.Context(), next, opts)
	if err != nil || !info.Incremental || info.Chain != 2 {
		t.Fatalf("%+v, %v", info, err)
	}
	if _, got, err := readFile(info.Path); err != nil || !bytes.Equal(got, next) {
		t.Errorf("the increment is not its state: %v", err)
	}
}

// TestFlippedBitOfALiveCheckpointIsFound flips bits at sampled places, and of headers, index
// and trailer of every 7th byte.
func TestFlippedBitOfALiveCheckpointIsFound(t *testing.T) {
	d := openTestStore(t, t.TempDir(), StoreOptions{}, unsyncedFS{})
	info, err := d.SaveLive(t.Context(), settling(state(liveState)), numbered(liveState))
	if err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(info.Path)
	if err != nil {
		t.Fatal(err)
	}
	flips := 0
	for at := 0; at < len(b); at++ {
		inPages := at >= headerUnit+block.HeaderSize && at < headerUnit+block.MaxSize
		if inPages && at%4099 != 0 || !inPages && at%7 != 0 {
			continue
		}
		flips++
		b[at] ^= 1 << (flips % 8)
		im, err := NewImage(bytes.NewReader(b), int64(len(b)), nil)
		if err == nil {
			err = im.Verify(t.Context(), nil)
		}
		if !isTyped(err) || !errors.Is(err, ErrCorrupt) {
			t.Fatalf("byte %d of %d changed: %v", at, len(b), err)
		}
		b[at] ^= 1 << (flips % 8)
	}
	checkLive(t, d, info, state(liveState))
}
