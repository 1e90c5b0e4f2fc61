//go:build linux && (amd64 || arm64 || loong64 || riscv64)

package vm

import "golang.org/x/sys/unix"

const noReserve = unix.MAP_NORESERVE

// HugePages asks for huge pages in the whole mapping, or against them.
func (m Mapping) HugePages(on bool) error {
	advice := unix.MADV_NOHUGEPAGE
	if on {
		advice = unix.MADV_HUGEPAGE
	}
	return unix.Madvise(m.Bytes(0, m.Size()), advice)
}

// Unmergeable keeps KSM (PR_SET_MEMORY_MERGE) off the mapping. A kernel that
// has no KSM answers EINVAL, which is as good.
func (m Mapping) Unmergeable() error {
	err := unix.Madvise(m.Bytes(0, m.Size()), unix.MADV_UNMERGEABLE)
	if err == unix.EINVAL {
		return nil
	}
	return err
}
