//go:build linux && (amd64 || arm64 || loong64 || riscv64)

package vm

import (
	"fmt"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"
)

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

// Populate gives memory to [off, off+n), as far as there is any, and changes no
// byte of it, also while others write there.
func (m Mapping) Populate(off, n uint64) {
	if unix.Madvise(m.Bytes(off, n), unix.MADV_POPULATE_WRITE) != unix.EINVAL {
		return // what could not be had will be missed by whoever touches it
	}
	for at := off; at < off+n; at += PageSize { // before Linux 5.14
		atomic.AddUint32((*uint32)(unsafe.Add(m.Base(), at)), 0)
	}
}

// PopulateRead gives each page of [off, off+n) an entry in the page tables, for reading,
// and changes nothing else. Reading there must not crash.
func (m Mapping) PopulateRead(off, n uint64) error {
	const piece = 16 << 20 // for others who want the kernel's memory lock
	for end := off + n; off < end; {
		n := min(end-off, piece)
		switch err := unix.Madvise(m.Bytes(off, n), unix.MADV_POPULATE_READ); err {
		case nil:
			off += n
		case unix.EAGAIN, unix.EINTR:
		case unix.EINVAL: // before Linux 5.14
			for at := off; at < off+n; at += PageSize {
				atomic.LoadUint32((*uint32)(unsafe.Add(m.Base(), at)))
			}
			off += n
		default:
			return fmt.Errorf("populating %d bytes: %w", n, err)
		}
	}
	return nil
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
