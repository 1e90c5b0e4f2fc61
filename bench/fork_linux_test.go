package main

import (
	"bytes"
	"errors"
	"os"
	"os/signal"
	"path/filepath"
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

// TestChildWritesWhatMemoryWasAtTheFork: not what the parent makes of it meanwhile.
func TestChildWritesWhatMemoryWasAtTheFork(t *testing.T) {
	r, err := newRegion(3*blockSize, false)
	if err != nil {
		t.Skip(err)
	}
	defer r.Unmap()
	mem := r.all()
	for i := range mem {
		mem[i] = byte(scramble(uint64(i)))
	}
	want := bytes.Clone(mem[:2*blockSize])
	file, err := os.Create(filepath.Join(t.TempDir(), "file"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	out := &outlet{fd: file.Fd(), pieces: []uintptr{r.Addr(), r.Addr() + blockSize}, size: blockSize}
	c, _, err := forkInto(childWrites, out)
	if err != nil {
		t.Fatal(err)
	}
	clear(mem)
	if err := c.reap(); err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(file.Name()); err != nil || !bytes.Equal(got, want) {
		t.Errorf("%d bytes, the same: %v, error %v", len(got), bytes.Equal(got, want), err)
	}
}

func TestChildThatCannotWriteSaysWhy(t *testing.T) {
	file, err := os.Open(os.DevNull) // for reading
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	mem := make([]byte, pageSize)
	c, _, err := forkInto(childWrites, &outlet{fd: file.Fd(), pieces: []uintptr{addressOf(mem)}, size: pageSize})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.reap(); !errors.Is(err, unix.EBADF) {
		t.Errorf("error %v", err)
	}
}
