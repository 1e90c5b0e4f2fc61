//go:build linux && amd64

package trap

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/cpu"
	"golang.org/x/sys/unix"

	"github.com/cowheap/cowheap/internal/vm"
)

// ErrNotSupported: the processor lacks an instruction that the resolver needs.
var ErrNotSupported = fmt.Errorf("the processor has no CRC32 instruction (SSE4.2; a virtual machine may hide it): %w", errors.ErrUnsupported)

// Supported answers nil or ErrNotSupported.
func Supported() error {
	if !cpu.X86.HasSSE42 {
		return ErrNotSupported
	}
	return nil
}

// Config says what a Handle is to resolve.
type Config struct {
	FD       int     // userfaultfd with FEATURE_SIGBUS; stays the caller's. Not looked at where Chunk is not 0
	Chunk    uint64  // pages that are lifted together, by mprotect (see SetChunk); 0: by userfaultfd
	Start    uintptr // address of the reservation, aligned to 2 MiB
	Size     uint64  // bytes of the reservation, a multiple of 2 MiB
	MaxSlots uint64  // slots for which address space is reserved
	Async    bool    // FD has FEATURE_WP_ASYNC, too: only missing faults come here
}

// Handle is how ordinary code works on a Range. Its methods are for one
// goroutine at a time, except where they say otherwise.
type Handle struct {
	r       *Range
	entry   *entry
	ctl     vm.Mapping // the Range, its repeat counters and hints
	slots   vm.Mapping
	links   vm.Mapping
	log     vm.Mapping // words, then the summary
	huge    sync.Once  // huge pages for slots, see PreserveAhead
	image   *imageMemory
	phases  sync.Mutex    // see Synchronize
	touched atomic.Uint64 // first writes that Touch resolved; the Range counts them as faults
	bell    int           // written by the resolver
	ear     *os.File      // reads what bell writes
	max     uint64
}

const (
	rangeOff  = 0
	repeatOff = pageSize
	hintOff   = repeatOff + repeatBuckets*8
)

// New makes faults in [Start, Start+Size) ours. The first call for userfaultfd installs
// the SIGBUS handler, the first one for mprotect that for SIGSEGV; they stay
// for the life of the process.
func New(c Config) (_ *Handle, err error) {
	if err := Supported(); err != nil {
		return nil, err
	}
	if c.Size == 0 || c.Size%(blockPages*pageSize) != 0 || c.Start%(blockPages*pageSize) != 0 {
		return nil, fmt.Errorf("range of %d bytes at %#x is not made of 2 MiB blocks", c.Size, c.Start)
	}
	sig := c.signal()
	if err := install(sig); err != nil {
		return nil, err
	}
	h := &Handle{bell: -1, max: c.MaxSlots}
	defer func() {
		if err != nil {
			_ = h.Close()
		}
	}()
	blocks := c.Size >> pageShift >> blockShift
	if h.ctl, err = vm.Map(roundUp(hintOff + blocks*8)); err != nil {
		return nil, err
	}
	if h.slots, err = vm.Reserve(roundUp(c.MaxSlots*pageSize), blockPages*pageSize); err != nil {
		return nil, fmt.Errorf("reserving %d slots: %w", c.MaxSlots, err)
	}
	if h.links, err = vm.Reserve(roundUp(c.MaxSlots*linkSize), pageSize); err != nil {
		return nil, fmt.Errorf("reserving the links of %d slots: %w", c.MaxSlots, err)
	}
	words := c.Size >> pageShift >> 6 * 8 // bytes; a range has whole blocks, which are 8 words
	if h.log, err = vm.Map(roundUp(words) + roundUp(words/64+8)); err != nil {
		return nil, fmt.Errorf("mapping the log: %w", err)
	}
	if h.bell, err = unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK); err != nil {
		return nil, fmt.Errorf("making the bell: %w", err)
	}
	ear, err := unix.FcntlInt(uintptr(h.bell), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("making the bell: %w", err)
	}
	h.ear = os.NewFile(uintptr(ear), "bell")
	r := (*Range)(unsafe.Add(h.ctl.Base(), rangeOff))
	r.start, r.pages, r.fd = uint64(c.Start), c.Size>>pageShift, uint64(c.FD)
	r.repeats, r.hints = uint64(h.ctl.Addr())+repeatOff, uint64(h.ctl.Addr())+hintOff
	r.logWords, r.logSummary = uint64(h.log.Addr()), uint64(h.log.Addr())+roundUp(words)
	r.slots, r.links = uint64(h.slots.Addr()), uint64(h.links.Addr())
	r.bell = uint64(h.bell)
	r.chunk = c.Chunk
	if c.Async {
		r.async = 1
	}
	h.r = r
	if h.entry, err = claimEntry(r.start, c.Size, uint64(h.ctl.Addr()), uint64(sig)); err != nil {
		return nil, err
	}
	r.inside = addrOfWord(&h.entry.inside)
	return h, nil
}

func roundUp(n uint64) uint64 { return max((n+pageSize-1)&^(pageSize-1), pageSize) }

// Close unpublishes the range, waits until no resolver is inside and gives
// everything back. Faults in the range are the Go runtime's again.
func (h *Handle) Close() error {
	if h.entry != nil {
		h.entry.release()
		h.entry = nil
	}
	errs := []error{h.log.Unmap(), h.links.Unmap(), h.slots.Unmap(), h.ctl.Unmap()}
	if h.image != nil {
		errs = append(errs, h.image.unmap())
	}
	if h.ear != nil {
		h.Silence()
	}
	if h.bell >= 0 {
		errs = append(errs, unix.Close(h.bell))
	}
	h.log, h.links, h.slots, h.ctl, h.image, h.ear, h.bell, h.r = vm.Mapping{}, vm.Mapping{}, vm.Mapping{}, vm.Mapping{}, nil, nil, -1, nil
	return errors.Join(errs...)
}

// Publish makes t the Table that faults consult; nil: nobody needs a page.
// It may run concurrently with anything; a resolver that has already read the
// old one is still inside until Drain returns.
func (h *Handle) Publish(t *Table) {
	covered := uint64(0)
	if t != nil {
		covered = t.pages
	}
	store64(&h.r.covered, covered)
	store64(&h.r.newest, t.addr())
}

// Drain waits until there has been an instant, after the call, at which no
// resolver of a write fault was inside: whoever comes later reads what is published now. (The
// counter goes up by a locked instruction before newest is read, and Publish is
// an exchange: either the resolver sees the new Table or Drain sees the count.)
func (h *Handle) Drain() { waitZero(&h.entry.inside) }

// BeginArming voids the hints and repeat counters of the arming before.
func (h *Handle) BeginArming() { add64(&h.r.epoch, 1) }

// Force makes a fault take an aligned block of so many pages, a power of two up
// to 512; 0 lets it choose by measurement. Any goroutine, any time.
func (h *Handle) Force(pages uint64) error {
	if pages > blockPages || pages&(pages-1) != 0 {
		return fmt.Errorf("%d pages a fault: want a power of two up to %d, or 0", pages, blockPages)
	}
	store64(&h.r.force, pages)
	return nil
}

// Prepare does for the pages [first, first+n) what the resolver would do at
// their first write, so that a write in kernel mode does not fail with EFAULT,
// and a write by the program costs no fault. It may run concurrently with
// itself and the resolver. Unless sure, pages are passed over that the log has:
// who protects them in this moment may then come after it.
func (h *Handle) Prepare(first, n uint64, sure bool) error {
	if chunk := h.Chunk(); chunk != 0 { // only whole ones are lifted
		end := (first + n + chunk - 1) &^ (chunk - 1)
		first &^= chunk - 1
		n = end - first
	}
	for end := first + n; first < end; {
		stop := min(end, (first>>blockShift+1)<<blockShift)
		if err := h.BringIn(first, stop-first); err != nil {
			return err
		}
		// In one stay: what is lifted by pieces has been preserved for a Table that is still
		// the newest then (or for the one below).
		add64(&h.entry.inside, 1)
		preserved, ok := h.r.prepare(first, stop, sure)
		if !ok && h.Chunk() != 0 {
			ok = h.prepareByPieces(first, stop)
		}
		add64(&h.entry.inside, ^uint64(0))
		add64(&h.r.prepared, preserved)
		if !ok {
			return fmt.Errorf("lifting the protection of pages %d to %d", first, stop)
		}
		first = stop
	}
	return nil
}

// prepare is writeFault for pages that are known, without guessing. It is
// nosplit as everything that holds a slot between take and give.
//
//go:nosplit
//go:norace
//go:nocheckptr
func (r *Range) prepare(first, end uint64, sure bool) (preserved uint64, ok bool) {
	if t := tableAt(load64(&r.newest)); t != nil && (load64(&r.overrun) < t.seq || load64(&r.pinned) != 0) {
		for p := first; p < min(end, t.pages); p++ {
			// What has a tombstone may be about to be lifted.
			if load32(t.entry(p)) != entryNone {
				continue
			}
			if load64(&t.state) == stateRaising {
				r.tear(t, p, 0)
			}
			if !r.isNeeded(t, p) {
				continue
			}
			if !r.preserve(t, p) {
				r.giveUp(t)
				if r.isPinned(p) {
					return preserved, false
				}
				continue
			}
			preserved++
		}
	}
	// An entry alone does not say that the page is lifted: its writer may be
	// between publish and lift, or it may have been protected again.
	if !sure && r.isLogged(first, end-first) {
		return preserved, true
	}
	return preserved, r.liftEither(first, end-first)
}

// Overrun is the seq up to which snapshots have been given up for want of slots.
func (h *Handle) Overrun() uint64 { return load64(&h.r.overrun) }

// Stats are counters since New, read without stopping anybody.
type Stats struct {
	Faults     uint64 // write faults resolved
	Touched    uint64 // first writes resolved by Touch, without a fault; not by chunks, which it prepares
	Idle       uint64 // of these: no snapshot needed the page, protection was left over
	Missing    uint64 // missing faults resolved
	Neighbours uint64 // pages preserved along with a faulting one
	Prepared   uint64 // pages preserved by Prepare
	Lost       uint64 // copies dropped because another thread was first
	Used       uint64 // slots in use
	Limit      uint64 // slots that may be used
	LiftTicks  uint64 // smoothed cost of a lift, ticks of the time-stamp counter
	CopyTicks  uint64 // and of copying a page
	Spent      uint64 // ticks in write faults, but for what the kernel takes to deliver them
}

// Ticks is the time-stamp counter that figures in ticks come from.
func Ticks() uint64 { return ticks() }

// Stats may be called by any goroutine until Close.
func (h *Handle) Stats() Stats {
	r := h.r
	touched := h.touched.Load() // first: it follows faults
	return Stats{
		Faults: load64(&r.faults) - touched, Touched: touched, Idle: load64(&r.idle), Missing: load64(&r.missing),
		Neighbours: load64(&r.neighbours), Prepared: load64(&r.prepared), Lost: load64(&r.lost),
		Used: load64(&r.used), Limit: load64(&r.limit),
		LiftTicks: load64(&r.liftTicks), CopyTicks: load64(&r.copyTicks), Spent: load64(&r.spent),
	}
}
