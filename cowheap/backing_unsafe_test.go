package cowheap

import (
	"errors"
	"fmt"
	"sync"
	"unsafe"
)

// testBacking is memory for tests that is stricter than an arena: it runs out
// when told to, freed bytes are overwritten at once, and it knows what is
// allocated.
type testBacking struct {
	mem  []uint64
	mu   sync.Mutex
	high uint64
	root uint64
	live map[uint64]uint64   // offset -> size
	free map[uint64][]uint64 // size -> offsets
	// failIn is how many allocations still succeed; below 0: all.
	failIn int
	frees  int
}

const testAlign = 16

func newTestBacking(size int) *testBacking {
	return &testBacking{
		mem:    make([]uint64, size/8),
		high:   4096,
		live:   make(map[uint64]uint64),
		free:   make(map[uint64][]uint64),
		failIn: -1,
	}
}

func (b *testBacking) Base() unsafe.Pointer { return unsafe.Pointer(unsafe.SliceData(b.mem)) }

func (b *testBacking) High() uint64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.high
}

func (b *testBacking) bytes(off, n uint64) []byte {
	return unsafe.Slice((*byte)(unsafe.Add(b.Base(), off)), n)
}

func (b *testBacking) Alloc(size, align uint64) (uint64, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if align > testAlign {
		return 0, fmt.Errorf("alignment %d", align)
	}
	if b.failIn == 0 {
		return 0, ErrFull
	}
	size = (max(size, 1) + testAlign - 1) &^ (testAlign - 1)
	var off uint64
	if offs := b.free[size]; len(offs) > 0 {
		off = offs[len(offs)-1]
		b.free[size] = offs[:len(offs)-1]
	} else {
		if size > uint64(len(b.mem)*8)-b.high {
			return 0, ErrFull
		}
		off = b.high
		b.high += size
	}
	if b.failIn > 0 {
		b.failIn--
	}
	clear(b.bytes(off, size))
	b.live[off] = size
	return off, nil
}

func (b *testBacking) Free(off uint64) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	size, ok := b.live[off]
	if !ok {
		return fmt.Errorf("freeing %#x, which is not allocated", off)
	}
	delete(b.live, off)
	b.free[size] = append(b.free[size], off)
	for i, p := 0, b.bytes(off, size); i < len(p); i++ {
		p[i] = 0xa5
	}
	b.frees++
	return nil
}

func (b *testBacking) SizeOf(off uint64) (uint64, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	size, ok := b.live[off]
	if !ok {
		return 0, fmt.Errorf("%#x is not allocated", off)
	}
	return size, nil
}

func (b *testBacking) Root() uint64                      { return b.root }
func (b *testBacking) SetRoot(off uint64)                { b.root = off }
func (b *testBacking) PrepareRead(off, n uint64) error   { return errPrepared{off, n, false} }
func (b *testBacking) Pin(off, n uint64) (func(), error) { return nil, errPrepared{off, n, true} }
func (b *testBacking) objects() int                      { b.mu.Lock(); defer b.mu.Unlock(); return len(b.live) }
func (b *testBacking) fails(after int) (restore func()) {
	b.failIn = after
	return func() { b.failIn = -1 }
}

// errPrepared tells a test what was to be prepared.
type errPrepared struct {
	off, n uint64
	write  bool
}

func (errPrepared) Error() string { return "prepared" }

// tester is what helpers need of a *testing.T or a *rapid.T.
type tester interface {
	Helper()
	Fatal(args ...any)
}

// newTestSpace makes an empty heap of size bytes without an arena.
func newTestSpace(t tester, size int) (*space, *testBacking) {
	t.Helper()
	b := newTestBacking(size)
	s := newSpace(b, uint64(size))
	if err := s.format(12345); err != nil {
		t.Fatal(err)
	}
	return s, b
}

// inUpdate runs fn in an Update of a fresh heap.
func inUpdate(t tester, size int, fn func(m *Mem, b *testBacking)) {
	t.Helper()
	s, b := newTestSpace(t, size)
	if err := s.update(func(m *Mem) error { fn(m, b); return nil }); err != nil {
		t.Fatal(err)
	}
}

// must is for what has no reason to fail.
func must[T any](t tester) func(v T, err error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// alloc allocates a T and returns a pointer to it.
func alloc[T any](t tester, m *Mem) *T {
	t.Helper()
	r, err := Alloc[T](m)
	if err != nil {
		t.Fatal(err)
	}
	return r.Ptr(m)
}

// panics runs fn and returns what it panicked with, as text; "" if it did not.
func panics(fn func()) (what string) {
	defer func() {
		if r := recover(); r != nil {
			what = fmt.Sprint(r)
		}
	}()
	fn()
	return ""
}

var errTest = errors.New("an error of the test")

// copyOf is what go vet would find if a user wrote it.
func copyOf[T any](p *T) T { return *p }

func addr[T any](p *T) unsafe.Pointer { return unsafe.Pointer(p) }

func bytesOf[T any](p *T) []byte { return unsafe.Slice((*byte)(unsafe.Pointer(p)), unsafe.Sizeof(*p)) }
