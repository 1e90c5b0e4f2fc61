package cowheap

import (
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/cowheap/cowheap/checkpoint"
)

// The directory of roots is in the arena, so that it is frozen, rolled back and
// restored with everything else. The arena's root word is the offset of the
// superblock, which has
//
//	 0  u64  magic, "CWHEAP\r\n"
//	 8  u32  version of the layout of containers and of this
//	12  u32  0
//	16  u64  seed of the hash of map keys
//	24  u64  offset of the newest root record, 0: none
//	32  u64  number of root records
//	40  ..   0, up to 64
//
// A root record has
//
//	 0  u64  offset of the record before it, 0: none
//	 8  u64  offset of the root
//	16  u64  offset of the layout of its type, see encodeLayout
//	24  u32  bytes of the layout
//	28  u32  bytes of the name
//	32  ..   name
//
// All numbers are little-endian. Whoever walks the directory must expect
// anything: it may come out of a file that was made to look right.
const (
	superMagic   = 0x0a0d504145485743
	superVersion = 1
	superSize    = 64
	superVersAt  = 8
	superSeedAt  = 16
	superFirstAt = 24
	superCountAt = 32

	recordHead     = 32
	recordTargetAt = 8
	recordLayoutAt = 16
	recordLayLenAt = 24
	recordNameAt   = 28

	// maxRootName is the longest name of a root, in bytes.
	maxRootName = 4096
	// maxRootLayout is the longest layout that is read, in bytes.
	maxRootLayout = 16 << 20
)

// VersionError is a heap whose containers this version of cowheap does not read.
type VersionError struct {
	Got uint32 // the heap's version
	Max uint32 // the newest that this version of cowheap reads
}

func (e *VersionError) Error() string {
	return fmt.Sprintf("heap has version %d, this version of cowheap reads 1 to %d: use the version that wrote it, or a newer one", e.Got, e.Max)
}

// superblock is what attaching to a heap needs to know.
type superblock struct {
	seed, first, count uint64
}

// readSuperblock reads the superblock at offset off.
func readSuperblock(src checkpoint.Source, off uint64) (superblock, error) {
	var b [superSize]byte
	if err := readFull(src, b[:], off, "superblock"); err != nil {
		return superblock{}, err
	}
	if binary.LittleEndian.Uint64(b[:]) != superMagic {
		return superblock{}, fmt.Errorf("%w: no superblock at offset %#x: not a heap, or an arena without one", ErrCorrupt, off)
	}
	if v := binary.LittleEndian.Uint32(b[superVersAt:]); v != superVersion {
		return superblock{}, &VersionError{Got: v, Max: superVersion}
	}
	return superblock{
		seed:  binary.LittleEndian.Uint64(b[superSeedAt:]),
		first: binary.LittleEndian.Uint64(b[superFirstAt:]),
		count: binary.LittleEndian.Uint64(b[superCountAt:]),
	}, nil
}

// rootRecord is a record as the directory has it.
type rootRecord struct {
	off                  uint64 // of the record
	before, target       uint64
	layoutOff, layoutLen uint64
	name                 string
}

// walkDirectory calls visit for each root, newest first, until that returns
// false. It allocates the names.
func walkDirectory(src checkpoint.Source, super superblock, visit func(rootRecord) (goOn bool)) error {
	if super.count > uint64(src.Size())/recordHead {
		return fmt.Errorf("%w: %d roots in %d bytes", ErrCorrupt, super.count, src.Size())
	}
	off := super.first
	for range super.count { // so that records in a circle come to an end
		var b [recordHead]byte
		if err := readFull(src, b[:], off, "root record"); err != nil {
			return err
		}
		name := binary.LittleEndian.Uint32(b[recordNameAt:])
		if name > maxRootName {
			return fmt.Errorf("%w: root record at offset %#x has a name of %d bytes", ErrCorrupt, off, name)
		}
		text := make([]byte, name)
		if err := readFull(src, text, off+recordHead, "name of a root"); err != nil {
			return err
		}
		r := rootRecord{
			off:       off,
			before:    binary.LittleEndian.Uint64(b[:]),
			target:    binary.LittleEndian.Uint64(b[recordTargetAt:]),
			layoutOff: binary.LittleEndian.Uint64(b[recordLayoutAt:]),
			layoutLen: uint64(binary.LittleEndian.Uint32(b[recordLayLenAt:])),
			name:      string(text),
		}
		if !visit(r) {
			return nil
		}
		off = r.before
	}
	if off != 0 {
		return fmt.Errorf("%w: more than %d root records", ErrCorrupt, super.count)
	}
	return nil
}

// layout reads the layout of a root and makes sure that the root is in the heap.
func (r *rootRecord) layout(src checkpoint.Source) (checkpoint.Layout, error) {
	if r.layoutLen > maxRootLayout {
		return nil, fmt.Errorf("%w: root %q has a layout of %d bytes", ErrCorrupt, r.name, r.layoutLen)
	}
	b := make([]byte, r.layoutLen)
	if err := readFull(src, b, r.layoutOff, "layout of a root"); err != nil {
		return nil, err
	}
	l, err := decodeLayout(b)
	if err != nil {
		return nil, fmt.Errorf("%w: root %q: %w", ErrCorrupt, r.name, err)
	}
	if size, end := uint64(l[0].Size), uint64(src.Size()); r.target == 0 || r.target > end || size > end-r.target {
		return nil, fmt.Errorf("%w: root %q is %d bytes at offset %#x of %d", ErrCorrupt, r.name, size, r.target, end)
	}
	return l, nil
}

// readRoots returns the roots of a snapshot or of a live heap, oldest first, for
// the header of a checkpoint. super is the arena's root word.
func readRoots(src checkpoint.Source, super uint64) ([]checkpoint.Root, error) {
	sb, err := readSuperblock(src, super)
	if err != nil {
		return nil, err
	}
	var roots []checkpoint.Root
	var bad error
	err = walkDirectory(src, sb, func(r rootRecord) bool {
		l, err := r.layout(src)
		roots = append(roots, checkpoint.Root{Name: r.name, Offset: r.target, Layout: l})
		bad = err
		return err == nil
	})
	if err == nil {
		err = bad
	}
	if err != nil {
		return nil, err
	}
	slices.Reverse(roots)
	return roots, nil
}

// readFull reads len(p) bytes at off, which may be any number.
func readFull(src checkpoint.Source, p []byte, off uint64, what string) error {
	end := uint64(src.Size())
	if off == 0 || off > end || uint64(len(p)) > end-off {
		return fmt.Errorf("%w: %s at offset %#x is not in the heap's %d bytes", ErrCorrupt, what, off, end)
	}
	if len(p) == 0 {
		return nil
	}
	if n, err := src.ReadAt(p, int64(off)); n < len(p) {
		return fmt.Errorf("reading the %s: %w", what, err)
	}
	return nil
}
