//go:build linux && amd64

package trap

import (
	"testing"
	"unsafe"

	"github.com/cowheap/cowheap/internal/uffd"
	"github.com/cowheap/cowheap/internal/vm"
)

// rig is the least that faults can be resolved in: a committed reservation, a
// userfaultfd, a Handle.
type rig struct {
	t   testing.TB
	mem vm.Mapping
	fd  *uffd.FD
	h   *Handle
	seq uint64
}

func newRig(t testing.TB, blocks, slots uint64) *rig {
	t.Helper()
	fd, err := uffd.Open(uffd.FeatureSIGBUS | uffd.FeatureWPUnpopulated | uffd.FeatureWriteProtect | uffd.FeaturePoison)
	if err != nil {
		t.Skip(err)
	}
	size := blocks * blockPages * pageSize
	mem, err := vm.Reserve(size, blockPages*pageSize)
	if err != nil {
		t.Fatal(err)
	}
	g := &rig{t: t, mem: mem, fd: fd}
	t.Cleanup(func() {
		if g.h != nil {
			if err := g.h.Close(); err != nil {
				t.Error(err)
			}
		}
		if err := mem.Unmap(); err != nil {
			t.Error(err)
		}
		if err := fd.Close(); err != nil {
			t.Error(err)
		}
	})
	if err := mem.HugePages(false); err != nil {
		t.Fatal(err)
	}
	if err := mem.Commit(0, size); err != nil {
		t.Fatal(err)
	}
	if err := fd.Register(mem.Addr(), uintptr(size), uffd.ModeWP); err != nil {
		t.Fatal(err)
	}
	g.h, err = New(Config{FD: fd.Fd(), Start: mem.Addr(), Size: size, MaxSlots: slots})
	if err != nil {
		t.Fatal(err)
	}
	if err := g.h.SetLimit(slots); err != nil {
		t.Fatal(err)
	}
	return g
}

// snapshot publishes a Table for everything and protects everything.
func (g *rig) snapshot() *Table {
	g.t.Helper()
	g.seq++
	tab, err := NewTable(g.seq, g.mem.Size()/pageSize)
	if err != nil {
		g.t.Fatal(err)
	}
	tab.Raise()
	g.h.Publish(tab)
	g.h.Drain()
	g.h.BeginArming()
	if err := g.fd.Protect(g.mem.Addr(), uintptr(g.mem.Size())); err != nil {
		g.t.Fatal(err)
	}
	if page, pc, torn := tab.Settle(); torn {
		g.t.Fatalf("torn by a write to page %d at pc %#x", page, pc)
	}
	return tab
}

// drop ends the only snapshot.
func (g *rig) drop(tab *Table) {
	g.h.Publish(nil)
	g.h.Drain()
	g.h.FreeSlots(tab)
	if err := tab.Unmap(); err != nil {
		g.t.Fatal(err)
	}
}

// onTop puts a Table without a snapshot on top of the newest one.
func (g *rig) onTop(newest *Table) (top *Table) {
	g.t.Helper()
	g.seq++
	top, err := NewTable(g.seq, newest.pages)
	if err != nil {
		g.t.Fatal(err)
	}
	top.SetBelow(newest)
	newest.SetAbove(top)
	g.h.Publish(top)
	return top
}

// takeOff ends what onTop began.
func (g *rig) takeOff(top, below *Table) {
	g.t.Helper()
	g.h.Publish(below)
	g.h.Drain()
	g.h.FreeSlots(top)
	below.SetAbove(nil)
	if err := top.Unmap(); err != nil {
		g.t.Fatal(err)
	}
}

func (g *rig) bytes() []byte { return g.mem.Bytes(0, g.mem.Size()) }

func (g *rig) word(page, i uint64) *uint64 {
	return (*uint64)(unsafe.Add(g.mem.Base(), page*pageSize+i*8))
}

// asOf is page's first word as of tab.
func (g *rig) asOf(tab *Table, page uint64) uint64 {
	live := *g.word(page, 0)
	if s, ok := tab.Slot(page); ok {
		return g.slotWord(s)
	}
	return live
}

// slotWord is the first word of a slot.
func (g *rig) slotWord(slot uint64) uint64 {
	return *(*uint64)(unsafe.Pointer(&g.h.SlotBytes(slot)[0]))
}

func (g *rig) protect(page, n uint64) {
	g.t.Helper()
	if err := g.fd.Protect(g.mem.Addr()+uintptr(page*pageSize), uintptr(n*pageSize)); err != nil {
		g.t.Fatal(err)
	}
}

func (g *rig) force(pages uint64) {
	if err := g.h.Force(pages); err != nil {
		g.t.Fatal(err)
	}
}
