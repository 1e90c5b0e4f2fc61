package main

import (
	"bytes"
	"fmt"
	"os"
	"runtime"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// A fork of a Go process leaves a child in which one thread runs and all others
// are gone, with whatever locks they held. It cannot run Go code: the scheduler,
// the allocator and stack growth may wait for a thread that does not exist. What
// it may do is what the child of os/exec does before exec: raw system calls from a
// function that never returns. That is all a fork is needed for here, because
// what costs is the parent's.

// What a child does.
const (
	childLeaves = iota // at once
	childStays         // until it is killed, or the thread that made it is gone
	childWrites        // what its outlet says, and leaves with the number of the error
)

// outlet is what a child that writes writes, and where to.
type outlet struct {
	fd     uintptr   // of a file, which is fsynced
	pieces []uintptr // addresses of memory
	size   uintptr   // bytes of each
}

// forkRaw makes a child. It returns in the parent only.
//
// Preconditions: all signals are blocked, or the child would run the Go
// runtime's handlers; the goroutine is locked to its thread.
//
//go:nosplit
//go:norace
func forkRaw(life int, out *outlet) (pid int, errno syscall.Errno) {
	// clone with no flags but the signal at the end is fork, and there is no other
	// name for it on arm64. The stack stays where it is, in a copy of the memory.
	r, _, errno := syscall.RawSyscall6(unix.SYS_CLONE, uintptr(unix.SIGCHLD), 0, 0, 0, 0, 0)
	if errno != 0 || r != 0 {
		return int(r), errno
	}
	if life == childStays {
		syscall.RawSyscall6(unix.SYS_PRCTL, unix.PR_SET_PDEATHSIG, uintptr(unix.SIGKILL), 0, 0, 0, 0)
		for {
			syscall.RawSyscall6(unix.SYS_PPOLL, 0, 0, 0, 0, 0, 0) // of nothing, for ever
		}
	}
	status := uintptr(0)
	if life == childWrites {
		syscall.RawSyscall6(unix.SYS_PRCTL, unix.PR_SET_PDEATHSIG, uintptr(unix.SIGKILL), 0, 0, 0, 0)
		status = uintptr(writeRaw(out))
	}
	for {
		syscall.RawSyscall6(unix.SYS_EXIT_GROUP, status, 0, 0, 0, 0, 0)
	}
}

// writeRaw is what a child does that writes.
//
//go:nosplit
//go:norace
func writeRaw(out *outlet) syscall.Errno {
	for _, piece := range out.pieces {
		for left := out.size; left > 0; {
			n, _, errno := syscall.RawSyscall6(unix.SYS_WRITE, out.fd, piece+out.size-left, left, 0, 0, 0)
			if errno != 0 {
				return errno // all signals are blocked, so it is not EINTR
			}
			if n == 0 {
				return unix.EIO
			}
			left -= n
		}
	}
	_, _, errno := syscall.RawSyscall6(unix.SYS_FSYNC, out.fd, 0, 0, 0, 0, 0)
	return errno
}

// fork makes a child, and says how long the parent was in the call.
//
// Preconditions: the goroutine stays locked to its thread as long as it wants a
// child that stays or writes.
func fork(life int) (child, time.Duration, error) { return forkInto(life, nil) }

// forkInto is fork for a child that writes, too.
func forkInto(life int, out *outlet) (child, time.Duration, error) {
	var all, old unix.Sigset_t
	for i := range all.Val {
		all.Val[i] = ^all.Val[i]
	}
	// A thread that this goroutine left behind with its signals blocked would be
	// killed by the first fault in an arena.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := unix.PthreadSigmask(unix.SIG_SETMASK, &all, &old); err != nil {
		return child{}, 0, fmt.Errorf("blocking signals: %w", err)
	}
	start := time.Now()
	pid, errno := forkRaw(life, out)
	took := time.Since(start)
	err := unix.PthreadSigmask(unix.SIG_SETMASK, &old, nil)
	if errno != 0 {
		return child{}, 0, fmt.Errorf("forking this process: %w", errno)
	}
	return child{pid}, took, err
}

// child is a process that is to be waited for.
type child struct{ pid int }

// settle waits until a child that stays has come to rest, so that it does not
// run beside what is measured.
func (c child) settle() error {
	name := fmt.Sprintf("/proc/%d/stat", c.pid)
	for deadline := time.Now().Add(time.Second); ; runtime.Gosched() {
		stat, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		// The name in brackets may hold anything; the state is behind it.
		if i := bytes.LastIndexByte(stat, ')'); i >= 0 && bytes.HasPrefix(stat[i:], []byte(") S")) {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("the child does not come to rest: %s", stat)
		}
	}
}

// kill ends a child that stays, and reaps it.
func (c child) kill() error {
	if err := unix.Kill(c.pid, unix.SIGKILL); err != nil {
		return fmt.Errorf("ending the child: %w", err)
	}
	_, err := c.wait()
	return err
}

// wait reaps a child.
func (c child) wait() (unix.WaitStatus, error) {
	var status unix.WaitStatus
	for {
		_, err := unix.Wait4(c.pid, &status, 0, nil)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return status, fmt.Errorf("waiting for the child: %w", err)
		}
		return status, nil
	}
}

// reap waits for a child that leaves by itself. Any other end means that the
// fork is not what it is taken for.
func (c child) reap() error {
	status, err := c.wait()
	switch {
	case err != nil:
		return err
	case !status.Exited():
		return fmt.Errorf("the child ended with status %#x", int(status))
	case status.ExitStatus() != 0:
		return fmt.Errorf("the child could not write: %w", syscall.Errno(status.ExitStatus()))
	}
	return nil
}
