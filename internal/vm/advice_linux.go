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

// Populate gives memory to [off, off+n), as a write to each page would.
func (m Mapping) Populate(off, n uint64) {
	b := m.Bytes(off, n)
	if unix.Madvise(b, unix.MADV_POPULATE_WRITE) == nil {
		return
	}
	for i := 0; i < len(b); i += PageSize { // before Linux 5.14
		b[i] = 0
	}
}

// Resident is how many bytes of [off, off+n) are in memory.
func (m Mapping) Resident(off, n uint64) (uint64, error) {
	var vec [4096]byte // one byte a page, so 16 MiB a call
	resident := uint64(0)
	for n > 0 {
		part := min(n, uint64(len(vec))*PageSize)
		if err := mincore(m.Bytes(off, part), vec[:]); err != nil {
			return 0, err
		}
		for _, v := range vec[:(part+PageSize-1)/PageSize] {
			resident += uint64(v&1) * PageSize
		}
		off, n = off+part, n-part
	}
	return resident, nil
}
