package cowheap

import (
	"encoding/binary"
	"fmt"
	"maps"
	"strings"

	"github.com/cowheap/cowheap/checkpoint"
)

// Root returns the T with this name, from which everything else in the heap is
// found again after a restore.
//
// If the heap has none, Update creates it, zeroed, and View fails with
// ErrNotFound. If it has one of another type Root fails with a *LayoutError. The
// names of types do not matter, only what is in them. It fails with a *TypeError
// if T may not be in a heap, and with ErrFull.
//
// Many goroutines may call it at once. A root must not be freed.
func Root[T any](m *Mem, name string) (Ref[T], error) {
	key := rootKey{name: name, word: typeWord[T]()}
	if known := m.space.known.Load(); known != nil {
		if off, ok := (*known)[key]; ok {
			return Ref[T]{off: off}, nil
		}
	}
	ti := typeInfoOf[T]()
	if ti.err != nil {
		return Ref[T]{}, ti.err
	}
	off, err := m.root(key, ti)
	return Ref[T]{off: off}, err
}

// rootKey is a root that is known to be of a type of this program.
type rootKey struct {
	name string
	word uintptr // typeWord
}

// root is Root for a root that is not known yet.
func (m *Mem) root(key rootKey, ti *typeInfo) (off uint64, err error) {
	if len(key.name) > maxRootName {
		return 0, fmt.Errorf("name of a root has %d bytes, may have %d", len(key.name), maxRootName)
	}
	s := m.space
	s.rootMu.Lock()
	defer s.rootMu.Unlock()
	live := s.live()
	super, err := readSuperblock(live, s.arena.Root())
	if err != nil {
		return 0, err
	}
	var found *rootRecord
	if err := walkDirectory(live, super, func(r rootRecord) bool {
		if r.name == key.name {
			found = &r
		}
		return found == nil
	}); err != nil {
		return 0, err
	}
	key.name = strings.Clone(key.name) // it may be in the heap itself
	is := layoutOf(ti.typ)
	if found == nil {
		if m.view {
			return 0, fmt.Errorf("%w: %q", ErrNotFound, key.name)
		}
		if off, err = m.createRoot(super, key.name, ti, is); err == nil {
			s.remember(key, off)
		}
		return off, err
	}

	was, err := found.layout(live)
	if err != nil {
		return 0, err
	}
	differences, grown := compareLayouts(was, is, typeName(ti.typ))
	if len(differences) > 0 {
		return 0, &LayoutError{Root: key.name, Differences: differences}
	}
	if size, err := s.arena.SizeOf(found.target); err != nil || size < ti.size {
		return 0, fmt.Errorf("%w: root %q, %d bytes at offset %#x, is not allocated: was it freed?", ErrCorrupt, key.name, ti.size, found.target)
	}
	switch {
	case grown && m.view:
		return found.target, nil // an Update will record it
	case grown:
		if err := m.recordLayout(found, is); err != nil {
			return 0, err
		}
	}
	s.remember(key, found.target)
	return found.target, nil
}

// createRoot allocates a root and adds it to the directory. If anything fails
// nothing has been changed.
//
// Preconditions: rootMu is held.
func (m *Mem) createRoot(super superblock, name string, ti *typeInfo, l checkpoint.Layout) (off uint64, err error) {
	layout := encodeLayout(l)
	var got [3]uint64
	for i, n := range []uint64{ti.size, uint64(len(layout)), recordHead + uint64(len(name))} {
		align := uint64(8)
		if i == 0 {
			align = ti.align
		}
		if got[i], err = m.alloc(n, align); err != nil {
			for _, off := range got[:i] {
				m.release(off)
			}
			return 0, err
		}
	}
	target, layoutOff, record := got[0], got[1], got[2]
	copy(m.bytes(layoutOff, uint64(len(layout))), layout)
	b := m.bytes(record, recordHead+uint64(len(name)))
	binary.LittleEndian.PutUint64(b, super.first)
	binary.LittleEndian.PutUint64(b[recordTargetAt:], target)
	binary.LittleEndian.PutUint64(b[recordLayoutAt:], layoutOff)
	binary.LittleEndian.PutUint32(b[recordLayLenAt:], uint32(len(layout)))
	binary.LittleEndian.PutUint32(b[recordNameAt:], uint32(len(name)))
	copy(b[recordHead:], name)
	if invariants {
		m.space.sites.root(target)
	}

	b = m.bytes(m.space.arena.Root(), superSize)
	binary.LittleEndian.PutUint64(b[superFirstAt:], record)
	binary.LittleEndian.PutUint64(b[superCountAt:], super.count+1)
	return target, nil
}

// recordLayout puts a layout in the place of the one that it has grown out of.
//
// Preconditions: rootMu is held.
func (m *Mem) recordLayout(r *rootRecord, l checkpoint.Layout) error {
	layout := encodeLayout(l)
	off, err := m.alloc(uint64(len(layout)), 8)
	if err != nil {
		return err
	}
	copy(m.bytes(off, uint64(len(layout))), layout)
	b := m.bytes(r.off, recordHead)
	binary.LittleEndian.PutUint64(b[recordLayoutAt:], off)
	binary.LittleEndian.PutUint32(b[recordLayLenAt:], uint32(len(layout)))
	m.release(r.layoutOff)
	return nil
}

// remember lets Root find key without a walk.
//
// Preconditions: rootMu is held.
func (s *space) remember(key rootKey, off uint64) {
	known := make(map[rootKey]uint64)
	if now := s.known.Load(); now != nil {
		maps.Copy(known, *now)
	}
	known[key] = off
	s.known.Store(&known)
}
