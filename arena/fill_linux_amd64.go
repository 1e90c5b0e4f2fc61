package arena

import (
	"errors"
	"fmt"
	"runtime"
	"syscall"

	"github.com/cowheap/cowheap/internal/trap"
	"github.com/cowheap/cowheap/internal/uffd"
	"github.com/cowheap/cowheap/internal/vm"
)

// What the guards userfault and shadow have in common where pages are missing.

// copyMissing is UFFDIO_COPY until all is in or a page is in already; it answers
// the bytes that it put in.
func copyMissing(fd *uffd.FD, mem vm.Mapping, off uint64, src []byte, mode uffd.CopyMode) (done uint64, err error) {
	for n := uint64(len(src)); done < n; {
		k, err := fd.Copy(mem.Addr()+uintptr(off+done), vm.AddrOf(src)+uintptr(done), uintptr(n-done), mode)
		runtime.KeepAlive(src)
		done += uint64(k)
		switch {
		case err == nil, errors.Is(err, syscall.EAGAIN):
		case errors.Is(err, syscall.EEXIST):
			return done, nil
		default:
			return done, fmt.Errorf("bringing pages in at %d: %w", off+done, err)
		}
	}
	return done, nil
}

// bringMissing is guard.bring.
func bringMissing(h *trap.Handle, fd *uffd.FD, mem vm.Mapping, off uint64, src []byte, mode uffd.CopyMode) error {
	first, n := off/pageSize, uint64(len(src))/pageSize
	if h.Detached() {
		return nil
	}
	for i := uint64(0); i < n; {
		miss, ok := h.Missing(first+i, n-i)
		if !ok {
			return nil
		}
		i = miss - first
		done, err := copyMissing(fd, mem, off+i*pageSize, src[i*pageSize:], mode)
		if err != nil {
			return err
		}
		// What stopped it is a page that another thread brought in.
		h.MarkPresent(miss, min(done/pageSize+1, n-i))
		i += done/pageSize + 1
	}
	return nil
}

// corrupt makes a damaged file an ErrCorrupt.
func corrupt(err error) error {
	if errors.Is(err, trap.ErrDamaged) {
		return fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	return err
}
