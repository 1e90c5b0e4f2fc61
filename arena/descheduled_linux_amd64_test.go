package arena

import (
	"bytes"
	"errors"
	"runtime"
	"runtime/debug"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/cowheap/cowheap/internal/uffd"
	"github.com/cowheap/cowheap/internal/vm"
)

// stall makes the next resolver wait where it saves a page, as if it were descheduled there, until
// release is called: the memory of the slots that are ready comes from a userfaultfd that
// nobody answers. The collector is off meanwhile, because such a thread does not stop for it.
func stall(t *testing.T, a *Arena) (release func()) {
	t.Helper()
	h := a.guard.(*userfault).h
	ready := vm.AddrOf(h.SlotBytes(0))
	n := uintptr(h.Warm()) * pageSize
	fd, err := uffd.Open(0)
	if err != nil {
		t.Fatal(err)
	}
	for slot := range h.Warm() {
		if err := syscall.Madvise(h.SlotBytes(slot), syscall.MADV_DONTNEED); err != nil {
			t.Fatal(err)
		}
	}
	percent, processors := debug.SetGCPercent(-1), runtime.GOMAXPROCS(4)
	runtime.GC() // none is under way
	if err := fd.Register(ready, n, uffd.ModeMissing); err != nil {
		t.Fatal(err)
	}
	return func() {
		if err := errors.Join(fd.Unregister(ready, n), fd.Close()); err != nil {
			t.Error(err)
		}
		runtime.GOMAXPROCS(processors)
		debug.SetGCPercent(percent)
	}
}

// eventually waits until is answers true.
func eventually(t *testing.T, is func() bool) {
	t.Helper()
	for end := time.Now().Add(5 * time.Second); !is(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("it does not come to that")
		}
	}
}

// Writers that ignore the gate spoil the snapshot that is being taken. Those that are open
// stay as they are, also while somebody is still in the resolver who came before it.
func TestWriteWhileHeldLeavesOpenSnapshotsAlone(t *testing.T) {
	a := userfaultArena(t, Options{FaultPages: 1, Arming: ArmWholesale})
	b := alloc(t, a, 8*pageSize)
	fill(b, 1)
	open := snapshot(t, a)
	want := content(t, open)
	got := make([]byte, len(want))
	release := sync.OnceFunc(stall(t, a))
	defer release()
	var wg sync.WaitGroup
	wg.Go(func() { b[0] = 2 })
	eventually(t, func() bool { return a.Stats().PreservedPages == 1 })
	warm := a.guard.(*userfault).h.Warm()
	wg.Go(func() {
		if _, err := a.Snapshot(); !errors.Is(err, ErrConcurrentWrite) {
			t.Errorf("%v, want ErrConcurrentWrite", err)
		}
	})
	// It has made another slot ready, which does not make anybody wait; soon it waits for the one inside.
	eventually(t, func() bool { return a.guard.(*userfault).h.Warm() > warm })
	time.Sleep(20 * time.Millisecond)
	b[2*pageSize] = 2
	if _, err := open.ReadAt(got, 0); err != nil {
		t.Error(err)
	}
	release()
	wg.Wait()
	if !bytes.Equal(got, want) {
		t.Error("the open snapshot shows what was written after it")
	}
	if err := open.Close(); err != nil {
		t.Error(err)
	}
}
