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

// chained is the handler that was there before ours, the Go runtime's. The
// trampoline jumps to it; it is written once, before ours is installed.
var chained uint64

var installMu sync.Mutex

// ErrHandlerReplaced: code outside Go's os/signal, cgo most likely, has put its
// own SIGBUS handler over ours.
var ErrHandlerReplaced = errors.New("another SIGBUS handler was installed over cowheap's: install it before the first heap is opened, or chain to the previous one")

// install puts the trampoline in front of the runtime's SIGBUS handler. Only
// the handler field changes: the flags (SA_SIGINFO, SA_ONSTACK, SA_RESTORER),
// the full mask and the restorer stay the runtime's. os/signal never replaces
// it, because SIGBUS is one of the signals that the runtime keeps for itself.
func install() error {
	installMu.Lock()
	defer installMu.Unlock()
	act, err := getAction()
	if err != nil {
		return err
	}
	ours := trampolineAddr()
	if act.handler == ours {
		return nil
	}
	if chained != 0 {
		return ErrHandlerReplaced
	}
	const wantFlags = saSigInfo | saOnStack
	if act.handler <= 1 || act.flags&wantFlags != wantFlags {
		return fmt.Errorf("SIGBUS handler %#x with flags %#x is not the Go runtime's: %w", act.handler, act.flags, ErrHandlerReplaced)
	}
	store64(&chained, act.handler)
	act.handler = ours
	return setAction(&act)
}

// CheckHandler answers ErrHandlerReplaced when SIGBUS no longer comes to us.
// It is asked before every arming: a protection whose faults go elsewhere
// would crash the program at its next write.
func CheckHandler() error {
	act, err := getAction()
	if err != nil {
		return err
	}
	if act.handler != trampolineAddr() {
		return ErrHandlerReplaced
	}
	return nil
}

func getAction() (act sigaction, err error) {
	if _, _, e := unix.RawSyscall6(unix.SYS_RT_SIGACTION, uintptr(unix.SIGBUS), 0, uintptr(unsafe.Pointer(&act)), 8, 0, 0); e != 0 {
		return act, fmt.Errorf("reading the SIGBUS action: %w", e)
	}
	return act, nil
}

func setAction(act *sigaction) error {
	if _, _, e := unix.RawSyscall6(unix.SYS_RT_SIGACTION, uintptr(unix.SIGBUS), uintptr(unsafe.Pointer(act)), 0, 8, 0, 0); e != 0 {
		return fmt.Errorf("installing the SIGBUS handler: %w", e)
	}
	return nil
}
