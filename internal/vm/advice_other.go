//go:build !(linux && (amd64 || arm64 || loong64 || riscv64))

package vm

import "errors"

// HugePages answers errors.ErrUnsupported when they are asked for.
func (m Mapping) HugePages(on bool) error {
	if on {
		return errors.ErrUnsupported
	}
	return nil
}

// Unmergeable does nothing: only Linux merges pages.
func (m Mapping) Unmergeable() error { return nil }

// Resident answers errors.ErrUnsupported.
func (m Mapping) Resident(off, n uint64) (uint64, error) { return 0, errors.ErrUnsupported }
