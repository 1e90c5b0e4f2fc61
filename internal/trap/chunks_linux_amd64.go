package trap

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// This is what ordinary code does by chunks. See chunkFault.

// MaxChunk is the largest chunk, in pages: a block.
const MaxChunk = blockPages

// MinChunk is the smallest chunk, in pages.
const MinChunk = 4

// SetChunk makes chunks of so many pages, a power of two from MinChunk up to MaxChunk.
// Preconditions: writers are held, no resolver is inside (Drain), and everything is
// protected before they go on.
func (h *Handle) SetChunk(pages uint64) { store64(&h.r.chunk, pages) }

// Chunk is the number of pages in a chunk; 0: protection is userfaultfd's.
func (h *Handle) Chunk() uint64 { return load64(&h.r.chunk) }

// Widened is how often a fault found no mapping left.
func (h *Handle) Widened() uint64 { return load64(&h.r.widened) }

// Protect makes the pages [first, first+n) read-only, by mprotect. It may run
// concurrently with itself and the resolver. An error may have protected a part.
// Preconditions: their blocks are committed, as is all that stands before them.
func (h *Handle) Protect(first, n uint64) error {
	// First: a fault beyond it is not ours.
	for end := (first + n + blockPages - 1) &^ (blockPages - 1); ; {
		reach := load64(&h.r.reach)
		if reach >= end || cas64(&h.r.reach, reach, end) {
			break
		}
	}
	return h.access(first, n, unix.PROT_READ)
}

// ProtectAll makes everything read-only that ever was: for this no mapping is needed.
func (h *Handle) ProtectAll() error { return h.access(0, load64(&h.r.reach), unix.PROT_READ) }

// Open makes the pages [first, first+n) writable and tells nobody.
// Preconditions: writers are held, no resolver is inside.
func (h *Handle) Open(first, n uint64) error {
	return h.access(first, n, unix.PROT_READ|unix.PROT_WRITE)
}

// OpenAll is Open for everything that ever was protected.
func (h *Handle) OpenAll() error { return h.Open(0, load64(&h.r.reach)) }

func (h *Handle) access(first, n uint64, access int) error {
	if n == 0 {
		return nil
	}
	if _, _, e := unix.Syscall(unix.SYS_MPROTECT, uintptr(h.r.start+first<<pageShift), uintptr(n<<pageShift), uintptr(access)); e != 0 {
		return fmt.Errorf("mprotect of %d pages (vm.max_map_count): %w", n, e)
	}
	return nil
}

// prepareByPieces makes [first, end) writable where there is no mapping left to do it
// at once. It answers false if some of it is not.
// Preconditions: counted as inside since before [first, end) was preserved.
func (h *Handle) prepareByPieces(first, end uint64) bool {
	for p := first; p < end; p += h.Chunk() {
		if h.r.openOrWiden(p, p+h.Chunk()) == faultWiden {
			h.r.widen(p)
		}
	}
	return true
}
