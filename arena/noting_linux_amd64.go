package arena

import (
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/cowheap/cowheap/internal/uffd"
)

// noting is how a userfault guard has the kernel note what is written, for a Live: by a second
// descriptor, for which the kernel resolves first writes by itself. A mapping belongs to one
// descriptor, and one descriptor does the one or the other, so the memory changes over; it
// stays with the second until the next snapshot is taken, so that many Lives in a row
// change nothing.
//
// While the memory is away nobody takes a fault, and nothing is armed. One that
// was taken just before finds, in the handler, that lifting is refused, returns, and
// the write succeeds.
//
// All of it but where is under Arena.mu.
type noting struct {
	fd      *uffd.FD // nil: it has not been needed yet
	pagemap *uffd.Pagemap
	where   atomic.Int32
	current *liveMemory // nil: there is none
}

// Where the memory is.
const (
	home     = iota // with the guard's first descriptor
	changing        // with either
	away            // with the second
)

// changePiece is how much changes over in one call: the kernel's lock of the mapping is held meanwhile,
// some 30 ns a page that is protected.
const changePiece = 32 << 20

// goAway gives the memory to the descriptor for which the kernel notes writes.
func (g *userfault) goAway(size uint64) error {
	if g.where.Load() == away {
		return nil
	}
	if g.noting.fd == nil {
		fd, err := uffd.Open(uffd.FeatureWriteProtect | uffd.FeatureWPUnpopulated | uffd.FeatureWPAsync)
		if err != nil {
			return unsettled("%w", err)
		}
		pagemap, err := uffd.OpenPagemap()
		if err != nil {
			return unsettled("%w", errors.Join(err, fd.Close()))
		}
		g.noting.fd, g.noting.pagemap = fd, pagemap
	}
	g.where.Store(changing)
	if err := g.change(g.fd, g.noting.fd, size); err != nil {
		return unsettled("%w", errors.Join(err, g.comeBack()))
	}
	g.where.Store(away)
	return nil
}

// comeBack takes the memory back, which ends a Live that reads it. After an error it may be tried again.
func (g *userfault) comeBack() error {
	g.endLive(errLiveFrozen)
	if g.where.Load() == home {
		return nil
	}
	g.where.Store(changing)
	if err := g.change(g.noting.fd, g.fd, g.a.High()); err != nil {
		return fmt.Errorf("registering the arena again: %w", err)
	}
	g.where.Store(home)
	return nil
}

// change gives the memory, of which size bytes are in use, from one descriptor to another. All protection goes with it. What the
// other has already stays there.
func (g *userfault) change(from, to *uffd.FD, size uint64) error {
	for off, end := uint64(0), g.a.mem.Size(); off < end; {
		n := min(changePiece, end-off)
		if off >= size {
			n = end - off // nothing is there
		}
		addr := g.a.mem.Addr() + uintptr(off)
		// An error may be that the other has it, or that it has been taken already. What matters
		// is whether it can be registered.
		gone := from.Unregister(addr, uintptr(n))
		if err := to.Register(addr, uintptr(n), uffd.ModeWP); err != nil {
			return errors.Join(err, gone)
		}
		off += n
	}
	return nil
}

// prepareChanging is prepare while memory that may be protected is changing over. What has gone needs nothing, and cannot be lifted.
func (g *userfault) prepareChanging(off, n uint64, sure bool) {
	for end := off + n; off < end; {
		next := min(end, (off/blockSize+1)*blockSize)
		_ = g.h.Prepare(off/pageSize, (next+pageSize-1)/pageSize-off/pageSize, sure)
		off = next
	}
}
