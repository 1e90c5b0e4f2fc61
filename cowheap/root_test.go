package cowheap

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/cowheap/cowheap/checkpoint"
)

// try is an Update that reports its error.
func try[T any](s *space, fn func(m *Mem) (T, error)) (v T, err error) {
	err = s.update(func(m *Mem) (err error) { v, err = fn(m); return err })
	return v, err
}

func root[T any](name string) func(m *Mem) (Ref[T], error) {
	return func(m *Mem) (Ref[T], error) { return Root[T](m, name) }
}

func roots(t *testing.T, s *space) []checkpoint.Root {
	t.Helper()
	rs, err := readRoots(s.live(), s.arena.Root())
	if err != nil {
		t.Fatal(err)
	}
	return rs
}

func TestRootIsCreatedOnceAndFoundAgain(t *testing.T) {
	s, b := newTestSpace(t, 1<<20)
	first := must[Ref[goodRow]](t)(try(s, root[goodRow]("row")))
	other := must[Ref[goodRow]](t)(try(s, root[goodRow]("other")))
	objects := b.objects()
	if first.IsNil() || other == first {
		t.Fatalf("roots are %v and %v", first, other)
	}
	must[any](t)(try(s, func(m *Mem) (any, error) {
		if b := bytesOf(first.Ptr(m)); len(bytes.Trim(b, "\x00")) > 0 {
			t.Errorf("not zeroed: %x", b)
		}
		first.Ptr(m).ID = 77
		return nil, nil
	}))
	for _, forget := range []bool{false, true} {
		if forget { // as after a restore
			if err := s.attach(); err != nil {
				t.Fatal(err)
			}
		}
		if again := must[Ref[goodRow]](t)(try(s, root[goodRow]("row"))); again != first {
			t.Errorf("found again: %v, want %v", again, first)
		}
		must[any](t)(nil, s.view(func(m *Mem) error {
			r, err := Root[goodRow](m, "row")
			if err != nil || r != first || r.Ptr(m).ID != 77 {
				t.Errorf("in a View: %v %v, want %v", r, err, first)
			}
			return nil
		}))
	}
	if b.objects() != objects {
		t.Errorf("%d objects more after finding what was there", b.objects()-objects)
	}
	rs := roots(t, s)
	if len(rs) != 2 || rs[0].Name != "row" || rs[1].Name != "other" || rs[0].Offset != first.off {
		t.Errorf("roots for a checkpoint: %+v", rs)
	}
	if !reflect.DeepEqual(encodeLayout(rs[0].Layout), encodeLayout(layoutOf(reflect.TypeFor[goodRow]()))) {
		t.Errorf("layout for a checkpoint: %+v", rs[0].Layout)
	}
	for err := range s.checkRoots() {
		t.Error(err)
	}
}

func TestRootInAViewIsNotCreated(t *testing.T) {
	s, b := newTestSpace(t, 1<<20)
	objects := b.objects()
	err := s.view(func(m *Mem) error { _, err := Root[int](m, "nobody"); return err })
	if !errors.Is(err, ErrNotFound) || !strings.Contains(err.Error(), `"nobody"`) {
		t.Errorf("%v, want ErrNotFound with the name", err)
	}
	if b.objects() != objects {
		t.Error("a View has allocated")
	}
}

func TestRootOfAnotherTypeIsRefused(t *testing.T) {
	s, _ := newTestSpace(t, 1<<20)
	type a struct{ X, Y int64 }
	type sameAsA struct{ X, Y int64 }
	type b struct{ X, Z int64 }
	r := must[Ref[a]](t)(try(s, root[a]("r")))
	for range 2 { // the second time from what is known
		if again, err := try(s, root[sameAsA]("r")); err != nil || again.off != r.off {
			t.Errorf("same fields, another name: %v %v", again, err)
		}
		_, err := try(s, root[b]("r"))
		le, ok := errors.AsType[*LayoutError](err)
		if !ok || !errors.Is(err, ErrLayout) || le.Root != "r" || len(le.Differences) != 2 {
			t.Fatalf("another field: %v, want a *LayoutError", err)
		}
		if want := `root "r": layout differs from the heap's: b.Y was int64 at offset 8, is absent; b.Z was absent, is int64 at offset 8`; err.Error() != want {
			t.Errorf("error is\n\t%v, want\n\t%v", err, want)
		}
	}
}

func TestRootThatGrewIsRecorded(t *testing.T) {
	type v1 struct {
		N int64
		_ [16]byte
	}
	type v2 struct {
		N int64
		S String
	}
	type v2b struct {
		N    int64
		A, B int64
	}
	s, b := newTestSpace(t, 1<<20)
	r := must[Ref[v1]](t)(try(s, root[v1]("r")))
	objects := b.objects()

	if err := s.view(func(m *Mem) error { _, err := Root[v2](m, "r"); return err }); err != nil {
		t.Errorf("in a View: %v", err)
	}
	if ds, _ := compareLayouts(roots(t, s)[0].Layout, layoutOf(reflect.TypeFor[v1]()), ""); ds != nil {
		t.Errorf("a View has changed the record: %v", ds)
	}

	restore := b.fails(0)
	if _, err := try(s, root[v2]("r")); !errors.Is(err, ErrFull) {
		t.Errorf("without memory: %v, want ErrFull", err)
	}
	restore()
	if again, err := try(s, root[v2]("r")); err != nil || again.off != r.off {
		t.Errorf("in an Update: %v %v", again, err)
	}
	if b.objects() != objects {
		t.Errorf("%d objects more", b.objects()-objects)
	}
	must[any](t)(nil, s.attach())
	if _, err := try(s, root[v2b]("r")); !errors.Is(err, ErrLayout) {
		t.Errorf("blank bytes that were given a name got another one: %v, want ErrLayout", err)
	}
	if _, err := try(s, root[v1]("r")); !errors.Is(err, ErrLayout) {
		t.Errorf("the older program: %v, want ErrLayout", err)
	}
}

func TestRootOutOfMemoryChangesNothing(t *testing.T) {
	s, b := newTestSpace(t, 1<<20)
	must[Ref[int]](t)(try(s, root[int]("there")))
	for after := range 3 {
		objects := b.objects()
		restore := b.fails(after)
		if _, err := try(s, root[goodRow]("r")); !errors.Is(err, ErrFull) {
			t.Errorf("after %d allocations: %v, want ErrFull", after, err)
		}
		restore()
		if b.objects() != objects || len(roots(t, s)) != 1 {
			t.Errorf("after %d allocations: %d objects more, %d roots", after, b.objects()-objects, len(roots(t, s)))
		}
	}
	must[Ref[goodRow]](t)(try(s, root[goodRow]("r")))
}

func TestRootNames(t *testing.T) {
	s, _ := newTestSpace(t, 1<<20)
	long := strings.Repeat("n", maxRootName)
	seen := map[uint64]bool{}
	for _, name := range []string{"", "a", "ä\x00\xff", long} {
		r := must[Ref[int]](t)(try(s, root[int](name)))
		if seen[r.off] {
			t.Errorf("%.10q shares a root", name)
		}
		seen[r.off] = true
	}
	if _, err := try(s, root[int](long+"n")); err == nil {
		t.Error("a longer name is accepted")
	}
	// A name may lie in the heap, where it may change later.
	must[any](t)(try(s, func(m *Mem) (any, error) {
		name := must[String](t)(NewString(m, "in the heap"))
		r := must[Ref[int]](t)(Root[int](m, name.Get(m)))
		name.Clear(m)
		if again := must[Ref[int]](t)(Root[int](m, "in the heap")); again != r {
			t.Errorf("%v, want %v", again, r)
		}
		return nil, nil
	}))
}

func TestRootOfManyGoroutines(t *testing.T) {
	s, _ := newTestSpace(t, 4<<20)
	var wg sync.WaitGroup
	var mu sync.Mutex
	found := map[string]Ref[uint64]{}
	for g := range 8 {
		wg.Go(func() {
			for i := range 50 {
				name := fmt.Sprint("root ", (i+g)%50)
				r, err := try(s, root[uint64](name))
				if err != nil {
					t.Error(err)
				}
				mu.Lock()
				if had, ok := found[name]; ok && had != r {
					t.Errorf("%s is at %v and %v", name, had, r)
				}
				found[name] = r
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	if n := len(roots(t, s)); n != 50 {
		t.Errorf("%d roots, want 50", n)
	}
}

func TestCheckFindsARootThatWasFreed(t *testing.T) {
	s, _ := newTestSpace(t, 1<<20)
	r := must[Ref[goodRow]](t)(try(s, root[goodRow]("r")))
	must[any](t)(nil, s.update(func(m *Mem) error { return Free(m, r) }))
	var found []error
	for err := range s.checkRoots() {
		found = append(found, err)
	}
	if len(found) != 1 || !errors.Is(found[0], ErrCorrupt) {
		t.Errorf("Check says %v, want one ErrCorrupt", found)
	}
	must[any](t)(nil, s.attach())
	if _, err := try(s, root[goodRow]("r")); !errors.Is(err, ErrCorrupt) {
		t.Errorf("Root says %v, want ErrCorrupt", err)
	}
}

// memorySource is a heap's bytes that a test has changed.
type memorySource []byte

func (s memorySource) Size() int64 { return int64(len(s)) }

func (s memorySource) ReadAt(p []byte, off int64) (int, error) {
	if off < 0 || off >= int64(len(s)) {
		return 0, fmt.Errorf("reading at %d of %d", off, len(s))
	}
	n := copy(p, s[off:])
	if n < len(p) {
		return n, errors.New("short")
	}
	return n, nil
}

func TestDirectoryThatWasTamperedWith(t *testing.T) {
	s, b := newTestSpace(t, 1<<20)
	for i := range 5 {
		must[Ref[goodRow]](t)(try(s, root[goodRow](fmt.Sprint("root ", i))))
	}
	image := slices.Clone(b.bytes(0, b.high))
	super := b.root
	good := must[[]checkpoint.Root](t)(readRoots(memorySource(image), super))
	if len(good) != 5 {
		t.Fatalf("%d roots", len(good))
	}
	values := []uint64{0, 1, 7, 8, uint64(len(image)) - 1, uint64(len(image)), 1 << 31, 1<<32 - 1, 1 << 62, 1<<64 - 1, super}
	var words []uint64 // of the superblock and the records
	for off := super; off < super+superSize; off += 8 {
		words = append(words, off)
	}
	sb := must[superblock](t)(readSuperblock(memorySource(image), super))
	must[any](t)(nil, walkDirectory(memorySource(image), sb, func(r rootRecord) bool {
		for off := r.off; off < r.off+recordHead; off += 8 {
			words = append(words, off)
		}
		values = append(values, r.off)
		return true
	}))
	bad := 0
	for _, at := range words {
		for _, v := range values {
			damaged := slices.Clone(image)
			binary.LittleEndian.PutUint64(damaged[at:], v)
			rs, err := readRoots(memorySource(damaged), super)
			if err != nil {
				bad++
			}
			for _, r := range rs {
				if r.Offset == 0 || r.Offset+uint64(r.Layout[0].Size) > uint64(len(damaged)) {
					t.Errorf("word %#x = %#x: root %q of %d bytes at %#x", at, v, r.Name, r.Layout[0].Size, r.Offset)
				}
			}
		}
	}
	if bad < len(words)*len(values)/3 {
		t.Errorf("only %d of %d changes were found", bad, len(words)*len(values))
	}
	random := rand.New(rand.NewPCG(1, 2))
	for range 20_000 {
		damaged := slices.Clone(image)
		for range 1 + random.IntN(4) {
			damaged[4096+random.IntN(len(damaged)-4096)] = byte(random.Uint32())
		}
		readRoots(memorySource(damaged), super) // only must come back
	}
	for _, at := range []uint64{0, 1, uint64(len(image)) - 8, 1 << 40, 1<<64 - 8} {
		if _, err := readRoots(memorySource(image), at); !errors.Is(err, ErrCorrupt) {
			t.Errorf("superblock at %#x: %v, want ErrCorrupt", at, err)
		}
	}
	for name, damage := range map[string]func(b []byte){
		"a circle":        func(b []byte) { binary.LittleEndian.PutUint64(b[sb.first:], sb.first) },
		"fewer than said": func(b []byte) { binary.LittleEndian.PutUint64(b[super+superCountAt:], 6) },
		"more than said":  func(b []byte) { binary.LittleEndian.PutUint64(b[super+superCountAt:], 4) },
		"a circle of many": func(b []byte) {
			binary.LittleEndian.PutUint64(b[sb.first:], sb.first)
			binary.LittleEndian.PutUint64(b[super+superCountAt:], 1<<60)
		},
	} {
		damaged := slices.Clone(image)
		damage(damaged)
		if rs, err := readRoots(memorySource(damaged), super); !errors.Is(err, ErrCorrupt) {
			t.Errorf("%s: %d roots and %v, want ErrCorrupt", name, len(rs), err)
		}
	}
	binary.LittleEndian.PutUint32(image[super+superVersAt:], 2)
	if _, err := readRoots(memorySource(image), super); err == nil || errors.Is(err, ErrCorrupt) {
		t.Errorf("version 2: %v, want a *VersionError", err)
	} else if ve, ok := errors.AsType[*VersionError](err); !ok || ve.Got != 2 || ve.Max != superVersion {
		t.Errorf("version 2: %v, want a *VersionError", err)
	}
}

func TestAttachTakesTheSeed(t *testing.T) {
	s, b := newTestSpace(t, 1<<20)
	want := s.secrets
	copied := newTestBacking(1 << 20)
	copy(copied.mem, b.mem)
	copied.high, copied.root = b.high, b.root
	s2 := newSpace(copied, 1<<20)
	must[any](t)(nil, s2.attach())
	if s2.secrets != want || s2.mems[0].secrets != want {
		t.Error("the seed was not taken over")
	}
	copied.root = 8192
	if err := s2.attach(); !errors.Is(err, ErrCorrupt) {
		t.Errorf("without a superblock: %v, want ErrCorrupt", err)
	}
}

func TestHeapOfALaterVersionIsRefused(t *testing.T) {
	s, b := newTestSpace(t, 1<<20)
	binary.LittleEndian.PutUint32(b.bytes(b.root+superVersAt, 4), 7)
	err := s.attach()
	if ve, ok := errors.AsType[*VersionError](err); !ok || ve.Got != 7 || !strings.Contains(err.Error(), "version 7, this version of cowheap reads 1 to 1") {
		t.Errorf("%v, want a *VersionError for 7", err)
	}
	for err := range s.checkRoots() {
		if _, ok := errors.AsType[*VersionError](err); !ok {
			t.Errorf("Check says %v", err)
		}
	}
}
