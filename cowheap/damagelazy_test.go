package cowheap

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"testing"
	"time"

	"github.com/cowheap/cowheap/arena"
	"github.com/cowheap/cowheap/checkpoint"
	"github.com/cowheap/cowheap/internal/block"
)

// lazyOptions are those of a heap that reads a page when it is touched, and not
// before.
func lazyOptions(t testing.TB, g arena.Guard) *Options {
	t.Helper()
	for _, p := range arena.Probe() {
		if p.Guard == g && p.Err != nil {
			t.Skip(p.Err)
		}
	}
	return &Options{Guard: g, Lazy: true, NoPrefetch: true}
}

// lazyGuards are those that can.
var lazyGuards = []arena.Guard{arena.GuardUserfault, arena.GuardShadow}

func eachLazyGuard(t *testing.T, test func(t *testing.T, o *Options)) {
	for _, g := range lazyGuards {
		t.Run(g.String(), func(t *testing.T) { test(t, lazyOptions(t, g)) })
	}
}

// lazily: either Open notices, or everything that reads the page without
// touching it.
func (d *damagedDir) lazily(o *Options) (err error) {
	h, err := Open(d.dir, o)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, h.Close()) }()
	s, err := h.Snapshot()
	if err != nil {
		return err
	}
	if _, err := s.WriteTo(io.Discard); !isDamage(err) {
		return fmt.Errorf("WriteTo of a snapshot: %v", err)
	}
	if _, err := s.ReadAt(make([]byte, s.Size()), 0); !isDamage(err) {
		return fmt.Errorf("ReadAt of a snapshot: %v", err)
	}
	if err := h.View(func(m *Mem) error { return m.PrepareRead(m.bytes(0, uint64(s.Size()))) }); !isDamage(err) {
		return fmt.Errorf("PrepareRead: %v", err)
	}
	return h.Populate(context.Background())
}

func TestDamagedCheckpointOpenedLazily(t *testing.T) {
	eachLazyGuard(t, func(t *testing.T, o *Options) {
		open := func(d *damagedDir, _ []byte) error { return d.lazily(o) }
		t.Run("cut", func(t *testing.T) { newDamagedDir(t).cut(t, open) })
		t.Run("flipped", func(t *testing.T) {
			newDamagedDir(t).flip(t, open)
		})
	})
}

// Damage that Open meets makes it fall back, as an eager one does.
func TestLazyOpenFallsBack(t *testing.T) {
	eachLazyGuard(t, func(t *testing.T, o *Options) {
		d := newDamagedDir(t)
		h := have[*Heap](t)(Open(d.dir, nil))
		newest := have[checkpoint.Info](t)(h.Checkpoint(t.Context()))
		closing(t, h)
		b := have[[]byte](t)(os.ReadFile(newest.Path))
		for at := 0; at < len(b); at += 1024 {
			b[at] ^= 1
			if err := os.WriteFile(newest.Path, b, 0o600); err != nil {
				t.Fatal(err)
			}
			b[at] ^= 1
			h, err := Open(d.dir, o)
			if err != nil {
				t.Fatalf("byte %d: %v", at, err)
			}
			info, skipped := h.Origin()
			switch fell := info.Path != newest.Path; {
			case fell && (info.Path != d.f.Name() || len(skipped) != 1 || !errors.Is(skipped[0], ErrCorrupt)):
				t.Errorf("byte %d: opened %s, skipped %v", at, info.Path, skipped)
			case fell:
				if err := h.View(func(m *Mem) error {
					if r, err := Root[uint64](m, "root"); err != nil || *r.Ptr(m) != 7 {
						return fmt.Errorf("root: %v", err)
					}
					return nil
				}); err != nil {
					t.Errorf("byte %d: %v", at, err)
				}
			case len(skipped) > 0 || at < 3*4096: // header, header of the block, page 0
				t.Errorf("byte %d: opened the damaged %s, skipped %v", at, info.Path, skipped)
			}
			closing(t, h)
		}
	})
}

// The program goes on after the prefetch met a damaged page that nobody touches.
func TestPrefetchReportsDamage(t *testing.T) {
	eachLazyGuard(t, func(t *testing.T, o *Options) {
		o.NoPrefetch = false
		dir, path := bigCheckpoint(t)
		at, _ := placeOf(t, path, bigPages-1)
		overwrite(t, path, at)
		h := have[*Heap](t)(Open(dir, o))
		defer closing(t, h)
		for start := time.Now(); h.Stats().RestoreErr == nil; runtime.Gosched() {
			if time.Since(start) > time.Minute {
				t.Fatal("the prefetch reports nothing")
			}
		}
		if err := h.Stats().RestoreErr; !errors.Is(err, ErrCorrupt) {
			t.Errorf("RestoreErr: %v, want ErrCorrupt", err)
		}
		if err := h.Populate(t.Context()); !isDamage(err) {
			t.Errorf("Populate: %v, want ErrCorrupt", err)
		}
		if err := h.Update(func(m *Mem) error {
			r, err := Root[big](m, "big")
			if err == nil && r.Ptr(m)[0] != 1 {
				err = errors.New("the first byte is wrong")
			}
			return err
		}); err != nil {
			t.Error(err)
		}
	})
}

// big is a root in several blocks of a checkpoint. Each page starts with 1.
type big [bigPages * 4096]byte

const bigPages = 1200

func bigCheckpoint(t testing.TB) (dir, path string) {
	t.Helper()
	dir = memoryDir(t)
	h := have[*Heap](t)(Open(dir, nil))
	defer closing(t, h)
	if err := h.Update(func(m *Mem) error {
		r, err := Root[big](m, "big")
		for i := 0; err == nil && i < bigPages; i++ {
			r.Ptr(m)[i*4096] = 1
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	return dir, have[checkpoint.Info](t)(h.Checkpoint(t.Context())).Path
}

// placeOf is where page number page of the root is in the file, and where the
// block is that it belongs to.
func placeOf(t testing.TB, path string, page int) (at, blockAt int64) {
	t.Helper()
	im := have[*checkpoint.Image](t)(checkpoint.OpenImage(path))
	defer closing(t, im)
	off := int64(im.Info().Roots[0].Offset) + int64(page)*4096
	region := int(off / block.RegionSize)
	head := have[block.Header](t)(im.ReadHeader(region, make([]byte, block.HeaderSize)))
	blockAt = im.BlockOffset(region)
	return blockAt + block.HeaderSize + int64(head.Rank(int(off%block.RegionSize/4096)))*4096, blockAt
}

// overwrite changes the byte at an offset of a file.
func overwrite(t testing.TB, path string, at int64) {
	t.Helper()
	f := have[*os.File](t)(os.OpenFile(path, os.O_RDWR, 0))
	defer closing(t, f)
	b := make([]byte, 1)
	have[int](t)(f.ReadAt(b, at))
	b[0] ^= 0x40
	have[int](t)(f.WriteAt(b, at))
}
