package restore

import (
	"bytes"
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/cowheap/cowheap/arena"
)

// eventually waits until it is.
func eventually(t *testing.T, is func() bool) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); !is(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("it does not come to that")
		}
	}
}

// forked is a fork of what a is now, which then goes on.
func forked(t *testing.T, a *arena.Arena, o Options) (*arena.Arena, *Lazy) {
	t.Helper()
	s, err := a.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	f, l, err := Fork(t.Context(), s, o)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if l != nil {
			l.Stop()
		}
		f.Close()
	})
	return f, l
}

func TestForkIsWhatItsParentWas(t *testing.T) {
	eachGuard(t, func(t *testing.T, g arena.Guard) {
		a, want := source(t, g)
		for _, own := range []arena.Guard{g, arena.GuardAuto, arena.GuardCopy} {
			f, _ := forked(t, a, Options{Arena: arena.Options{Guard: own, MaxSize: 64 << 20}})
			var parent, readers sync.WaitGroup
			parent.Go(func() {
				for i := 1 << 20; i < len(want); i += 512 {
					bytesOf(a)[i]++ // the allocator's own pages stay as they are
				}
			})
			for range 2 {
				readers.Go(func() {
					if !bytes.Equal(bytesOf(f), want) {
						t.Errorf("a fork with %v differs", own)
					}
				})
			}
			readers.Wait()
			parent.Wait()
			want = bytes.Clone(bytesOf(a))
		}
	})
}

// What is zero needs not be brought in, and a populated fork needs no parent.
func TestPopulateEndsTheNeedForTheParent(t *testing.T) {
	eachGuard(t, func(t *testing.T, g arena.Guard) {
		a, want := source(t, g)
		var last, total int64
		f, l := forked(t, a, Options{
			Arena:    arena.Options{Guard: g, MaxSize: 64 << 20},
			Progress: func(done, all int64) { last, total = done, all },
		})
		for i := 2 << 20; i < 3<<20; i++ {
			bytesOf(f)[i] = 7
		}
		copy(want[2<<20:3<<20], bytes.Repeat([]byte{7}, 1<<20))
		if l != nil {
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			if err := l.Populate(ctx); !errors.Is(err, context.Canceled) {
				t.Errorf("populating with a cancelled context: %v", err)
			}
			if n := a.Stats().Forks; n != 1 {
				t.Errorf("the parent has %d forks, want 1", n)
			}
			if err := l.Populate(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		if last != total || total != int64(len(want)) {
			t.Errorf("told of %d bytes of %d, want %d", last, total, len(want))
		}
		// The arena's keeper gives the pages back if it is just at work.
		eventually(t, func() bool { return a.Stats().PreservedPages == 0 })
		if n := a.Stats().Forks; n != 0 {
			t.Errorf("the parent has %d forks", n)
		}
		if err := a.Close(); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(bytesOf(f), want) {
			t.Error("the fork differs")
		}
	})
}

func TestForkRefuses(t *testing.T) {
	eachGuard(t, func(t *testing.T, g arena.Guard) {
		a, _ := source(t, g)
		s, err := a.Snapshot()
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := Fork(t.Context(), s, Options{Arena: arena.Options{Guard: g, MaxSize: 4 << 20}}); !errors.Is(err, arena.ErrFull) {
			t.Errorf("into an arena that is too small: %v, want ErrFull", err)
		}
		s.Close()
		if _, _, err := Fork(t.Context(), s, Options{Arena: arena.Options{Guard: g}}); !errors.Is(err, arena.ErrClosed) {
			t.Errorf("of a closed snapshot: %v, want ErrClosed", err)
		}
	})
}
