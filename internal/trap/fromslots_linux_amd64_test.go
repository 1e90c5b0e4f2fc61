package trap

import (
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/cowheap/cowheap/internal/uffd"
	"github.com/cowheap/cowheap/internal/vm"
)

// Slots that follow each other come in together, others by themselves, each page with its own content.
func TestPagesComeFromTheirSlots(t *testing.T) {
	const pages, slots = blockPages + 100, 200
	mem, err := vm.Map((slots + 1) * pageSize)
	if err != nil {
		t.Fatal(err)
	}
	defer mem.Unmap()
	for slot := range uint64(slots + 1) { // slot 0 must not be read
		b := mem.Bytes(slot*pageSize, pageSize)
		b[0], b[pageSize-1] = byte(slot), byte(^slot)
	}
	mem.Bytes(0, 1)[0] = 0xee
	for _, how := range []string{"in order", "backwards", "by several", "in bulk"} {
		t.Run(how, func(t *testing.T) {
			g := newRig(t, 2, 16)
			if err := g.fd.Register(g.mem.Addr(), pages*pageSize, uffd.ModeMissing|uffd.ModeWP); err != nil {
				t.Fatal(err)
			}
			slotOf, err := g.h.AttachSlots(mem.Addr(), pages)
			if err != nil {
				t.Fatal(err)
			}
			rng := rand.New(rand.NewPCG(1, 2))
			for page := 0; page < pages; {
				n := 1 + rng.IntN(40) // runs of slots, of zeros, and neither
				for i := range min(n, pages-page) {
					switch n % 3 {
					case 0:
						slotOf[page+i] = uint32(1 + n + i)
					case 1:
						slotOf[page+i] = uint32(1 + rng.IntN(slots))
					}
				}
				page += n
			}
			check := func(page uint64) {
				var want [2]byte
				if slot := slotOf[page]; slot != 0 {
					want = [2]byte{byte(slot), byte(^slot)}
				}
				b := g.bytes()[page*pageSize:]
				if got := [2]byte{b[0], b[pageSize-1]}; got != want {
					t.Errorf("page %d of slot %d holds %v", page, slotOf[page], got)
				}
			}
			if p, ok := g.h.Brought(0, 2*blockPages); !ok || p != pages {
				t.Errorf("page %d (%v) is said to be in, nothing is below %d", p, ok, pages)
			}
			var all sync.WaitGroup
			switch how {
			case "in order":
				for page := range uint64(pages) {
					check(page)
				}
			case "backwards":
				for page := range uint64(pages) {
					check(pages - 1 - page)
				}
			case "by several":
				for k := range uint64(4) {
					all.Go(func() {
						for page := range uint64(pages) {
							check((page*uint64(1+2*k) + k*50) % pages)
						}
						for page := range uint64(pages) {
							check(page)
						}
					})
				}
			case "in bulk":
				if err := g.h.BringIn(0, pages); err != nil {
					t.Fatal(err)
				}
				for page := range uint64(pages) {
					check(page)
				}
			}
			all.Wait()
			if in, of := g.h.Present(); in != pages || of != pages {
				t.Errorf("%d of %d pages are in", in, of)
			}
			if how == "in order" && g.h.Stats().Missing > pages*3/4 {
				t.Errorf("%d faults for %d pages in order", g.h.Stats().Missing, pages)
			}
		})
	}
}

// Forgotten slots are not read any more: what is missing is zero.
func TestForgottenSlotsAreZero(t *testing.T) {
	mem, err := vm.Map(16 * pageSize)
	if err != nil {
		t.Fatal(err)
	}
	g := newRig(t, 1, 16)
	if err := g.fd.Register(g.mem.Addr(), uintptr(g.mem.Size()), uffd.ModeMissing|uffd.ModeWP); err != nil {
		t.Fatal(err)
	}
	slotOf, err := g.h.AttachSlots(mem.Addr(), blockPages)
	if err != nil {
		t.Fatal(err)
	}
	for i := range slotOf {
		slotOf[i] = 1 + uint32(i)%15
	}
	mem.Bytes(pageSize, 1)[0] = 7
	if *g.word(0, 0) != 7 {
		t.Error("page 0 did not come from its slot")
	}
	g.h.ForgetFile()
	if err := mem.Unmap(); err != nil {
		t.Fatal(err)
	}
	for page := uint64(1); page < blockPages; page++ {
		if *g.word(page, 0) != 0 {
			t.Fatalf("page %d is not zero", page)
		}
	}
	if p, ok := g.h.Brought(3, 100); !ok || p != 3 {
		t.Errorf("Brought: %d, %v", p, ok)
	}
}
