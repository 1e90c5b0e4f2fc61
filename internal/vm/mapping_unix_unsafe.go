//go:build unix && !aix && !solaris && (amd64 || arm64 || loong64 || riscv64)

package vm

import (
	"fmt"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Mapping is one reservation. The zero value is none.
type Mapping struct {
	base unsafe.Pointer
	size uintptr
}

// Reserve takes size bytes of address space without access, aligned to align
// bytes (a power of two, at least a page).
func Reserve(size, align uint64) (Mapping, error) {
	if os.Getpagesize() != PageSize {
		return Mapping{}, fmt.Errorf("pages of %d bytes: %w", os.Getpagesize(), ErrNotSupported)
	}
	// Reserve enough to cut an aligned piece out, then give the rest back.
	want := uintptr(size + align - PageSize)
	p, err := unix.MmapPtr(-1, 0, nil, want, unix.PROT_NONE, unix.MAP_PRIVATE|unix.MAP_ANON|noReserve)
	if err != nil {
		return Mapping{}, fmt.Errorf("reserving %d bytes of address space (a limit by ulimit -v?): %w", size, err)
	}
	lead := (uintptr(align) - uintptr(p)%uintptr(align)) % uintptr(align)
	base := unsafe.Add(p, lead)
	if lead > 0 {
		_ = unix.MunmapPtr(p, lead) // at worst the address space stays taken
	}
	if tail := want - lead - uintptr(size); tail > 0 {
		_ = unix.MunmapPtr(unsafe.Add(base, size), tail)
	}
	return Mapping{base, uintptr(size)}, nil
}

// Map takes size bytes, zeroed and writable at once.
func Map(size uint64) (Mapping, error) {
	p, err := unix.MmapPtr(-1, 0, nil, uintptr(size), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON|noReserve)
	if err != nil {
		return Mapping{}, fmt.Errorf("mapping %d bytes: %w", size, err)
	}
	return Mapping{p, uintptr(size)}, nil
}

// Base is the address of the first byte, nil for the zero Mapping.
func (m Mapping) Base() unsafe.Pointer { return m.base }

// Addr is the address of the first byte as a number, for the kernel.
func (m Mapping) Addr() uintptr { return uintptr(m.base) }

// Size is the size in bytes.
func (m Mapping) Size() uint64 { return uint64(m.size) }

// Bytes is [off, off+n) as a slice. It must not be used after Unmap.
func (m Mapping) Bytes(off, n uint64) []byte {
	if off > uint64(m.size) || n > uint64(m.size)-off {
		panic(fmt.Sprintf("vm: bytes %d to %d of a mapping of %d", off, off+n, m.size))
	}
	return unsafe.Slice((*byte)(unsafe.Add(m.base, off)), n)
}

// Commit makes [off, off+n) readable and writable. Fresh memory is zero.
func (m Mapping) Commit(off, n uint64) error {
	if n == 0 {
		return nil
	}
	if err := unix.Mprotect(m.Bytes(off, n), unix.PROT_READ|unix.PROT_WRITE); err != nil {
		return fmt.Errorf("committing %d bytes (memory, vm.overcommit_memory or ulimit -v): %w", n, err)
	}
	return nil
}

// Discard gives the memory of [off, off+n) back; it reads as zero afterwards.
func (m Mapping) Discard(off, n uint64) error {
	if n == 0 {
		return nil
	}
	return unix.Madvise(m.Bytes(off, n), unix.MADV_DONTNEED)
}

// Unmap gives everything back. The Mapping must not be used afterwards.
func (m Mapping) Unmap() error {
	if m.base == nil {
		return nil
	}
	return unix.MunmapPtr(m.base, m.size)
}

// Adopt makes a Mapping of memory whose address was kept elsewhere.
// Preconditions: base and size are those of a Mapping.
func Adopt(base unsafe.Pointer, size uint64) Mapping { return Mapping{base, uintptr(size)} }

// AddrOf is the address of the first byte of b, for the kernel.
// Preconditions: b lies outside the Go heap.
func AddrOf(b []byte) uintptr { return uintptr(unsafe.Pointer(unsafe.SliceData(b))) }
