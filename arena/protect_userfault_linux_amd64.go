package arena

import (
	"errors"

	"github.com/cowheap/cowheap/internal/uffd"
	"github.com/cowheap/cowheap/internal/vm"
)

// uffdProtector protects by userfaultfd.
type uffdProtector struct {
	fd  *uffd.FD
	mem vm.Mapping
	// Before Linux 6.4 (no WP_UNPOPULATED) protection passes over what was never
	// touched, and a first write there goes unnoticed. So everything is populated, for
	// reading, before it is protected: page tables then lead to the page of zeros.
	// Once is enough, because a rollback that gives memory back to the system says so
	// (userfault.empty), and Trim populates again what it gave back.
	unpopulated bool // the kernel protects it by itself
}

func (p uffdProtector) instant(uint64) {}

func (p uffdProtector) populate(off, n uint64) error {
	if p.unpopulated {
		return nil
	}
	return p.mem.PopulateRead(off, n)
}

func (p uffdProtector) protect(off, n uint64, held bool) error {
	return p.fd.Protect(p.mem.Addr()+uintptr(off), uintptr(n))
}

// noteUserfault says what is slower here than on a newer kernel.
func noteUserfault() string {
	if err := uffd.HaveWPUnpopulated(); errors.Is(err, errors.ErrUnsupported) {
		return "this kernel does not protect what was never touched (Linux 6.4): new memory is populated before the next snapshot"
	}
	return ""
}
