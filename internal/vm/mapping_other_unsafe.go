//go:build !(unix && !aix && !solaris && (amd64 || arm64 || loong64 || riscv64))

package vm

import "unsafe"

// Mapping is one reservation. The zero value is none; there is no other here.
type Mapping struct{}

// Reserve answers ErrNotSupported.
func Reserve(size, align uint64) (Mapping, error) { return Mapping{}, ErrNotSupported }

// Map answers ErrNotSupported.
func Map(size uint64) (Mapping, error) { return Mapping{}, ErrNotSupported }

// Base is nil.
func (m Mapping) Base() unsafe.Pointer { return nil }

// Addr is 0.
func (m Mapping) Addr() uintptr { return 0 }

// Size is 0.
func (m Mapping) Size() uint64 { return 0 }

// Bytes is nil.
func (m Mapping) Bytes(off, n uint64) []byte { return nil }

// Commit answers ErrNotSupported.
func (m Mapping) Commit(off, n uint64) error { return ErrNotSupported }

// Discard answers ErrNotSupported.
func (m Mapping) Discard(off, n uint64) error { return ErrNotSupported }

// Unmap does nothing.
func (m Mapping) Unmap() error { return nil }

// Adopt is the zero Mapping.
func Adopt(base unsafe.Pointer, size uint64) Mapping { return Mapping{} }
