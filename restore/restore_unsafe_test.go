package restore

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"
	"unsafe"

	"github.com/cowheap/cowheap/arena"
	"github.com/cowheap/cowheap/checkpoint"
)

// source is an arena with some content: dense, sparse and empty regions.
func source(t testing.TB, g arena.Guard) (*arena.Arena, []byte) {
	t.Helper()
	a, err := arena.New(arena.Options{Guard: g, MaxSize: 64 << 20})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { a.Close() })
	off, err := a.Alloc(12<<20, 4096)
	if err != nil {
		t.Fatal(err)
	}
	b := bytesOf(a)[off:]
	rng := rand.New(rand.NewPCG(1, 2))
	for i := 0; i < 4<<20; i += 8 {
		b[i] = byte(rng.Uint32()) // dense
	}
	for range 100 {
		b[8<<20+rng.IntN(4<<20)] = 1 // sparse; in between nothing
	}
	return a, bytes.Clone(bytesOf(a))
}

func bytesOf(a *arena.Arena) []byte {
	return unsafe.Slice((*byte)(a.Base()), a.High())
}

// saved is a file with a checkpoint of a, and the image of it.
func saved(t testing.TB, a *arena.Arena) *checkpoint.Image {
	t.Helper()
	s, err := a.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	path := filepath.Join(t.TempDir(), "checkpoint")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := checkpoint.Write(t.Context(), f, s, checkpoint.WriteOptions{}); err != nil {
		t.Fatal(err)
	}
	im, err := checkpoint.OpenImage(path)
	if err != nil {
		t.Fatal(err)
	}
	return im
}

func eachGuard(t *testing.T, test func(t *testing.T, g arena.Guard)) {
	for _, p := range arena.Probe() {
		t.Run(p.Guard.String(), func(t *testing.T) {
			if p.Err != nil {
				t.Skip(p.Err)
			}
			test(t, p.Guard)
		})
	}
}

func healthy(t testing.TB, a *arena.Arena) {
	t.Helper()
	for err := range a.Check() {
		t.Error(err)
	}
	if _, err := a.Alloc(100, 0); err != nil {
		t.Error(err)
	}
}

func TestEagerIsWhatWasSaved(t *testing.T) {
	eachGuard(t, func(t *testing.T, g arena.Guard) {
		a, want := source(t, g)
		im := saved(t, a)
		defer im.Close()
		var last, total int64
		b, err := Eager(t.Context(), im, Options{Arena: arena.Options{Guard: g, MaxSize: 64 << 20},
			Progress: func(d, n int64) { last, total = d, n }})
		if err != nil {
			t.Fatal(err)
		}
		defer b.Close()
		if !bytes.Equal(bytesOf(b), want) {
			t.Error("the restored bytes differ")
		}
		if last != total || total == 0 {
			t.Errorf("progress ended at %d of %d", last, total)
		}
		healthy(t, b)
	})
}

func TestStreamStopsAtTheEnd(t *testing.T) {
	eachGuard(t, func(t *testing.T, g arena.Guard) {
		a, want := source(t, g)
		im := saved(t, a)
		defer im.Close()
		raw, err := os.ReadFile(im.Info().Path)
		if err != nil {
			t.Fatal(err)
		}
		in := bytes.NewReader(append(raw, "more"...))
		r, err := checkpoint.NewReader(in)
		if err != nil {
			t.Fatal(err)
		}
		b, info, err := Stream(t.Context(), r, Options{Arena: arena.Options{Guard: g, MaxSize: 64 << 20}})
		if err != nil {
			t.Fatal(err)
		}
		defer b.Close()
		if !bytes.Equal(bytesOf(b), want) || info.ID != im.Info().ID {
			t.Error("the restored bytes differ")
		}
		if rest, _ := io.ReadAll(in); string(rest) != "more" {
			t.Errorf("%q is left on the stream, want what followed the checkpoint", rest)
		}
		healthy(t, b)
	})
}

// eachLazyGuard is eachGuard for those that bring pages in as they are touched.
func eachLazyGuard(t *testing.T, test func(t *testing.T, g arena.Guard)) {
	eachGuard(t, func(t *testing.T, g arena.Guard) {
		if g != arena.GuardUserfault && g != arena.GuardShadow {
			t.Skip("reads everything first")
		}
		test(t, g)
	})
}

func lazily(t testing.TB, im *checkpoint.Image, g arena.Guard, prefetch bool) (*arena.Arena, *Lazy) {
	t.Helper()
	o := Options{Arena: arena.Options{Guard: g, MaxSize: 64 << 20}}
	a, l, err := OpenLazy(im, o)
	if err != nil {
		if errors.Is(err, errors.ErrUnsupported) {
			t.Skip(err)
		}
		t.Fatal(err)
	}
	if prefetch {
		l.Prefetch()
	}
	t.Cleanup(func() {
		l.Stop()
		if err := errors.Join(a.Close(), l.Close()); err != nil {
			t.Error(err)
		}
	})
	return a, l
}

func TestLazyIsWhatWasSaved(t *testing.T) {
	eachLazyGuard(t, func(t *testing.T, g arena.Guard) {
		for name, touch := range map[string]func(a *arena.Arena, l *Lazy, want []byte) bool{
			"compared in order": func(a *arena.Arena, l *Lazy, want []byte) bool { return bytes.Equal(bytesOf(a), want) },
			"touched at random by many": func(a *arena.Arena, l *Lazy, want []byte) bool {
				b, ok := bytesOf(a), atomic.Bool{}
				ok.Store(true)
				var wg sync.WaitGroup
				for w := range 4 {
					wg.Go(func() {
						for _, p := range rand.New(rand.NewPCG(uint64(w), 1)).Perm(len(b) / 4096) {
							if b[p*4096+w] != want[p*4096+w] {
								ok.Store(false)
							}
						}
					})
				}
				wg.Wait()
				return ok.Load() && bytes.Equal(b, want)
			},
			"populated": func(a *arena.Arena, l *Lazy, want []byte) bool {
				err := l.Populate(context.Background())
				s := a.Stats()
				return err == nil && s.RestoredPages == s.RestorePages && bytes.Equal(bytesOf(a), want)
			},
			"populated while touched": func(a *arena.Arena, l *Lazy, want []byte) bool {
				var err error
				var wg sync.WaitGroup
				wg.Go(func() { err = l.Populate(context.Background()) })
				same := bytes.Equal(bytesOf(a), want)
				wg.Wait()
				return err == nil && same && bytes.Equal(bytesOf(a), want)
			},
		} {
			for _, prefetch := range []bool{false, true} {
				t.Run(name, func(t *testing.T) {
					src, want := source(t, arena.GuardAuto)
					a, l := lazily(t, saved(t, src), g, prefetch)
					if !touch(a, l, want) {
						t.Error("the restored bytes differ")
					}
					healthy(t, a)
					if err := l.Err(); err != nil {
						t.Error(err)
					}
				})
			}
		}
	})
}

// A snapshot may be taken before the restore is finished, and shows the bytes
// of its instant whatever comes in and is written afterwards.
func TestSnapshotOfALazyArena(t *testing.T) {
	eachLazyGuard(t, func(t *testing.T, g arena.Guard) {
		for seed := range uint64(10) {
			src, want := source(t, g)
			a, l := lazily(t, saved(t, src), g, seed%2 != 0)
			rng := rand.New(rand.NewPCG(seed, 3))
			b := bytesOf(a)
			write := func(n int) {
				for range n {
					i := len(b)/2 + rng.IntN(len(b)/2)
					b[i]++
					want[i]++
				}
			}
			write(50)
			s, err := a.Snapshot()
			if err != nil {
				t.Fatal(err)
			}
			asOf := bytes.Clone(want)
			write(500)
			var wg sync.WaitGroup
			if seed%3 == 0 {
				wg.Go(func() {
					if err := l.Populate(t.Context()); err != nil {
						t.Error(err)
					}
				})
			}
			write(500)
			got := make([]byte, s.Size())
			if _, err := s.ReadAt(got, 0); err != nil {
				t.Fatal(err)
			}
			wg.Wait()
			if !bytes.Equal(got, asOf) {
				t.Errorf("seed %d: the snapshot differs", seed)
			}
			if !bytes.Equal(b, want) {
				t.Errorf("seed %d: the arena differs", seed)
			}
			s.Close()
			s, err = a.Snapshot()
			if err != nil {
				t.Fatal(err)
			}
			copy(asOf, want)
			write(300)
			if _, err := s.ReadAt(got, 0); err != nil || !bytes.Equal(got, asOf) {
				t.Errorf("seed %d: the second snapshot differs (%v)", seed, err)
			}
			s.Close()
		}
	})
}

func TestDamagedFile(t *testing.T) {
	eachGuard(t, func(t *testing.T, g arena.Guard) {
		a, _ := source(t, g)
		im := saved(t, a)
		path := im.Info().Path
		at := im.BlockOffset(1) + 4096 + 100*4096 + 5
		im.Close()
		f, err := os.OpenFile(path, os.O_RDWR, 0)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.WriteAt([]byte{0xff}, at); err != nil {
			t.Fatal(err)
		}
		f.Close()
		im, err = checkpoint.OpenImage(path)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := Eager(t.Context(), im, Options{Arena: arena.Options{Guard: g, MaxSize: 64 << 20}}); !errors.Is(err, checkpoint.ErrCorrupt) {
			t.Errorf("eager: %v, want ErrCorrupt", err)
		}
		if g != arena.GuardUserfault && g != arena.GuardShadow {
			im.Close()
			return
		}
		b, l := lazily(t, im, g, false)
		if err := l.Populate(t.Context()); !errors.Is(err, checkpoint.ErrCorrupt) {
			t.Errorf("populate: %v, want ErrCorrupt", err)
		}
		s, err := b.Snapshot()
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		if _, err := s.ReadAt(make([]byte, s.Size()), 0); err == nil {
			t.Error("reading the damaged page through a snapshot: no error")
		} else {
			t.Log(err)
		}
		if err := b.PrepareRead(0, b.High()); err == nil {
			t.Error("preparing the damaged page: no error")
		}
	})
}

func TestTooSmallAndCancelled(t *testing.T) {
	a, _ := source(t, arena.GuardCopy)
	im := saved(t, a)
	defer im.Close()
	if _, err := Eager(t.Context(), im, Options{Arena: arena.Options{MaxSize: 2 << 20}}); !errors.Is(err, arena.ErrFull) {
		t.Errorf("into 2 MiB: %v, want ErrFull", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Eager(ctx, im, Options{Arena: arena.Options{MaxSize: 64 << 20}}); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

func TestReleasedPagesThatWereMissingCanBePinned(t *testing.T) {
	eachLazyGuard(t, func(t *testing.T, g arena.Guard) {
		src, _ := source(t, arena.GuardAuto)
		a, _ := lazily(t, saved(t, src), g, false)
		s, err := a.Snapshot()
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		s.Release(0, s.Size())
		f, err := os.Open("/dev/zero")
		if err != nil {
			t.Skip(err)
		}
		defer f.Close()
		const off = 2 << 20
		unpin, err := a.Pin(off, 4096)
		if err != nil {
			t.Fatal(err)
		}
		defer unpin()
		if _, err := f.Read(bytesOf(a)[off : off+4096]); err != nil {
			t.Errorf("reading into a pinned page: %v", err)
		}
	})
}

func TestAfterPopulateTheFileIsNotNeeded(t *testing.T) {
	eachLazyGuard(t, func(t *testing.T, g arena.Guard) {
		src, want := source(t, arena.GuardAuto)
		im := saved(t, src)
		path := im.Info().Path
		a, l := lazily(t, im, g, false)
		s, err := a.Snapshot() // in the way of unregistering
		if err != nil {
			t.Fatal(err)
		}
		if err := l.Populate(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := os.Truncate(path, 0); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(bytesOf(a), want) {
			t.Error("the restored bytes differ")
		}
		got := make([]byte, s.Size())
		if _, err := s.ReadAt(got, 0); err != nil || !bytes.Equal(got, want) {
			t.Errorf("the snapshot differs (%v)", err)
		}
		s.Close()
	})
}

func TestCheckpointLargerThanItsArenaIsRefused(t *testing.T) {
	_, image := source(t, arena.GuardCopy)
	image = append(image, bytes.Repeat([]byte{0xaa}, 4<<20)...)
	var file bytes.Buffer
	if _, err := checkpoint.Write(t.Context(), &file, sized(image), checkpoint.WriteOptions{}); err != nil {
		t.Fatal(err)
	}
	im, err := checkpoint.NewImage(bytes.NewReader(file.Bytes()), int64(file.Len()), nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Eager(t.Context(), im, Options{Arena: arena.Options{MaxSize: 64 << 20}}); !errors.Is(err, arena.ErrCorrupt) {
		t.Errorf("%v, want ErrCorrupt", err)
	}
}

type sized []byte

func (s sized) Size() int64                             { return int64(len(s)) }
func (s sized) ReadAt(p []byte, off int64) (int, error) { return bytes.NewReader(s).ReadAt(p, off) }

func TestArenaKeepsItsFileOpen(t *testing.T) {
	eachLazyGuard(t, func(t *testing.T, g arena.Guard) {
		src, want := source(t, arena.GuardAuto)
		// Neither the image nor the Lazy can be reached any more.
		a, err := func() (*arena.Arena, error) {
			a, _, err := OpenLazy(saved(t, src), Options{Arena: arena.Options{Guard: g, MaxSize: 64 << 20}})
			return a, err
		}()
		if err != nil {
			t.Skip(err)
		}
		for range 3 {
			runtime.GC()
			time.Sleep(5 * time.Millisecond) // the cleanups run by themselves
		}
		if !bytes.Equal(bytesOf(a), want) {
			t.Error("the restored bytes differ")
		}
		a.Close()
	})
}

func TestProgressIsToldByOneAtATime(t *testing.T) {
	eachLazyGuard(t, func(t *testing.T, g arena.Guard) {
		src, _ := source(t, arena.GuardAuto)
		var inside, most atomic.Int32
		a, l, err := OpenLazy(saved(t, src), Options{Arena: arena.Options{Guard: g, MaxSize: 64 << 20},
			Progress: func(done, total int64) {
				most.Store(max(most.Load(), inside.Add(1)))
				time.Sleep(100 * time.Microsecond)
				inside.Add(-1)
			}})
		if err != nil {
			t.Skip(err)
		}
		l.Prefetch()
		var wg sync.WaitGroup
		for range 3 {
			wg.Go(func() {
				if err := l.Populate(context.Background()); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if n := most.Load(); n > 1 {
			t.Errorf("%d at a time", n)
		}
		a.Close()
		l.Close()
	})
}

func TestFileCutShortDuringARestoreIsAnError(t *testing.T) {
	a, _ := source(t, arena.GuardAuto)
	im := saved(t, a)
	defer im.Close()
	if err := os.Truncate(im.Info().Path, im.BlockOffset(1)+8192); err != nil {
		t.Fatal(err)
	}
	eachGuard(t, func(t *testing.T, g arena.Guard) {
		if _, err := Eager(t.Context(), im, Options{Arena: arena.Options{Guard: g, MaxSize: 64 << 20}}); !errors.Is(err, checkpoint.ErrTruncated) {
			t.Errorf("%v, want ErrTruncated", err)
		}
	})
}
