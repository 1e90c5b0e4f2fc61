//go:build !(linux && (amd64 || arm64 || loong64 || riscv64))

package vm

import "errors"

// MapFile answers errors.ErrUnsupported.
func MapFile(fd uintptr, size int64) ([]byte, error) { return nil, errors.ErrUnsupported }

// UnmapFile answers errors.ErrUnsupported.
func UnmapFile(b []byte) error { return errors.ErrUnsupported }

// Prefault does nothing.
func Prefault(b []byte) {}
