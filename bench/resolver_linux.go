package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/cowheap/cowheap/internal/uffd"
)

// resolver is how everybody resolves page faults in Go at first: a goroutine
// that reads the messages of a userfaultfd. The thread that faulted sleeps in the
// kernel and keeps its processor of the scheduler's, so the world cannot be stopped
// meanwhile; it is sound here only because nothing stops it.
type resolver struct {
	fd    *uffd.FD
	mem   *region
	slots []byte // takes the old content of pages, in the order of faults

	resolved int // pages, once done
	err      error
	done     sync.WaitGroup

	last atomic.Uint64 // page whose fault is the signal to end, plus one
}

// Fields of struct uffd_msg.
const (
	messageSize    = 32
	messageEvent   = 0
	messageAddress = 16
	eventPageFault = 0x12
)

// startResolver serves the faults of mem, which is armed with fd.
func startResolver(fd *uffd.FD, mem *region, slots []byte) (*resolver, error) {
	// A read that blocks is the quickest way there is to wait: the poller of the
	// scheduler would need two more system calls a fault.
	if err := unix.SetNonblock(fd.Fd(), false); err != nil {
		return nil, err
	}
	r := &resolver{fd: fd, mem: mem, slots: slots}
	r.done.Go(func() { r.err = r.serve() })
	return r, nil
}

func (r *resolver) serve() error {
	message := make([]byte, messageSize)
	for {
		n, err := unix.Read(r.fd.Fd(), message)
		switch {
		case err == unix.EINTR || err == unix.EAGAIN:
			continue
		case err != nil:
			return fmt.Errorf("reading a fault: %w", err)
		case n != messageSize || message[messageEvent] != eventPageFault:
			return fmt.Errorf("no fault, but %d bytes: % x", n, message[:n])
		}
		page := (binary.NativeEndian.Uint64(message[messageAddress:]) - uint64(r.mem.Addr())) / pageSize
		last := page+1 == r.last.Load()
		if !last {
			copy(r.slots[r.resolved*pageSize:], r.mem.Bytes(page*pageSize, pageSize))
			r.resolved++
		}
		if err := r.fd.Unprotect(r.mem.Addr()+uintptr(page*pageSize), pageSize); err != nil || last {
			return err
		}
	}
}

// stop ends the goroutine by a fault on a page that was not written yet.
func (r *resolver) stop(page uint64) error {
	r.last.Store(page + 1)
	r.mem.Bytes(page*pageSize, 1)[0] = 0
	r.done.Wait()
	return r.err
}

// stuckAfter is when a writer has to be freed from a fault that nobody resolves.
const stuckAfter = 2 * time.Minute

// goroutine: faults are messages to a goroutine.
func (b *faultBench) goroutine(pages []uint32, write timer) (took time.Duration, err error) {
	mem := b.plain.all()
	writePages(mem, b.value)
	fd, err := b.arm(uffd.FeatureWriteProtect)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, fd.Close()) }()
	slots, err := newRegion(size((len(pages)+1)*pageSize).blocks(), false)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, slots.Unmap()) }()
	writePages(slots.all(), b.value)
	r, err := startResolver(fd, b.plain, slots.all())
	if err != nil {
		return 0, err
	}
	// A goroutine that died leaves the writer asleep: dropping the protection
	// wakes it, and what is missing shows in the count.
	stuck := time.AfterFunc(stuckAfter, func() { _ = fd.Unregister(b.plain.Addr(), uintptr(b.plain.Size())) })
	defer stuck.Stop()

	took, err = write(func() { writeScattered(mem, pages, b.value) })
	err = errors.Join(err, r.stop(b.unwritten(pages)))
	if err == nil && r.resolved != len(pages) {
		err = fmt.Errorf("%d pages were written, and %d faults resolved", len(pages), r.resolved)
	}
	return took, err
}

// unwritten is a page that is none of those given.
func (b *faultBench) unwritten(pages []uint32) uint64 {
	written := make(map[uint32]bool, len(pages))
	for _, p := range pages {
		written[p] = true
	}
	p := uint32(0)
	for written[p] {
		p++
	}
	return uint64(p)
}
