package arena

import (
	"errors"
	"math/rand/v2"
	"sync"
	"testing"
)

// TestAllocatorUnderConcurrency: goroutines allocate, fill, pass objects on to
// each other and free them, while others look.
func TestAllocatorUnderConcurrency(t *testing.T) {
	const (
		goroutines = 8
		ops        = 20000
	)
	ta := newTestAllocator(t, 256<<20)
	ta.step = 4 << 20 // the fill may look at memory that another goroutine raises
	type object struct {
		off, size uint64
		fill      byte
	}
	passed := make(chan object, 1000)
	verify := func(o object) {
		for i, b := range ta.mapping.Bytes(o.off, o.size) {
			if b != o.fill {
				t.Errorf("byte %d of the object of %d at %#x is %#x, not %#x", i, o.size, o.off, b, o.fill)
				return
			}
		}
		if err := ta.free(o.off); err != nil {
			t.Error(err)
		}
	}
	var workers, watchers sync.WaitGroup
	for g := range goroutines {
		workers.Go(func() {
			r := rand.New(rand.NewPCG(uint64(g), 21))
			for i := range ops {
				size := sizeMixes[1].size(r)
				if i%500 == 0 {
					size = 1 << 20
				}
				off, err := ta.alloc(size, 0)
				if errors.Is(err, ErrFull) {
					t.Error(err)
					return
				}
				b := ta.mapping.Bytes(off, size)
				o := object{off, size, byte(g<<4 | i&15 | 1)}
				for i := range b {
					if b[i] != 0 {
						t.Errorf("byte %d of the object of %d at %#x is not zero", i, size, off)
						return
					}
					b[i] = o.fill
				}
				select {
				case passed <- o:
				default:
					verify(o)
				}
				select {
				case o := <-passed:
					if r.IntN(2) == 0 {
						verify(o)
					} else if err := ta.free(o.off); err != nil {
						t.Error(err)
					}
				default:
				}
			}
		})
	}
	done := make(chan struct{})
	watchers.Go(func() {
		high := uint64(0)
		for {
			select {
			case <-done:
				return
			default:
			}
			if now := ta.high(); now < high {
				t.Errorf("high went from %d to %d", high, now)
			} else {
				high = now
			}
			wantNothing := 0
			for err := range ta.check() {
				if wantNothing++; wantNothing < 5 {
					t.Error(err)
				}
			}
			if _, err := ta.sizeOf(8); err == nil {
				t.Error("sizeOf(8) is no error")
			}
		}
	})
	workers.Wait()
	close(done)
	watchers.Wait()
	close(passed)
	for o := range passed {
		verify(o)
	}
	wantClean(t, ta)
	if b, n := ta.inUse(); b != 0 || n != 0 {
		t.Errorf("everything was freed: %d bytes in %d objects", b, n)
	}
}
