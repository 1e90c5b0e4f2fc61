package arena

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// noCache stands for the lock where the number of a cache is expected.
const noCache = -1

// allocBy allocates by cache n, which nobody else uses.
func (ta *testAllocator) allocBy(n int, size, align uint64) (uint64, error) {
	if n == noCache {
		return ta.alloc(size, align)
	}
	c := ta.caches[n].lease()
	defer c.Release()
	return c.alloc(size, align)
}

func (ta *testAllocator) freeBy(n int, off uint64) error {
	if n == noCache {
		return ta.free(off)
	}
	c := ta.caches[n].lease()
	defer c.Release()
	return c.free(off)
}

// TestLeaseGivesTheSameCache: slot 0 always has cache 0, and who finds none goes without.
func TestLeaseGivesTheSameCache(t *testing.T) {
	ta := newTestAllocator(t, 1<<20)
	zero := ta.lease(0)
	if zero == nil || zero.n != 0 {
		t.Fatalf("lease(0) is %v", zero)
	}
	if c := ta.lease(0); c != nil {
		t.Fatalf("cache %d was leased twice", c.n)
	}
	seen := map[int]bool{0: true}
	for slot := 1; slot < 1000; slot++ {
		if c := ta.lease(slot); c != nil {
			if seen[c.n] {
				t.Fatalf("cache %d was leased twice", c.n)
			}
			seen[c.n] = true
		}
	}
	if len(seen) != numCaches {
		t.Errorf("%d caches were given out, there are %d", len(seen), numCaches)
	}
	zero.Release()
	if c := ta.lease(0); c != zero {
		t.Errorf("lease(0) after Release is %v", c)
	}
}

// TestVersion1IsUpgraded: an arena from before there were caches goes on with them.
func TestVersion1IsUpgraded(t *testing.T) {
	ta := newTestAllocator(t, 8<<20)
	kept := mustAlloc(t, ta, 100, 0)
	ta.store64(headVersion, 1)
	again, err := restore(t, ta.image(t), 8<<20)
	if err != nil {
		t.Fatal(err)
	}
	defer again.unmap()
	if err := again.freeBy(0, kept); err != nil {
		t.Fatal(err)
	}
	if v := again.load64(headVersion); v != 1 {
		t.Errorf("version %d without a cache", v)
	}
	if _, err := again.allocBy(0, 100, 0); err != nil {
		t.Fatal(err)
	}
	if v := again.load64(headVersion); v != allocVersion {
		t.Errorf("version %d with a cache", v)
	}
	wantClean(t, again)
}

// TestClaimsGiveWayWhereMemoryRunsOut: what idle caches have claimed is no memory lost.
func TestClaimsGiveWayWhereMemoryRunsOut(t *testing.T) {
	ta := newTestAllocator(t, 4<<20)
	for n := range numCaches {
		for _, size := range []uint64{16, 64, 1000, 4096, 20000} {
			off, err := ta.allocBy(n, size, 0)
			if errors.Is(err, ErrFull) {
				break
			} else if err != nil {
				t.Fatal(err)
			}
			if err := ta.freeBy(n, off); err != nil {
				t.Fatal(err)
			}
		}
	}
	// Not even a descriptor stays claimed: one run takes nearly everything.
	if _, err := ta.allocBy(0, 4<<20-128<<10, 0); err != nil {
		t.Error(err)
	}
	wantClean(t, ta)
}

// TestHiddenPlacesAreFoundBeforeErrFull: a full descriptor that a few objects of were
// freed is passed over only as long as there is other memory.
func TestHiddenPlacesAreFoundBeforeErrFull(t *testing.T) {
	for _, by := range []int{noCache, 0} {
		ta := newTestAllocator(t, 2<<20)
		var offs []uint64
		fill := func() (n int) {
			for {
				off, err := ta.allocBy(by, 64, 0)
				if errors.Is(err, ErrFull) {
					return n
				} else if err != nil {
					t.Fatal(err)
				}
				offs = append(offs, off)
				n++
			}
		}
		fill()
		for i := range 3 {
			for at := i; at < len(offs); at += 64 + i {
				if err := ta.freeBy(by, offs[at]); err != nil {
					t.Fatal(err)
				}
				offs = slices.Delete(offs, at, at+1)
			}
			before := len(offs)
			fill()
			wantClean(t, ta)
			b, n := ta.inUse()
			if n != uint64(len(offs)) || b != n*64 {
				t.Fatalf("%d objects, %d bytes in use, should be %d", n, b, len(offs))
			}
			if got := len(offs) - before; got < before/70 {
				t.Errorf("by %d: of the places of %d objects %d were found again", by, before/64, got)
			}
		}
	}
}

// TestCachesAtOnce: goroutines with caches of their own, and some without, allocate,
// hand objects to one another and free them; in between, when all stand still, the bytes
// are checked, put back to an earlier instant or moved to another arena. In the smaller one
// memory runs out all the time: what is claimed and kept is given up, and taken back
// where that does not help, while others free.
func TestCachesAtOnce(t *testing.T) {
	for _, limit := range []uint64{roomy, 2 << 20} {
		t.Run(fmt.Sprintf("%d MiB", limit>>20), func(t *testing.T) { cachesAtOnce(t, limit) })
	}
}

const roomy = 64 << 20

// leaseFor is nil for goroutine 0, which takes the lock.
func leaseFor(ta *testAllocator, g int) *Cache {
	if g == 0 {
		return nil
	}
	return ta.lease(g - 1)
}

func cachesAtOnce(t *testing.T, limit uint64) {
	const goroutines = 6
	rounds, ops := 30, 3000
	if testing.Short() {
		rounds = 10
	}
	type state struct {
		image []byte
		live  [goroutines][]uint64
	}
	ta := newTestAllocator(t, limit)
	ta.step = min(4<<20, limit)
	var full atomic.Int64
	defer func() { t.Logf("memory ran out %d times", full.Load()) }()
	var live [goroutines][]uint64
	clone := func(live [goroutines][]uint64) (c [goroutines][]uint64) {
		for i := range live {
			c[i] = slices.Clone(live[i])
		}
		return c
	}
	var saved *state
	choose := rand.New(rand.NewPCG(5, 6))
	for round := range rounds {
		var wg sync.WaitGroup
		var errs [goroutines]error
		handed := make(chan uint64, 500)
		for g := range goroutines {
			r := rand.New(rand.NewPCG(uint64(round), uint64(g)))
			wg.Go(func() {
				alloc, free := ta.alloc, ta.free
				if c := leaseFor(ta, g); c != nil {
					defer c.Release()
					alloc, free = c.alloc, c.free
				} else if g > 0 && limit == roomy { // else it is having its claims dropped
					errs[g] = errors.New("no cache")
					return
				}
				errs[g] = func() error {
					for range ops {
						switch k := r.IntN(10); {
						case k < 5 || len(live[g]) == 0:
							size := 16 + r.Uint64N(300)
							if r.IntN(200) == 0 {
								size = r.Uint64N(100 << 10)
							}
							off, err := alloc(size, 0)
							if errors.Is(err, ErrFull) && limit < roomy {
								full.Add(1)
								continue
							} else if err != nil {
								return err
							}
							b := ta.mapping.Bytes(off, size)
							if i := notZero(b); i >= 0 {
								return fmt.Errorf("byte %d of the %d at %#x is not zero", i, size, off)
							}
							b[0], b[size-1] = byte(g+1), byte(g+1)
							live[g] = append(live[g], off)
						case k < 8:
							i := r.IntN(len(live[g]))
							off := live[g][i]
							live[g] = slices.Delete(live[g], i, i+1)
							if err := free(off); err != nil {
								return err
							}
						case k < 9:
							i := r.IntN(len(live[g]))
							select {
							case handed <- live[g][i]:
								live[g] = slices.Delete(live[g], i, i+1)
							default:
							}
						default:
							select {
							case off := <-handed:
								live[g] = append(live[g], off)
							default:
							}
						}
					}
					return nil
				}()
			})
		}
		wg.Wait()
		close(handed)
		for off := range handed {
			live[0] = append(live[0], off)
		}
		if err := errors.Join(errs[:]...); err != nil {
			t.Fatal(err)
		}
		check := func() {
			t.Helper()
			wantClean(t, ta)
			var bytes, objects uint64
			seen := map[uint64]bool{}
			for _, offs := range live {
				for _, off := range offs {
					size, err := ta.sizeOf(off)
					if err != nil || seen[off] {
						t.Fatalf("round %d: the object at %#x: %v, given out twice: %v", round, off, err, seen[off])
					}
					seen[off] = true
					bytes += size
					objects++
				}
			}
			if b, n := ta.inUse(); b != bytes || n != objects {
				t.Fatalf("round %d: %d bytes in %d objects, should be %d in %d", round, b, n, bytes, objects)
			}
		}
		check()
		switch choose.IntN(4) {
		case 0:
			saved = &state{ta.image(t), clone(live)}
		case 1:
			if saved != nil { // roll back
				b := ta.mapping.Bytes(0, ta.committed)
				clear(b[copy(b, saved.image):])
				if err := ta.attach(); err != nil {
					t.Fatal(err)
				}
				live = clone(saved.live)
				check()
			}
		case 2: // restore elsewhere
			moved, err := restore(t, ta.image(t), limit)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(moved.unmap)
			moved.step = ta.step
			ta = moved
			check()
		}
	}
}

// TestFreeWhileAnAttemptIsTakenBack: an allocation takes back the empty spans that are kept for
// reuse, and fails nevertheless. Who frees meanwhile without the lock sees a class whose
// memory has run out as one, and has its place found.
func TestFreeWhileAnAttemptIsTakenBack(t *testing.T) {
	ta := newTestAllocator(t, 2<<20)
	const size = 64
	other, err := ta.allocBy(1, 16, 0) // there is a table of caches
	if err != nil {
		t.Fatal(err)
	}
	offs := fullOf(t, ta, size)
	if err := ta.free(offs[0]); err != nil {
		t.Fatal(err)
	}
	mustAlloc(t, ta, size, 0) // where there was no memory but that one place
	class := classOfSize(size)
	if !ta.isTight(class) {
		t.Fatal("memory has not run out")
	}
	// The last span is empty, and kept.
	last, err := ta.find(offs[len(offs)-1])
	if err != nil {
		t.Fatal(err)
	}
	for _, off := range offs {
		if o, err := ta.find(off); err != nil || o.info.page() != last.info.page() {
			continue
		}
		if err := ta.free(off); err != nil {
			t.Fatal(err)
		}
	}
	if !ta.keepsSpans() {
		t.Fatal("no span is kept")
	}
	first, err := ta.find(offs[0])
	if err != nil {
		t.Fatal(err)
	}
	freed := make(chan error, 1)
	c := ta.caches[1].lease() // so that nobody seizes it
	ta.mu.Lock()
	tries := 0
	err = ta.attempt(func() error {
		if tries++; tries == 2 {
			go func() { freed <- c.free(offs[0]) }()
			for ta.word(first.desc).Load()>>first.place&1 != 0 {
				runtime.Gosched()
			}
			// It is through, or waits for the lock to have the place found.
			select {
			case err := <-freed:
				freed <- err
			case <-time.After(50 * time.Millisecond):
			}
		}
		return ErrFull
	})
	ta.mu.Unlock()
	if !errors.Is(err, ErrFull) || tries != 2 {
		t.Fatalf("%d tries, then %v", tries, err)
	}
	if err := <-freed; err != nil {
		t.Fatal(err)
	}
	c.Release()
	wantClean(t, ta)
	fullOf(t, ta, size)
	if _, err := ta.find(offs[0]); err != nil {
		t.Errorf("memory has run out, and one place is free: %v", err)
	}
	if err := ta.freeBy(1, other); err != nil {
		t.Error(err)
	}
}
