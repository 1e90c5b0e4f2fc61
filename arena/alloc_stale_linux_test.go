package arena

import (
	"runtime/debug"
	"testing"

	"golang.org/x/sys/unix"
)

// TestZeroPagesAreNotWrittenTo: of memory that was in use before, only pages
// that hold anything are cleared. The others are made read-only here.
func TestZeroPagesAreNotWrittenTo(t *testing.T) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	for _, size := range []uint64{8 << 10, 1 << 20} {
		ta := newTestAllocator(t, 64<<20)
		off := mustAlloc(t, ta, size, 0)
		ta.mapping.Bytes(off, size)[size-100] = 1
		if err := ta.free(off); err != nil {
			t.Fatal(err)
		}
		rest := ta.mapping.Bytes(off, size-runPageSize)
		if err := unix.Mprotect(rest, unix.PROT_READ); err != nil {
			t.Fatal(err)
		}
		if again := mustAlloc(t, ta, size, 0); again != off {
			t.Fatalf("allocated at %#x again at %#x", off, again)
		}
		if i := notZero(ta.mapping.Bytes(off, size)); i >= 0 {
			t.Errorf("byte %d is not zero", i)
		}
	}
}
