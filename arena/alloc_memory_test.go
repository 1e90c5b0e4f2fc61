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
	refuseIn  int // ensure refuses memory in its n-th call from now; 0: never
	refusal   error
	step      uint64 // ensure commits whole multiples of it; 0: a page
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
		if ta.refuseIn > 0 {
			if ta.refuseIn--; ta.refuseIn == 0 {
				return ta.refusal
			}
		}
		switch {
		case high > limit:
			t.Fatalf("ensure(%#x) is beyond the limit of %#x", high, limit)
		case high%runPageSize != 0:
			t.Fatalf("ensure(%#x) is not whole pages", high)
		case high <= ta.committed:
			return nil
		}
		if ta.step != 0 {
			high = min((high+ta.step-1)/ta.step*ta.step, limit)
		}
		if err := m.Commit(ta.committed, high-ta.committed); err != nil {
			return err
		}
		ta.committed = high
		return nil
	})
	return ta
}

// refuse makes the n-th call of ensure from now fail.
func (ta *testAllocator) refuse(n int, err error) { ta.refuseIn, ta.refusal = n, err }

func (ta *testAllocator) unmap() {
	_ = ta.mapping.Unmap()
	ta.mapping = vm.Mapping{} // a second call must not unmap what came here since
}

// image returns a copy of [0, high), and fails if there is anything beyond.
func (ta *testAllocator) image(t testFataler) []byte {
	t.Helper()
	high := ta.high()
	if i := notZero(ta.mapping.Bytes(high, ta.committed-high)); i >= 0 {
		t.Fatalf("byte %#x, beyond high %#x, is not zero", high+uint64(i), high)
	}
	return bytes.Clone(ta.mapping.Bytes(0, high))
}

// equal reports whether the used bytes are those of another.
func (ta *testAllocator) equal(other *testAllocator) bool {
	return bytes.Equal(ta.mapping.Bytes(0, ta.high()), other.mapping.Bytes(0, other.high()))
}

var zeros [64 << 10]byte

// notZero returns the index of a byte that is not zero, -1 if all are.
func notZero(b []byte) int {
	for from := 0; from < len(b); from += len(zeros) {
		part := b[from:min(from+len(zeros), len(b))]
		if !bytes.Equal(part, zeros[:len(part)]) {
			return from + bytes.IndexFunc(part, func(r rune) bool { return r != 0 })
		}
	}
	return -1
}

// restore lays an image into fresh memory and attaches an allocator.
func restore(t testFataler, image []byte, limit uint64) (*testAllocator, error) {
	t.Helper()
	ta := reserved(t, limit)
	if err := ta.ensure(uint64(len(image))); err != nil {
		t.Fatal(err)
	}
	for off := 0; off < len(image); off += runPageSize {
		if page := image[off : off+runPageSize]; !bytes.Equal(page, zeroPage[:]) {
			copy(ta.mapping.Bytes(uint64(off), runPageSize), page)
		}
	}
	return ta, ta.attach()
}

// wantClean fails if check finds anything.
func wantClean(t testFataler, ta *testAllocator) {
	t.Helper()
	for err := range ta.check() {
		t.Fatalf("check: %v", err)
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
