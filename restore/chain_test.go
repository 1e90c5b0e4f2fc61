package restore

import (
	"bytes"
	"errors"
	"iter"
	"testing"

	"github.com/cowheap/cowheap/arena"
	"github.com/cowheap/cowheap/checkpoint"
)

// differing yields the pages in which b differs from a, and those that only b
// has.
func differing(a, b []byte) iter.Seq2[int64, int64] {
	return func(yield func(off, n int64) bool) {
		for off := 0; off < len(b); off += 4096 {
			if off < len(a) && bytes.Equal(a[off:off+4096], b[off:off+4096]) {
				continue
			}
			if !yield(int64(off), 4096) {
				return
			}
		}
	}
}

// chained saves an arena three times, twice as an increment, with writes, frees
// and growth in between, and answers the image and what the arena was.
func chained(t testing.TB, compression checkpoint.Compression) (*checkpoint.Image, []byte) {
	t.Helper()
	_, im, state := storedChain(t, compression)
	return im, state
}

// storedChain is chained, with the store.
func storedChain(t testing.TB, compression checkpoint.Compression) (*checkpoint.Store, *checkpoint.Image, []byte) {
	t.Helper()
	d, err := checkpoint.OpenStore(t.TempDir(), checkpoint.StoreOptions{NoFold: true, Compression: compression})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	a, state := source(t, arena.GuardCopy)
	var info checkpoint.Info
	var old []byte
	for round := range 3 {
		if round > 0 {
			b := bytesOf(a)
			for i := 8 << 20; i < len(b); i += 5 * 4096 {
				b[i] = byte(round)
			}
			clear(b[3<<20+4096*round : 3<<20+4096*(round+9)])
		}
		s, err := a.Snapshot()
		if err != nil {
			t.Fatal(err)
		}
		opts := checkpoint.WriteOptions{}
		state = bytes.Clone(bytesOf(a))
		if round > 0 {
			opts.Parent, opts.ParentSize, opts.Changed = info.ID, int64(len(old)), differing(old, state)
		}
		if info, err = d.Save(t.Context(), s, opts); err != nil || info.Incremental != (round > 0) {
			t.Fatalf("%+v, %v", info, err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		old = state
	}
	im, err := checkpoint.OpenImage(info.Path)
	if err != nil || im.Info().Chain != 3 {
		t.Fatal(im.Info().Chain, err)
	}
	return d, im, state
}

func TestChainIsRestoredEagerly(t *testing.T) {
	eachGuard(t, func(t *testing.T, g arena.Guard) {
		for _, compression := range []checkpoint.Compression{checkpoint.Uncompressed, checkpoint.S2, checkpoint.Zstd} {
			im, want := chained(t, compression)
			last, total := int64(-1), int64(0)
			a, err := Eager(t.Context(), im, Options{
				Arena:    arena.Options{Guard: g, MaxSize: 64 << 20},
				Progress: func(done, of int64) { last, total = done, of },
			})
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(bytesOf(a), want) || last != total {
				t.Errorf("%v: another state; progress %d of %d", compression, last, total)
			}
			if err := errors.Join(a.Close(), im.Close()); err != nil {
				t.Error(err)
			}
		}
	})
}

// TestChainIsRestoredLazily: pages of the full file as they are touched, all
// others at once; a guard that can read one file only refuses.
func TestChainIsRestoredLazily(t *testing.T) {
	for _, compression := range []checkpoint.Compression{checkpoint.Uncompressed, checkpoint.S2} {
		t.Run(compression.String(), func(t *testing.T) {
			for _, touch := range []string{"touched", "populated", "snapshot"} {
				t.Run(touch, func(t *testing.T) {
					im, want := chained(t, compression)
					a, l := lazily(t, im, arena.GuardUserfault, false)
					if l.Eager() == 0 || compression == checkpoint.Uncompressed && l.Eager() >= int64(len(want))/2 {
						t.Errorf("%d of %d bytes were read at once", l.Eager(), len(want))
					}
					switch touch {
					case "populated":
						if err := l.Populate(t.Context()); err != nil {
							t.Fatal(err)
						}
					case "snapshot":
						s, err := a.Snapshot()
						if err != nil {
							t.Fatal(err)
						}
						got := make([]byte, len(want))
						if _, err := s.ReadAt(got, 0); err != nil || !bytes.Equal(got, want) {
							t.Errorf("snapshot: %v", err)
						}
						if err := s.Close(); err != nil {
							t.Fatal(err)
						}
					}
					if !bytes.Equal(bytesOf(a), want) {
						t.Error("another state")
					}
				})
			}
		})
	}
}

func TestShadowRefusesAChainLazily(t *testing.T) {
	for _, p := range arena.Probe() {
		if p.Guard == arena.GuardShadow && p.Err != nil {
			t.Skip(p.Err)
		}
	}
	im, _ := chained(t, checkpoint.Uncompressed)
	defer im.Close()
	_, _, err := OpenLazy(im, Options{Arena: arena.Options{Guard: arena.GuardShadow, MaxSize: 64 << 20}})
	if !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("got %v", err)
	}
}

func TestIncrementalStreamIsNoState(t *testing.T) {
	var out bytes.Buffer
	parent := checkpoint.WriteOptions{Changed: differing(nil, make([]byte, 8192)), ParentSize: 0}
	parent.Parent[0] = 1
	if _, err := checkpoint.Write(t.Context(), &out, sized(make([]byte, 8192)), parent); err != nil {
		t.Fatal(err)
	}
	r, err := checkpoint.NewReader(&out)
	if err != nil {
		t.Fatal(err)
	}
	_, _, err = Stream(t.Context(), r, Options{})
	if e, ok := errors.AsType[*checkpoint.ParentError](err); !ok || e.Parent != parent.Parent || !errors.Is(err, checkpoint.ErrNoParent) {
		t.Errorf("got %v", err)
	}
}
