package main

import (
	"errors"
	"fmt"

	"github.com/cowheap/cowheap/internal/vm"
)

// region is plain anonymous memory outside the Go heap, at a multiple of 2 MiB,
// made of small pages or of huge ones. It is what an arena is compared with.
type region struct {
	vm.Mapping
}

// newRegion maps size bytes, a multiple of 2 MiB, that were never touched. Huge
// pages must be possible here (needHugePages).
func newRegion(size int64, huge bool) (*region, error) {
	m, err := vm.Reserve(uint64(size), blockSize)
	if err != nil {
		if errors.Is(err, vm.ErrNotSupported) {
			err = fmt.Errorf("%w (%w)", err, errors.ErrUnsupported)
		}
		return nil, err
	}
	r := &region{m}
	err = m.Commit(0, uint64(size))
	if err == nil {
		err = m.HugePages(huge)
	}
	if err != nil {
		return nil, errors.Join(err, r.Unmap())
	}
	return r, nil
}

// all is the whole of it. It must not be used after Unmap.
func (r *region) all() []byte { return r.Bytes(0, r.Size()) }

// writePages writes a byte to every page of b: afterwards each is there, is
// nobody else's and can be written without a fault.
func writePages(b []byte, value byte) {
	for i := 0; i < len(b); i += pageSize {
		b[i] = value
	}
}

// writeScattered writes a byte to each of the pages.
func writeScattered(b []byte, pages []uint32, value byte) {
	for _, p := range pages {
		b[int(p)*pageSize] = value
	}
}

// readPages reads a byte of every page.
func readPages(b []byte) (sum byte) {
	for i := 0; i < len(b); i += pageSize {
		sum += b[i]
	}
	return sum
}

// warmMemory makes sure that so many bytes of memory that are free in this
// system have been touched since it was started: on a virtual machine the host
// has to find memory for a page at its first touch ever, which takes longer than
// everything that is measured here.
func warmMemory(size int64) error {
	r, err := newRegion(size, false)
	if err != nil {
		return err
	}
	writePages(r.all(), 1)
	return r.Unmap()
}
