package arena

import (
	"errors"
	"fmt"

	"github.com/cowheap/cowheap/internal/trap"
	"github.com/cowheap/cowheap/internal/uffd"
)

// shadowMissing is the shadow guard's use of the resolver: for missing faults only.
type shadowMissing struct {
	g      *shadow
	h      *trap.Handle
	parent *shadowLayer // nil: the pages come from a file
	owner  any          // of the file
}

// await makes [0, high) missing; where from is for attach to say.
func (g *shadow) await(high uint64, attach func(*shadowMissing) error) error {
	h, err := trap.New(trap.Config{FD: g.fd.Fd(), Start: g.a.mem.Addr(), Size: g.a.mem.Size(), Async: true})
	if err != nil {
		return err
	}
	m := &shadowMissing{g: g, h: h}
	err = g.fd.Register(g.a.mem.Addr(), uintptr(high), uffd.ModeMissing|uffd.ModeWP)
	if err == nil {
		err = attach(m)
	}
	if err == nil {
		err = g.expect(high, m)
	}
	if err != nil {
		return errors.Join(err, h.Close())
	}
	return nil
}

func (g *shadow) lazy(high uint64, im MissingPages) error {
	if err := trap.Supported(); err != nil {
		return fmt.Errorf("%w: %w", ErrNotSupported, err)
	}
	if im.Rest != nil {
		// Its snapshots read from the file what has not been written since.
		return fmt.Errorf("guard shadow restores lazily from one file that is not compressed, %s alone does not have everything: restore eagerly: %w", im.Path, ErrNotSupported)
	}
	return g.await(high, func(m *shadowMissing) error {
		m.owner = im.Owner
		return m.h.AttachImage(trap.ImageConfig{FD: int(im.FD), Path: im.Path, Pages: high / pageSize, Index: im.Index, ID: im.ID})
	})
}

// fork: the slots that f reads stay as they are while f is open.
func (g *shadow) fork(f frozen, high uint64) error {
	l, ok := f.(*shadowLayer)
	if !ok {
		return fmt.Errorf("guard shadow brings pages in from its like only: %w", ErrNotSupported)
	}
	if err := trap.Supported(); err != nil {
		return fmt.Errorf("%w: %w", ErrNotSupported, err)
	}
	l.g.readers.RLock()
	defer l.g.readers.RUnlock()
	if l.g.refers {
		return fmt.Errorf("the parent's own pages are not all in: %w", ErrNotSupported)
	}
	return g.await(high, func(m *shadowMissing) error {
		m.parent = l
		slots, err := m.h.AttachSlots(l.g.slots.mem.Addr(), high/pageSize)
		if err == nil {
			l.index(slots)
		}
		return err
	})
}

func (m *shadowMissing) bringIn(first, n uint64) error { return corrupt(m.h.BringIn(first, n)) }

func (m *shadowMissing) bring(off uint64, src []byte) error {
	return bringMissing(m.h, m.g.fd, m.g.a.mem, off, src, uffd.CopyWP)
}

func (m *shadowMissing) brought(first, n uint64) (page uint64, ok bool) { return m.h.Brought(first, n) }

func (m *shadowMissing) synchronize() { m.h.Synchronize() }

func (m *shadowMissing) readAt(p []byte, off uint64) error {
	if m.parent != nil {
		return m.parent.readAt(p, off)
	}
	return corrupt(m.h.ReadImage(p, off))
}

func (m *shadowMissing) forget() { m.h.ForgetFile() }

func (m *shadowMissing) detach() { m.h.DetachImage() }

func (m *shadowMissing) figures() (in, of, faults int64) {
	a, b := m.h.Present()
	return int64(a), int64(b), int64(m.h.Stats().Missing)
}

func (m *shadowMissing) close() error { return m.h.Close() }

func (m *shadowMissing) arrived(first uint64, dst []uint64) uint64 {
	return m.h.CopyPresent(first, dst)
}
