//go:build linux && amd64

package trap

import (
	"runtime/debug"
	"sync"
	"sync/atomic"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/cowheap/cowheap/internal/uffd"
	"github.com/cowheap/cowheap/internal/vm"
)

// Two that wait at the same time must not turn the phase under each other, so that
// one of them looks at the same counter twice.
func TestSynchronizeWaitsForBothCountersAlsoBesideAnother(t *testing.T) {
	parent, child := newRig(t, 1, 16), newRig(t, 1, 16)
	tab := parent.snapshot()
	defer parent.drop(tab)
	if err := child.h.AttachParent(parent.h, tab, blockPages); err != nil {
		t.Fatal(err)
	}
	im := child.h.image.im
	// A resolver that read the phase long ago and counts only now is in either.
	store64(&im.readers[0], 1)
	store64(&im.readers[1], 1)
	var returned atomic.Int32
	var both sync.WaitGroup
	for range 2 {
		both.Go(func() {
			child.h.Synchronize()
			returned.Add(1)
		})
		time.Sleep(10 * time.Millisecond)
	}
	store64(&im.readers[0], 0)
	time.Sleep(50 * time.Millisecond)
	if returned.Load() > 0 {
		t.Error("it did not wait for a resolver that is still inside")
	}
	store64(&im.readers[1], 0)
	both.Wait()
}

// The resolver of a fork has found nothing in the Table of its snapshot, and is descheduled before it
// looks into the next one. Meanwhile one of the parent's that is late saves the page below, for a
// write outside the gate, and somebody saves it above, as it is then.
func TestForkThatIsLateTakesTheOlderOfTwoPreservedPages(t *testing.T) {
	parent, child := newRig(t, 1, 16), newRig(t, 1, 16)
	parent.force(1)
	*parent.word(3, 0) = 7
	below := parent.snapshot()
	above := parent.onTop(below)
	above.SetBelow(nil) // it has a snapshot of its own
	if err := child.h.AttachParent(parent.h, below, blockPages); err != nil {
		t.Fatal(err)
	}
	defer debug.SetGCPercent(debug.SetGCPercent(-1)) // nobody may stop the world while it waits in a page fault
	entries := uintptr(unsafe.Pointer(above)) + tableHeader
	fd, err := uffd.Open(0)
	if err != nil {
		t.Fatal(err)
	}
	defer fd.Close()
	if err := fd.Register(entries, pageSize, uffd.ModeMissing); err != nil {
		t.Fatal(err)
	}
	b := child.h.image.bounce.Bytes(0, pageSize)
	var late sync.WaitGroup
	late.Go(func() { child.h.image.im.copyAsOf(uint64(vm.AddrOf(b)), 3) })
	for n := 0; n <= 0; time.Sleep(time.Millisecond) {
		n, _ = unix.Read(fd.Fd(), make([]byte, 32))
	}
	if _, err := fd.Copy(entries, uintptr(child.h.image.im.zeros), pageSize, uffd.CopyDontWake); err != nil {
		t.Fatal(err)
	}
	parent.h.Publish(below) // what the late one has read
	*parent.word(3, 0) = 8
	parent.h.Publish(above)
	if err := parent.fd.Protect(parent.mem.Addr(), blockPages*pageSize); err != nil {
		t.Fatal(err)
	}
	*parent.word(3, 0) = 9
	if below.Preserved() != 1 || above.Preserved() != 1 {
		t.Fatalf("%d and %d pages preserved, want one each", below.Preserved(), above.Preserved())
	}
	if err := fd.Wake(entries, pageSize); err != nil {
		t.Fatal(err)
	}
	late.Wait()
	if b[0] != 7 {
		t.Errorf("the fork has %d, want 7", b[0])
	}
	parent.takeOff(above, below)
	parent.drop(below)
}

// A thread has brought a page of zeros in, and is descheduled before it says so. Until
// somebody has said so, a fork takes it for zeros: it is not lifted along with others.
func TestPageThatCountsAsMissingIsNotLiftedAlong(t *testing.T) {
	parent, child := newRig(t, 1, 64), newRig(t, 1, 16)
	if err := parent.fd.Register(parent.mem.Addr(), blockPages*pageSize, uffd.ModeMissing|uffd.ModeWP); err != nil {
		t.Fatal(err)
	}
	if err := parent.h.AttachImage(ImageConfig{Pages: blockPages, Index: []uint64{0}}); err != nil {
		t.Fatal(err)
	}
	const late = 10
	for p := range uint64(blockPages) {
		if n := parent.h.r.copyPagesIn(p, 1, parent.h.image.im.zeros); n != 1 {
			t.Fatalf("page %d: %#x", p, n)
		}
		if p != late {
			parent.h.MarkPresent(p, 1)
		}
	}
	parent.h.StartLog()
	for p := range uint64(2 * late) { // in order: runs become longer
		*parent.word(p, 0) = 7
	}
	tab := parent.snapshot()
	defer parent.drop(tab)
	if err := child.h.AttachParent(parent.h, tab, blockPages); err != nil {
		t.Fatal(err)
	}
	b := child.h.image.bounce.Bytes(0, pageSize)
	child.h.image.im.copyAsOf(uint64(vm.AddrOf(b)), late)
	if b[0] != 7 {
		t.Errorf("the fork has %d, want 7", b[0])
	}
}

// Between two steps of whoever ends a lazy restore no page is missing to the kernel, and all
// that are not in still count as such.
func TestBringInWhereMissingFaultsHaveEnded(t *testing.T) {
	g := newRig(t, 1, 16)
	if err := g.fd.Register(g.mem.Addr(), blockPages*pageSize, uffd.ModeMissing|uffd.ModeWP); err != nil {
		t.Fatal(err)
	}
	if err := g.h.AttachImage(ImageConfig{Pages: blockPages, Index: []uint64{0}}); err != nil {
		t.Fatal(err)
	}
	if err := g.h.BringIn(0, 1); err != nil {
		t.Fatal(err)
	}
	g.h.ForgetFile()
	if err := g.fd.Unregister(g.mem.Addr(), blockPages*pageSize); err != nil {
		t.Fatal(err)
	}
	if err := g.h.BringIn(0, blockPages); err != nil {
		t.Error(err)
	}
}

// Who comes while the file is being forgotten is not waited for, so it must not look at
// the file any more: the index is empty before the waiting begins.
func TestFileIsForgottenByThoseWhoComeMeanwhile(t *testing.T) {
	g := newRig(t, 1, 16)
	if err := g.h.AttachImage(ImageConfig{FD: -1, Pages: blockPages, Index: []uint64{pageSize}}); err != nil {
		t.Fatal(err)
	}
	im := g.h.image.im
	early := g.h.r.arrive()
	var forgotten sync.WaitGroup
	forgotten.Go(g.h.ForgetFile)
	for load64(&im.phase) == 0 {
		time.Sleep(time.Millisecond)
	}
	if at := load64(word64(im.index)); at != 0 {
		t.Errorf("who comes now reads the file at %d", at)
	}
	add64(word64(early), ^uint64(0))
	forgotten.Wait()
}
