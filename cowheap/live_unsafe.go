package cowheap

import (
	"encoding/binary"
	"io"
	"unsafe"
)

// format makes an empty heap of a fresh arena.
//
// Preconditions: nobody is inside the gate, and attach was not called.
func (s *space) format(seed uint64) error {
	off, err := s.arena.Alloc(superSize, 8)
	if err != nil {
		return err
	}
	b := unsafe.Slice((*byte)(unsafe.Add(s.base, off)), superSize)
	binary.LittleEndian.PutUint64(b, superMagic)
	binary.LittleEndian.PutUint32(b[superVersAt:], superVersion)
	binary.LittleEndian.PutUint64(b[superSeedAt:], seed)
	s.arena.SetRoot(off)
	s.setSeed(seed)
	return nil
}

// attach takes over a heap whose memory was put back: restored, forked or rolled
// back. It fails with ErrCorrupt, or with a *VersionError.
//
// Preconditions: nobody is inside the gate.
func (s *space) attach() error {
	super, err := readSuperblock(s.live(), s.arena.Root())
	if err != nil {
		return err
	}
	s.known.Store(nil) // roots may be gone
	if invariants {
		s.sites.forget()
	}
	s.setSeed(super.seed)
	return nil
}

// live is the heap's memory as a source, to read it with the same care as a
// snapshot. Its size is what is in use now.
func (s *space) live() *liveMemory {
	return &liveMemory{base: s.base, size: int64(s.arena.High())}
}

type liveMemory struct {
	base unsafe.Pointer
	size int64
}

func (l *liveMemory) Size() int64 { return l.size }

func (l *liveMemory) ReadAt(p []byte, off int64) (int, error) {
	if off < 0 || off >= l.size {
		return 0, io.EOF
	}
	n := copy(p, unsafe.Slice((*byte)(unsafe.Add(l.base, off)), l.size-off))
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}
