package arena

import (
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/cowheap/cowheap/internal/vm"
)

// copyGuard notices nothing: a snapshot is a copy of everything in use, made
// while writers are held. It is what works everywhere, the cheapest for small
// state, and the reference that the other guards are compared with.
type copyGuard struct {
	a *Arena
	// spares is the memory of snapshots that were closed: memory that the system has
	// backed already is several times faster to copy into. Together with the open
	// snapshots there are never more than were open at a time since none was, nor
	// more than MaxPreserved has room for. When none is open one stays.
	spares []vm.Mapping
	open   int           // snapshots
	most   int           // of them at a time, since there was none
	bytes  atomic.Uint64 // held by open snapshots
}

func newCopyGuard(a *Arena) *copyGuard { return &copyGuard{a: a} }

type copied struct {
	g    *copyGuard
	mem  vm.Mapping
	size uint64 // of the snapshot, in bytes
}

func (g *copyGuard) kind() Guard { return GuardCopy }

func (g *copyGuard) freeze(high func() uint64, hold hold) (frozen, timing, error) {
	mem, err := g.take(high())
	if err != nil {
		return nil, timing{}, err
	}
	start := time.Now()
	release, err := hold()
	if err != nil {
		return nil, timing{}, errors.Join(err, mem.Unmap())
	}
	held := time.Now()
	n := high()
	if n > mem.Size() {
		// Rare; the pause then includes mapping what is missing.
		if err = mem.Unmap(); err == nil {
			mem, err = vm.Map(n)
		}
		if err != nil {
			release()
			return nil, timing{}, err
		}
	}
	copyParallel(mem.Bytes(0, n), g.a.mem.Bytes(0, n))
	release()
	t := timing{size: n, waited: held.Sub(start), pause: time.Since(held)}
	g.bytes.Add(mem.Size())
	g.open++
	g.most = max(g.most, g.open)
	return &copied{g: g, mem: mem, size: n}, t, nil
}

// take gives memory for a copy of n bytes, and for some growth until writers are held.
func (g *copyGuard) take(n uint64) (vm.Mapping, error) {
	for len(g.spares) > 0 {
		s := g.spares[len(g.spares)-1]
		g.spares = g.spares[:len(g.spares)-1]
		if s.Size() >= n+blockSize/8 {
			return s, nil
		}
		// It will be too small the next time, too.
		if err := s.Unmap(); err != nil {
			return vm.Mapping{}, err
		}
	}
	n = (n + n/8 + blockSize + pageSize - 1) &^ (pageSize - 1)
	if limit := uint64(g.a.opts.MaxPreserved); limit != 0 && g.bytes.Load()+n > limit {
		return vm.Mapping{}, fmt.Errorf("copying %d bytes with %d of MaxPreserved %d in use: %w", n, g.bytes.Load(), limit, ErrOverrun)
	}
	return vm.Map(n)
}

func (g *copyGuard) prepareRead(off, n uint64) error  { return nil }
func (g *copyGuard) prepareWrite(off, n uint64) error { return nil }

func (g *copyGuard) pin(off, n uint64) (unpin func(), err error) { return func() {}, nil }

func (g *copyGuard) fill(off uint64, src []byte) error {
	copy(g.a.mem.Bytes(off, uint64(len(src))), src)
	return nil
}

func (g *copyGuard) lazy(uint64, MissingPages) error {
	return fmt.Errorf("the copy guard cannot bring pages in as they are touched: %w", ErrNotSupported)
}

func (g *copyGuard) bring(uint64, []byte) error { return ErrNotSupported }

func (g *copyGuard) complete(hold) error { return nil }

// fork is not needed: a copy of a copy is as good as any.
func (g *copyGuard) fork(frozen, uint64) error { return ErrNotSupported }

func (g *copyGuard) rollsBack() error { return nil }

func (g *copyGuard) rollback(f frozen, high uint64) (pages uint64, err error) {
	c := f.(*copied)
	copyParallel(g.a.mem.Bytes(0, c.size), c.mem.Bytes(0, c.size))
	if high > c.size {
		clear(g.a.mem.Bytes(c.size, high-c.size))
	}
	return max(high, c.size) / pageSize, nil
}

func (g *copyGuard) stats(s *Stats) {
	s.PreservedBytes = int64(g.bytes.Load())
	s.PreservedPages = s.PreservedBytes / pageSize
	s.MaxPreserved = g.a.opts.MaxPreserved
}

func (g *copyGuard) quiesce() {}

func (g *copyGuard) close() error {
	return g.keepSpares(0)
}

// keepSpares leaves n spares.
func (g *copyGuard) keepSpares(n int) error {
	var errs []error
	for len(g.spares) > n {
		errs = append(errs, g.spares[0].Unmap())
		g.spares = slices.Delete(g.spares, 0, 1)
	}
	return errors.Join(errs...)
}

func (c *copied) readAt(p []byte, off uint64) error {
	copy(p, c.mem.Bytes(off, uint64(len(p))))
	return nil
}

func (c *copied) release(off, n uint64) {}

func (c *copied) intact() error { return nil }

func (c *copied) pin() error { return nil }

func (c *copied) unpin() {}

func (c *copied) plan() plan { return plan{again: -1} }

func (c *copied) ahead(bool, time.Duration) (all bool) { return true }

func (c *copied) cost() cost { return cost{pages: c.mem.Size() / pageSize} }

func (c *copied) close() error {
	g := c.g
	g.bytes.Add(-c.mem.Size())
	g.spares = append(g.spares, c.mem)
	if g.open--; g.open == 0 {
		g.most = 1
	}
	keep := g.most - g.open
	if limit := uint64(g.a.opts.MaxPreserved); limit != 0 {
		keep = min(keep, max(1, int((limit-min(limit, g.bytes.Load()))/c.mem.Size())))
	}
	return g.keepSpares(keep)
}
