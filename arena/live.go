package arena

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"time"
)

// ErrUnsettled: the memory cannot be read while it is written to, or what is written does not
// come to an end. Take a snapshot.
var ErrUnsettled = errors.New("the memory does not settle: take a snapshot")

// ErrBusy is an ErrUnsettled because of how much is written.
var ErrBusy = fmt.Errorf("writers are too busy: %w", ErrUnsettled)

// unsettled is an ErrUnsettled that says why.
func unsettled(format string, args ...any) error {
	return fmt.Errorf("%w: %w", ErrUnsettled, fmt.Errorf(format, args...))
}

// busy is an ErrBusy that says why.
func busy(format string, args ...any) error {
	return fmt.Errorf("%w: %w", ErrBusy, fmt.Errorf(format, args...))
}

// Live is the memory while writers go on, read from front to back once; then Settle says what
// has been written meanwhile, and how it is at one instant: as a virtual machine is moved.
// Nothing is preserved, and a first write is the kernel's to resolve: a fraction of a microsecond.
//
// The first Snapshot, Trim or Close ends it, and an ErrUnsettled: what is called after that answers so. A write load that is too much
// for it is an ErrBusy. Its methods are for one goroutine at a time, which must not be a writer inside the gate.
type Live struct {
	a    *Arena
	f    liveRead
	size uint64

	counted bool // in the Stats
}

// liveRead is a Live as its guard has it.
type liveRead interface {
	// read fills p with what is at off now, of which nothing has been read yet.
	read(p []byte, off uint64) error
	// gather protects and keeps what was written since it was read, until little is.
	gather(ctx context.Context) error
	// state is nil, or why it has ended.
	state() error
	// rest keeps what was written since gather of [0, size). Writers are held, and
	// Arena.mu is.
	rest(size uint64) error
	// kept is what has been kept, in that order.
	kept() *keptPages
	close() error
}

// liver is a guard that can do so.
type liver interface {
	// live begins. Arena.mu is held. [0, size) will be read.
	live(size uint64) (liveRead, error)
}

// lives is what an Arena knows of them.
type lives struct {
	count, pages, unsettled uint64
}

// Live begins to read the memory while writers go on. Close it. Errors: ErrClosed; ErrUnsettled
// where that cannot be: the guard is not userfault, the kernel cannot note writes by itself (Linux 6.7),
// Options.Track or HugePages is set, a snapshot is open, or a lazy restore or a fork is not complete.
func (a *Arena) Live() (*Live, error) {
	a.mu.Lock()
	defer a.unlock()
	if a.closed.Load() {
		return nil, ErrClosed
	}
	_ = a.giveBack() // an error is munmap's: memory stays mapped, no more
	g, ok := a.guard.(liver)
	if !ok || a.Guard() != GuardUserfault { // mprotect has one in it, but no second descriptor
		return nil, unsettled("guard %v: %w", a.Guard(), ErrNotSupported)
	}
	size := a.High() &^ (blockSize - 1)
	f, err := g.live(size)
	if err != nil {
		return nil, err
	}
	return &Live{a: a, f: f, size: size}, nil
}

// Size is how many bytes are to be read by ReadAt: the whole blocks of 2 MiB that were in use at the
// beginning. What lies beyond is among those that Settle finds.
func (l *Live) Size() int64 { return int64(l.size) }

// ReadAt reads what is there now, by the rules of io.ReaderAt, but from front to back: nothing
// before what has been read already. A page that is being written to may be read half and half; Settle has it.
func (l *Live) ReadAt(p []byte, off int64) (int, error) {
	if off < 0 {
		return 0, fmt.Errorf("reading live memory at offset %d", off)
	}
	if off >= l.Size() {
		return 0, io.EOF
	}
	n := int(min(int64(len(p)), l.Size()-off))
	if err := l.f.read(p[:n], uint64(off)); err != nil {
		l.count(Settled{}, err)
		return 0, err
	}
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// Settled is the memory at an instant, as far as it differs from what was read.
type Settled struct {
	Size    int64         // of the arena, bytes
	Pages   int64         // that were kept; some several times
	Pause   time.Duration // writers were held
	Waited  time.Duration // before it, for those that were running
	Changed iter.Seq2[int64, []byte]
}

// Settle reads again what was written since it was read, while writers go on, until little is left, and
// that with writers held: the instant. at is called then, when nobody writes. Changed gives all pages, by
// offset and content, that may differ from what ReadAt gave, and all at and beyond Size that may not be zero; of a page that
// comes several times the last one counts. They are valid until Close.
//
// Errors: at's; ErrClosed, ErrUnsettled, the context's.
func (l *Live) Settle(ctx context.Context, at func() error) (s Settled, err error) {
	a := l.a
	defer func() { l.count(s, err) }()
	if err := l.f.gather(ctx); err != nil {
		return s, err
	}
	a.mu.Lock()
	defer a.unlock()
	if a.closed.Load() {
		return s, ErrClosed
	}
	if err := l.f.state(); err != nil {
		return s, err
	}
	start := time.Now()
	release, err := a.opts.hold()()
	if err != nil {
		return s, err
	}
	held := time.Now()
	size := a.al.high()
	if err = l.f.rest(size); err == nil {
		err = at()
	}
	release()
	if err != nil {
		return s, err
	}
	kept := l.f.kept()
	return Settled{
		Size: int64(size), Pages: int64(len(kept.pages)), Changed: kept.below(size),
		Waited: held.Sub(start), Pause: time.Since(held),
	}, nil
}

// count puts how it ended into the Stats.
func (l *Live) count(s Settled, err error) {
	a := l.a
	a.reg.Lock()
	defer a.reg.Unlock()
	switch {
	case err == nil:
		a.lived.count++
		a.lived.pages += uint64(s.Pages)
		a.last = timing{size: uint64(s.Size), waited: s.Waited, pause: s.Pause}
		a.worst.pause = max(a.worst.pause, s.Pause)
		a.worst.waited = max(a.worst.waited, s.Waited)
	case errors.Is(err, ErrUnsettled) && !l.counted:
		a.lived.unsettled++
		l.counted = true
	}
}

// Close ends it and gives back what was kept. It is idempotent.
func (l *Live) Close() error { return l.f.close() }
