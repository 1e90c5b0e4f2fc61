package arena

import (
	"errors"
	"fmt"
	"math/bits"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"

	"github.com/cowheap/cowheap/internal/trap"
)

// mprotected is the userfault guard with mprotect in its place. Layers, arming and
// preserving ahead are the same; faults are SIGSEGV, and lift whole chunks.
//
// There is nothing here that brings a page in as it is touched: a restore is eager,
// a fork is a copy.
type mprotected struct{ *userfault }

// chunkwise is a layer of it. It is a type of its own so that no fork takes it for a
// layer that it can share pages with.
type chunkwise struct{ *layer }

func (c chunkwise) pin() error { return ErrNotSupported }

func (c chunkwise) changed(newer frozen) ([]pageRun, bool) {
	n, ok := newer.(chunkwise)
	if !ok {
		return nil, false
	}
	return c.layer.changed(n.layer)
}

func newMprotect(a *Arena) (_ guard, err error) {
	if err := probeMprotect(); err != nil {
		return nil, fmt.Errorf("guard mprotect: %w", err)
	}
	g := &userfault{a: a, clock: startClock()}
	g.chain.Store(&[]*layer{})
	if g.h, err = trap.New(trap.Config{
		Chunk:    trap.MinChunk,
		Start:    a.mem.Addr(),
		Size:     a.mem.Size(),
		MaxSlots: g.slotLimit(a.mem.Size()),
	}); err != nil {
		return nil, fmt.Errorf("guard mprotect: %w", err)
	}
	g.protector = chunks{g.h}
	if err := g.h.Force(uint64(a.opts.FaultPages)); err != nil {
		return nil, errors.Join(err, g.h.Close())
	}
	g.keeper.Go(g.keep)
	return &mprotected{g}, nil
}

// probeMprotect: there is nothing that could be missing but the processor's CRC32, and
// a SIGSEGV handler that is Go's.
func probeMprotect() error {
	if err := trap.Supported(); err != nil {
		return fmt.Errorf("%w: %w", ErrNotSupported, err)
	}
	return trap.CheckChainable(syscall.SIGSEGV)
}

func (g *mprotected) kind() Guard { return GuardMprotect }

func (g *mprotected) freeze(high func() uint64, hold hold) (frozen, timing, error) {
	f, t, err := g.userfault.freeze(high, hold)
	if err != nil {
		return nil, t, err
	}
	return chunkwise{f.(*layer)}, t, nil
}

// fill writes: nothing is protected in an arena that is being restored.
func (g *mprotected) fill(off uint64, src []byte) error {
	copy(g.a.mem.Bytes(off, uint64(len(src))), src)
	return nil
}

func (g *mprotected) lazy(uint64, MissingPages) error {
	return fmt.Errorf("the mprotect guard cannot bring pages in as they are touched: %w", ErrNotSupported)
}

func (g *mprotected) bring(uint64, []byte) error { return ErrNotSupported }

func (g *mprotected) complete(hold) error { return nil }

func (g *mprotected) fork(frozen, uint64) error { return ErrNotSupported }

func (g *mprotected) rollback(f frozen, high uint64) (pages uint64, err error) {
	return g.userfault.rollback(f.(chunkwise).layer, high)
}

func (g *mprotected) close() error { return g.h.Close() }

// protector is how pages are protected.
type protector interface {
	// instant is called with writers held, and nobody in the resolver, before what
	// is not protected of [0, size) is.
	instant(size uint64)
	// populate makes protection hold for [off, off+n), where it does not for pages that
	// were never touched.
	populate(off, n uint64) error
	// protect protects [off, off+n), whole pages. While writers go on it may
	// answer errBusy: try it again with writers held.
	protect(off, n uint64, held bool) error
}

// errBusy: what was to be protected is not.
var errBusy = errors.New("no mapping left")

// chunks protects by mprotect.
type chunks struct{ h *trap.Handle }

// mappingsShare is the part of the mappings that a process may have that chunks
// take at most, but where they would be larger than a block then.
const mappingsShare = 4

// liftPages is how many pages are lifted together in so many bytes.
func liftPages(size, mappings uint64) uint64 {
	n := max(size/max(mappings/mappingsShare, 1)/pageSize, 1)
	n = 1 << bits.Len64(n-1) // the next power of two
	return min(max(n, trap.MinChunk), trap.MaxChunk)
}

// instant lets chunks grow. They never shrink: nothing that a rollback took away
// is worth it.
func (c chunks) instant(size uint64) {
	c.h.SetChunk(max(c.h.Chunk(), liftPages(size, maxMappings())))
}

func (c chunks) populate(off, n uint64) error { return nil }

func (c chunks) protect(off, n uint64, held bool) error {
	err := c.h.Protect(off/pageSize, n/pageSize)
	switch {
	case err == nil || !errors.Is(err, syscall.ENOMEM):
		return err
	case held:
		return c.h.ProtectAll()
	}
	return errBusy
}

// maxMappings is vm.max_map_count, as it was at the first call.
var maxMappings = sync.OnceValue(func() uint64 {
	const usual = 65530
	b, err := os.ReadFile("/proc/sys/vm/max_map_count")
	if err != nil {
		return usual
	}
	n, err := strconv.ParseUint(strings.TrimSpace(string(b)), 10, 64)
	if err != nil {
		return usual
	}
	return n
})
