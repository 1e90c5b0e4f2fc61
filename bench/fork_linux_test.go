package main

import (
	"os"
	"os/signal"
	"runtime"
	"sync"
	"testing"

	"golang.org/x/sys/unix"
)

func TestChildrenLeaveAndAreReaped(t *testing.T) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	for range 20 {
		c, took, err := fork(childLeaves)
		if err != nil {
			t.Fatal(err)
		}
		if took <= 0 {
			t.Errorf("the fork took %v", took)
		}
		if err := c.reap(); err != nil {
			t.Error(err)
		}
		if err := unix.Kill(c.pid, 0); err != unix.ESRCH {
			t.Errorf("child %d is still there: %v", c.pid, err)
		}
	}
}

func TestChildStaysUntilKilledAndKeepsItsMemory(t *testing.T) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	c, _, err := fork(childStays)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.settle(); err != nil {
		t.Error(err)
	}
	// Signals that would run a handler of this process must not.
	if err := unix.Kill(c.pid, unix.SIGTERM); err != nil {
		t.Error(err)
	}
	if err := c.settle(); err != nil {
		t.Error(err)
	}
	if err := c.kill(); err != nil {
		t.Error(err)
	}
	if err := unix.Kill(c.pid, 0); err != unix.ESRCH {
		t.Errorf("child %d is still there: %v", c.pid, err)
	}
}

// TestForksInABusyProcess: the parent goes on as if nothing had been, while
// other goroutines allocate, collect garbage and take signals.
func TestForksInABusyProcess(t *testing.T) {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, unix.SIGUSR1)
	defer signal.Stop(signals)
	done := make(chan struct{})
	var others sync.WaitGroup
	for range 3 {
		others.Go(func() {
			for kept := [][]byte(nil); ; kept = append(kept, make([]byte, 4096)) {
				select {
				case <-done:
					return
				case <-signals:
				default:
				}
				if len(kept) > 1000 {
					kept = nil
					_ = unix.Kill(os.Getpid(), unix.SIGUSR1)
					runtime.GC()
				}
			}
		})
	}
	others.Go(func() {
		defer close(done)
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		for range 100 {
			c, _, err := fork(childLeaves)
			if err != nil {
				t.Error(err)
				return
			}
			if err := c.reap(); err != nil {
				t.Error(err)
			}
		}
	})
	others.Wait()
}

func TestForkLeavesSignalsAsTheyWere(t *testing.T) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var before, after unix.Sigset_t
	if err := unix.PthreadSigmask(unix.SIG_BLOCK, nil, &before); err != nil {
		t.Fatal(err)
	}
	c, _, err := fork(childLeaves)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.reap(); err != nil {
		t.Error(err)
	}
	if err := unix.PthreadSigmask(unix.SIG_BLOCK, nil, &after); err != nil || before != after {
		t.Errorf("blocked before %v, after %v, error %v", before, after, err)
	}
}
