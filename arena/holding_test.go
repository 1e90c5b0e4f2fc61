package arena

import "testing"

func TestHoldingFindsTheAllocationThatAByteLiesIn(t *testing.T) {
	a, err := New(Options{MaxSize: 64 << 20, Guard: GuardCopy})
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	for _, size := range []uint64{1, 16, 24, 100, 1000, 5000, 32 << 10, 40 << 10, 1 << 20} {
		off, err := a.Alloc(size, 0)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := a.Alloc(size, 0); err != nil { // a neighbour
			t.Fatal(err)
		}
		has, err := a.SizeOf(off)
		if err != nil {
			t.Fatal(err)
		}
		for _, at := range []uint64{0, 1, size / 2, has - 1} {
			start, n, err := a.Holding(off + at)
			if err != nil || start != off || n != has {
				t.Errorf("%d bytes at %#x: byte %d is in %d bytes at %#x, %v", has, off, at, n, start, err)
			}
		}
		if start, _, err := a.Holding(off + has); err == nil && start == off {
			t.Errorf("%d bytes at %#x: the byte behind is said to be inside", has, off)
		}
		if err := a.Free(off); err != nil {
			t.Fatal(err)
		}
		for _, at := range []uint64{0, size / 2, has - 1} {
			if start, n, err := a.Holding(off + at); err == nil {
				t.Errorf("%d bytes at %#x, freed: byte %d is in %d bytes at %#x", has, off, at, n, start)
			}
		}
	}
	for _, off := range []uint64{0, 8, 4096, a.High(), 1 << 40} {
		if start, n, err := a.Holding(off); err == nil {
			t.Errorf("byte %#x is in %d bytes at %#x", off, n, start)
		}
	}
}
