package arena

import (
	"bytes"
	"errors"
	"testing"

	"github.com/cowheap/cowheap/internal/vm"
)

// testAllocator is an allocator on a reservation of its own, in which nothing
// but what ensure was asked for can be touched.
type testAllocator struct {
	*allocator
	mapping   vm.Mapping
	committed uint64
	ensureErr error // what ensure answers, if not nil
}

func newTestAllocator(t testing.TB, limit uint64) *testAllocator {
	t.Helper()
	ta := unformatted(t, limit)
	if err := ta.format(); err != nil {
		t.Fatal(err)
	}
	return ta
}

// testFataler is what a testing.TB and a rapid.T have in common.
type testFataler interface {
	Helper()
	Fatal(args ...any)
	Fatalf(format string, args ...any)
	Skip(args ...any)
}

// unformatted reserves memory that lives until the test ends.
func unformatted(t testing.TB, limit uint64) *testAllocator {
	t.Helper()
	ta := reserved(t, limit)
	t.Cleanup(ta.unmap)
	return ta
}

func reserved(t testFataler, limit uint64) *testAllocator {
	t.Helper()
	m, err := vm.Reserve(limit, 4096)
	if errors.Is(err, vm.ErrNotSupported) {
		t.Skip("no reservations here")
	} else if err != nil {
		t.Fatal(err)
	}
	ta := &testAllocator{mapping: m}
	ta.allocator = newAllocator(m.Base(), limit, func(high uint64) error {
		switch {
		case ta.ensureErr != nil:
			return ta.ensureErr
		case high > limit:
			t.Fatalf("ensure(%#x) is beyond the limit of %#x", high, limit)
		case high%runPageSize != 0:
			t.Fatalf("ensure(%#x) is not whole pages", high)
		case high <= ta.committed:
			return nil
		}
		if err := m.Commit(ta.committed, high-ta.committed); err != nil {
			return err
		}
		ta.committed = high
		return nil
	})
	return ta
}

func (ta *testAllocator) unmap() { _ = ta.mapping.Unmap() }

// image returns a copy of [0, high), and fails if there is anything beyond.
func (ta *testAllocator) image(t testFataler) []byte {
	t.Helper()
	high := ta.high()
	for i, b := range ta.mapping.Bytes(high, ta.committed-high) {
		if b != 0 {
			t.Fatalf("byte %#x, beyond high %#x, is %#x", high+uint64(i), high, b)
		}
	}
	return bytes.Clone(ta.mapping.Bytes(0, high))
}

// restore lays an image into fresh memory and attaches an allocator.
func restore(t testFataler, image []byte, limit uint64) (*testAllocator, error) {
	t.Helper()
	ta := reserved(t, limit)
	if err := ta.ensure(uint64(len(image))); err != nil {
		t.Fatal(err)
	}
	copy(ta.mapping.Bytes(0, uint64(len(image))), image)
	return ta, ta.attach()
}

// wantClean fails if check finds anything.
func wantClean(t testFataler, ta *testAllocator) {
	t.Helper()
	n := 0
	for err := range ta.check() {
		if n++; n < 10 {
			t.Fatalf("check: %v", err)
		}
	}
}

func mustAlloc(t testFataler, ta *testAllocator, size, align uint64) uint64 {
	t.Helper()
	off, err := ta.alloc(size, align)
	if err != nil {
		t.Fatalf("alloc(%d, %d): %v", size, align, err)
	}
	return off
}
