package arena

import (
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/cowheap/cowheap/internal/vm"
)

// copyGuard notices nothing: a snapshot is a copy of everything in use, made
// while writers are held. It is what works everywhere, the cheapest for small
// state, and the reference that the other guards are compared with.
type copyGuard struct {
	a *Arena
	// spare is the memory of the last snapshot closed: memory that the system
	// has backed already is several times faster to copy into.
	spare vm.Mapping
	bytes atomic.Uint64 // held by open snapshots
}

func newCopyGuard(a *Arena) *copyGuard { return &copyGuard{a: a} }

type copied struct {
	g    *copyGuard
	mem  vm.Mapping
	size uint64 // of the snapshot, in bytes
}

func (g *copyGuard) kind() Guard { return GuardCopy }

func (g *copyGuard) freeze(high func() uint64, hold hold) (frozen, timing, error) {
	// Room for some growth until writers are held.
	mem, err := g.take(high() + high()/8 + blockSize)
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
	return &copied{g: g, mem: mem, size: n}, t, nil
}

// take gives memory of at least n bytes.
func (g *copyGuard) take(n uint64) (vm.Mapping, error) {
	n = (n + pageSize - 1) &^ (pageSize - 1)
	if s := g.spare; s.Size() >= n {
		g.spare = vm.Mapping{}
		return s, nil
	}
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
	s := g.spare
	g.spare = vm.Mapping{}
	return s.Unmap()
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
	old := g.spare
	if c.mem.Size() < old.Size() {
		old = c.mem
	} else {
		g.spare = c.mem
	}
	return errors.Join(old.Unmap())
}
