package arena

import (
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/cowheap/cowheap/internal/vm"
)

// Arena is a range of memory that is allocated from by offset and can be
// frozen. See the package comment for what may run concurrently.
type Arena struct {
	mem  vm.Mapping
	al   *allocator
	opts Options

	committed atomic.Uint64 // bytes [0, committed) are readable and writable
	commitMu  sync.Mutex    // growing committed

	// mu is held while a snapshot is taken, from before writers are held, and
	// by all that must not happen meanwhile. Because a writer may have to end
	// before it is free again, nothing that a writer may call waits for it:
	// Snapshot.Close leaves its work to the holder (see unlock).
	mu     sync.Mutex
	guard  guard
	closed atomic.Bool

	frozen  atomic.Bool // a snapshot may need what is written
	toucher toucher     // the guard, if it takes first writes by Touch

	closing  sync.Once
	closeErr error
	alive    sync.RWMutex // held for reading by who may come after Close has begun

	parent   *Snapshot // what a fork's missing pages come from, until all are in; under mu
	orphaned bool      // closed, but forks need the memory; under mu

	watches watches

	reg sync.Mutex // what follows; held for a few instructions
	registry
}

// registry is what an Arena knows of its snapshots.
type registry struct {
	open    map[*handle]struct{}
	users   map[frozen]int // open handles of each
	leaving []frozen       // closed, and to be given back by whoever holds mu
	taken   uint64
	rolled  rollbacks
	trimmed trims
	lived   lives
	last    timing
	worst   timing // the longest pause and the longest wait, each by itself
	sum     struct {
		passes
		ahead uint64 // snapshots with any
	}
}

// New makes an empty arena. It fails with ErrNotSupported, and says why and
// what to do, when a guard was asked for by name that does not work here.
func New(o Options) (*Arena, error) {
	a, err := reserve(o)
	if err != nil {
		return nil, err
	}
	if err := a.al.format(); err != nil {
		return nil, errors.Join(fmt.Errorf("making an empty arena: %w", err), a.Close())
	}
	return a, nil
}

// reserve makes an arena without content.
func reserve(o Options) (_ *Arena, err error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	a := &Arena{opts: o, registry: registry{open: map[*handle]struct{}{}, users: map[frozen]int{}}}
	if a.mem, err = vm.Reserve(o.maxSize(), blockSize); err != nil {
		if errors.Is(err, vm.ErrNotSupported) {
			err = fmt.Errorf("%w (%w)", err, ErrNotSupported)
		}
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, a.mem.Unmap())
		}
	}()
	if err := a.mem.Unmergeable(); err != nil {
		return nil, fmt.Errorf("keeping KSM off: %w", err)
	}
	if err := a.mem.HugePages(o.HugePages); err != nil && o.HugePages {
		return nil, fmt.Errorf("asking for huge pages: %w", err)
	}
	a.al = newAllocator(a.mem.Base(), a.mem.Size(), a.ensure)
	if a.guard, err = newGuard(a); err != nil {
		return nil, err
	}
	a.toucher, _ = a.guard.(toucher)
	return a, nil
}

// enter makes h known. Preconditions: Arena.reg is held.
func (r *registry) enter(h *handle) {
	r.open[h] = struct{}{}
	r.users[h.f]++
}

// leave takes h away again, and what it held if it was the last one to hold it.
// Preconditions: as enter.
func (r *registry) leave(h *handle) {
	delete(r.open, h)
	if r.users[h.f]--; r.users[h.f] == 0 {
		delete(r.users, h.f)
		r.leaving = append(r.leaving, h.f)
	}
}

// newGuard takes the guard that was asked for, or the first that works.
func newGuard(a *Arena) (guard, error) {
	switch a.opts.Guard {
	case GuardUserfault:
		return newUserfault(a)
	case GuardShadow:
		return newShadow(a)
	case GuardMprotect:
		return newMprotect(a)
	case GuardCopy:
		return newCopyGuard(a), nil
	case GuardAuto:
		for _, try := range []func(*Arena) (guard, error){newUserfault, newMprotect} {
			if g, err := try(a); err == nil || !errors.Is(err, ErrNotSupported) {
				return g, err
			}
		}
		return newCopyGuard(a), nil
	}
	return nil, fmt.Errorf("%v: %w", a.opts.Guard, ErrNotSupported)
}

// ensure makes [0, high) accessible, and some more, so that growing by pages
// does not mean a system call each.
func (a *Arena) ensure(high uint64) error {
	if high <= a.committed.Load() {
		return nil
	}
	a.commitMu.Lock()
	defer a.commitMu.Unlock()
	from := a.committed.Load()
	if high <= from {
		return nil
	}
	if high > a.mem.Size() {
		return fmt.Errorf("%d bytes of MaxSize %d: %w", high, a.mem.Size(), ErrFull)
	}
	need := (high + blockSize - 1) &^ (blockSize - 1)
	ahead := min(need+min(need/8, 1<<30)&^(blockSize-1), a.mem.Size())
	err := a.mem.Commit(from, ahead-from)
	if err != nil && ahead > need {
		// What is refused in advance may still be had as needed.
		ahead = need
		err = a.mem.Commit(from, need-from)
	}
	if err != nil {
		return fmt.Errorf("%w (%w)", ErrFull, err)
	}
	a.committed.Store(ahead)
	return nil
}

// Alloc gives out size zeroed bytes at a multiple of align, a power of two of
// at most 4096 (0: 16). Its errors are ErrFull, which changes nothing, and
// *AlignError.
func (a *Arena) Alloc(size, align uint64) (off uint64, err error) {
	if a.closed.Load() {
		return 0, ErrClosed
	}
	return a.al.alloc(size, align)
}

// Extend makes the allocation at off at least size bytes long without moving it. What is added is
// zero. It reports false, and has changed nothing, where that cannot be: only allocations of whole
// pages, of more than 32 KiB, have neighbours that may be free, and the allocator's tables do not grow for it.
func (a *Arena) Extend(off, size uint64) bool {
	return !a.closed.Load() && a.al.extend(off, size)
}

// Free takes back what Alloc gave out. A *FreeError says what was wrong with
// off; nothing has changed then.
func (a *Arena) Free(off uint64) error {
	if a.closed.Load() {
		return ErrClosed
	}
	return a.al.free(off)
}

// SizeOf is the size of the allocation at off in bytes: what was asked for,
// rounded up to its size class. A *FreeError if there is none.
func (a *Arena) SizeOf(off uint64) (uint64, error) {
	if a.closed.Load() {
		return 0, ErrClosed
	}
	return a.al.sizeOf(off)
}

// High is the end of the bytes in use. It only grows.
func (a *Arena) High() uint64 { return a.al.high() }

// Root is the word that SetRoot left, 0 in a new arena: the place from which
// everything else is found. It is frozen and restored with the rest.
func (a *Arena) Root() uint64 { return a.al.root() }

// SetRoot is for writers inside the gate.
func (a *Arena) SetRoot(word uint64) { a.al.setRoot(word) }

// Guard is the guard in use; never GuardAuto.
func (a *Arena) Guard() Guard { return a.guard.kind() }

// Check walks over the allocator's state and yields every violated invariant.
// Nobody should allocate or free meanwhile: call it where writers are held, or
// do not run.
func (a *Arena) Check() iter.Seq[error] {
	if a.closed.Load() {
		return func(yield func(error) bool) { yield(ErrClosed) }
	}
	return a.al.check()
}

// PrepareRead makes [off, off+n) safe for a system call to read from: a page
// that a lazy restore has not brought in is no fault to the kernel, but EFAULT.
func (a *Arena) PrepareRead(off, n uint64) error {
	if err := a.within(off, n); err != nil || n == 0 {
		return err
	}
	return a.guard.prepareRead(off, n)
}

// PrepareWrite spares writes to [off, off+n) their faults, in one call for what
// would be a fault a page. It is no promise: a snapshot that is being taken may
// protect the pages again while writers go on. See Pin.
func (a *Arena) PrepareWrite(off, n uint64) error {
	if err := a.within(off, n); err != nil || n == 0 {
		return err
	}
	return a.guard.prepareWrite(off, n)
}

// Pin makes [off, off+n) safe for a system call to write into until unpin is
// called. Call both inside the gate, within one passage: a snapshot that is taken
// while something is pinned protects it nevertheless.
func (a *Arena) Pin(off, n uint64) (unpin func(), err error) {
	if err := a.within(off, n); err != nil || n == 0 {
		return func() {}, err
	}
	return a.guard.pin(off, n)
}

func (a *Arena) within(off, n uint64) error {
	if a.closed.Load() {
		return ErrClosed
	}
	if high := a.High(); off > high || n > high-off {
		return fmt.Errorf("bytes %d to %d of an arena of %d", off, off+n, high)
	}
	return nil
}

// unlock releases mu, and sees to what was left to do meanwhile.
func (a *Arena) unlock() {
	a.mu.Unlock()
	_ = a.settle()
}

// settle gives back the snapshots that are leaving, unless somebody holds mu,
// who will do it then.
func (a *Arena) settle() error {
	var errs []error
	for a.anyLeaving() && a.mu.TryLock() {
		errs = append(errs, a.giveBack())
		a.mu.Unlock()
	}
	return errors.Join(errs...)
}

// giveBack is settle for one who holds mu.
func (a *Arena) giveBack() error {
	a.reg.Lock()
	leaving, left := a.leaving, len(a.open)
	a.leaving = nil
	a.reg.Unlock()
	var errs []error
	for _, f := range leaving {
		errs = append(errs, f.close())
	}
	if a.orphaned && left == 0 {
		a.orphaned = false
		errs = append(errs, a.tearDown())
	}
	return errors.Join(errs...)
}

func (a *Arena) anyLeaving() bool {
	a.reg.Lock()
	defer a.reg.Unlock()
	return len(a.leaving) > 0
}

// Close closes the snapshots and gives everything back, or leaves that to the last
// fork that needs pages of one of them. Nobody may use the memory any more. It is
// idempotent.
func (a *Arena) Close() error {
	a.closing.Do(func() { a.closeErr = a.close() })
	return a.closeErr
}

func (a *Arena) close() error {
	a.closed.Store(true)
	a.guard.quiesce()
	a.mu.Lock()
	defer a.unlock()
	a.reg.Lock()
	open := slices.Collect(maps.Keys(a.open))
	a.reg.Unlock()
	for _, h := range open {
		if !h.fork {
			h.detach(ErrClosed)
		}
	}
	a.orphaned = true
	return a.giveBack()
}

// tearDown gives the memory back.
// Preconditions: mu is held, no snapshot is open, and nobody uses the memory.
func (a *Arena) tearDown() error {
	a.alive.Lock()
	err := errors.Join(a.guard.close(), a.mem.Unmap())
	a.alive.Unlock()
	return errors.Join(err, a.leaveParent())
}
