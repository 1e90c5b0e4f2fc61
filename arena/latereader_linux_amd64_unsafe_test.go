//go:build linux && amd64

package arena

import (
	"errors"
	"runtime"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/cowheap/cowheap/internal/uffd"
	"github.com/cowheap/cowheap/internal/vm"
)

// A reader has found nothing in the table of its snapshot, and is descheduled before it looks
// into that of the next one, which is being taken. Meanwhile a late resolver saves the
// page below, for a write outside the gate, and after it somebody saves it above, as it is then.
// The older snapshot is what it was, also to this reader.
func TestReaderThatIsLateTakesTheOlderOfTwoPreservedPages(t *testing.T) {
	a := userfaultArena(t, Options{FaultPages: 1, Arming: ArmWholesale})
	g := a.guard.(*userfault)
	b := alloc(t, a, 8*pageSize)
	word := wordAt(b, 0)
	*word = 1
	open := snapshot(t, a)
	defer open.Close()
	got, off := make([]byte, pageSize), int64(a.High())-8*pageSize

	// Nobody may stop the world while the reader waits in a page fault.
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	var wg sync.WaitGroup
	defer wg.Wait()
	release := sync.OnceFunc(stall(t, a))
	defer release()
	wg.Go(func() { atomic.StoreUint64(word, 2) }) // the late one
	eventually(t, func() bool { return a.Stats().PreservedPages == 1 })
	written := make(chan struct{})
	a.opts.Hold = func() (func(), error) {
		return func() { // nobody is inside now, everything is protected, the table has not been merged
			atomic.StoreUint64(word, 3)
			close(written)
		}, nil
	}
	g.protector = lateProtector{g.protector, func() bool { return atomic.LoadUint64(word) == 2 }}
	wg.Go(func() {
		if _, err := a.Snapshot(); !errors.Is(err, ErrConcurrentWrite) {
			t.Errorf("%v, want ErrConcurrentWrite", err)
		}
	})
	eventually(t, func() bool { return len(*g.chain.Load()) == 2 })

	// The reader waits where it looks into the new table; the resolver does not.
	entries := uintptr(unsafe.Pointer((*g.chain.Load())[1].tab)) + pageSize
	fd, err := uffd.Open(0)
	if err != nil {
		t.Fatal(err)
	}
	defer fd.Close()
	if err := fd.Register(entries, pageSize, uffd.ModeMissing); err != nil {
		t.Fatal(err)
	}
	wg.Go(func() {
		if _, err := open.ReadAt(got, off); err != nil {
			t.Error(err)
		}
	})
	eventually(t, func() bool {
		n, _ := unix.Read(fd.Fd(), make([]byte, 32))
		return n > 0
	})
	if _, err := fd.Copy(entries, vm.AddrOf(zeroPage[:]), pageSize, uffd.CopyDontWake); err != nil {
		t.Fatal(err)
	}
	release()
	<-written
	if err := fd.Wake(entries, pageSize); err != nil {
		t.Fatal(err)
	}
	wg.Wait()
	if v := *wordAt(got, 0); v != 1 {
		t.Errorf("the older snapshot shows %d, want 1", v)
	}
}

// lateProtector protects after a write that does not keep to the gate.
type lateProtector struct {
	protector
	is func() bool
}

func (p lateProtector) instant(size uint64) {
	for !p.is() {
		runtime.Gosched()
	}
	p.protector.instant(size)
}
