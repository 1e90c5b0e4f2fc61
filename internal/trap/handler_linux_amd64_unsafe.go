//go:build linux && amd64

package trap

import (
	"errors"
	"fmt"
	"sync"
	"unsafe"

	"golang.org/x/sys/unix"
)

// sigaction is struct kernel_sigaction of asm/signal.h.
type sigaction struct {
	handler  uint64
	flags    uint64
	restorer uint64
	mask     uint64
}

const (
	saSigInfo = 0x4
	saOnStack = 0x08000000
)

// chained is the SIGBUS handler that was there before ours, the Go runtime's, and
// chainedSegv that for SIGSEGV. The trampoline jumps there; each is written once,
// before ours is installed.
var chained, chainedSegv uint64

var installMu sync.Mutex

// ErrHandlerReplaced: code outside Go's os/signal, cgo most likely, has put its
// own SIGBUS (or SIGSEGV) handler over ours.
var ErrHandlerReplaced = errors.New("another SIGBUS or SIGSEGV handler was installed over cowheap's: install it before the first heap is opened, or chain to the previous one")

// install puts the trampoline in front of the runtime's handler of sig. Only
// the handler field changes: the flags (SA_SIGINFO, SA_ONSTACK, SA_RESTORER),
// the full mask and the restorer stay the runtime's. os/signal never replaces
// it, because both are among the signals that the runtime keeps for itself.
func install(sig unix.Signal) error {
	installMu.Lock()
	defer installMu.Unlock()
	act, err := getAction(sig)
	if err != nil {
		return err
	}
	ours := trampolineAddr()
	if act.handler == ours {
		return nil
	}
	before := &chained
	if sig == unix.SIGSEGV {
		before = &chainedSegv
	}
	if *before != 0 {
		return ErrHandlerReplaced
	}
	if err := act.isGo(sig); err != nil {
		return err
	}
	store64(before, act.handler)
	act.handler = ours
	return setAction(sig, &act)
}

// isGo answers ErrHandlerReplaced when this is not how the runtime installs its handler.
func (a *sigaction) isGo(sig unix.Signal) error {
	const wantFlags = saSigInfo | saOnStack
	if a.handler <= 1 || a.flags&wantFlags != wantFlags {
		return fmt.Errorf("%v handler %#x with flags %#x is not the Go runtime's: %w", unix.SignalName(sig), a.handler, a.flags, ErrHandlerReplaced)
	}
	return nil
}

// CheckChainable answers ErrHandlerReplaced when the trampoline cannot be put in front
// of the handler of sig.
func CheckChainable(sig unix.Signal) error {
	act, err := getAction(sig)
	if err != nil {
		return err
	}
	return act.isGo(sig)
}

// signal is what a fault in the range is.
func (c *Config) signal() unix.Signal {
	if c.Chunk != 0 {
		return unix.SIGSEGV
	}
	return unix.SIGBUS
}

// CheckHandler answers ErrHandlerReplaced when the signal no longer comes to us.
// It is asked before every arming: a protection whose faults go elsewhere
// would crash the program at its next write.
func (h *Handle) CheckHandler() error {
	act, err := getAction(unix.Signal(load64(&h.entry.signal)))
	if err != nil {
		return err
	}
	if act.handler != trampolineAddr() {
		return ErrHandlerReplaced
	}
	return nil
}

func getAction(sig unix.Signal) (act sigaction, err error) {
	if _, _, e := unix.RawSyscall6(unix.SYS_RT_SIGACTION, uintptr(sig), 0, uintptr(unsafe.Pointer(&act)), 8, 0, 0); e != 0 {
		return act, fmt.Errorf("reading the %v action: %w", unix.SignalName(sig), e)
	}
	return act, nil
}

func setAction(sig unix.Signal, act *sigaction) error {
	if _, _, e := unix.RawSyscall6(unix.SYS_RT_SIGACTION, uintptr(sig), uintptr(unsafe.Pointer(act)), 0, 8, 0, 0); e != 0 {
		return fmt.Errorf("installing the %v handler: %w", unix.SignalName(sig), e)
	}
	return nil
}
