package cowheap

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/cowheap/cowheap/arena"
	"github.com/cowheap/cowheap/checkpoint"
)

var damageEvery = flag.Int("damage.every", 11, "damage every n-th byte of a checkpoint; 1: every byte, a minute or two")

// damagedDir is a directory with one checkpoint, about as small as they get, that
// is damaged over and over.
type damagedDir struct {
	dir  string
	f    *os.File
	good []byte
}

func newDamagedDir(t testing.TB) *damagedDir {
	t.Helper()
	d := &damagedDir{dir: memoryDir(t)}
	h := have[*Heap](t)(Open(d.dir, &Options{Seed: 1}))
	defer closing(t, h)
	if err := h.Update(func(m *Mem) error {
		r, err := Root[uint64](m, "root")
		*r.Ptr(m) = 7
		return err
	}); err != nil {
		t.Fatal(err)
	}
	info := have[checkpoint.Info](t)(h.Checkpoint(t.Context()))
	d.good = have[[]byte](t)(os.ReadFile(info.Path))
	d.f = have[*os.File](t)(os.OpenFile(info.Path, os.O_RDWR, 0))
	t.Cleanup(func() { closing(t, d.f) })
	return d
}

// memoryDir is a directory in memory, if there is such a thing: these tests make
// files by the thousand.
func memoryDir(t testing.TB) string {
	dir, err := os.MkdirTemp("/dev/shm", "damaged")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// A way is how a damaged checkpoint is opened. It returns the error that says so.
type way func(d *damagedDir, damaged []byte) error

var ways = map[string]way{
	"eager": func(d *damagedDir, _ []byte) error { return opened(Open(d.dir, nil)) },
	"copied": func(d *damagedDir, _ []byte) error {
		return opened(Open(d.dir, &Options{Guard: arena.GuardCopy}))
	},
	"stream": func(_ *damagedDir, b []byte) error { return opened(Restore(bytes.NewReader(b), nil)) },
}

func opened(h *Heap, err error) error {
	if err == nil {
		return errors.Join(errors.New("opened"), h.Close())
	}
	return err
}

// isDamage: an error that a program can tell from others.
func isDamage(err error) bool {
	if errors.Is(err, ErrCorrupt) {
		return true
	}
	if _, ok := errors.AsType[*checkpoint.VersionError](err); ok {
		return true
	}
	_, ok := errors.AsType[*checkpoint.PageSizeError](err)
	return ok
}

// try opens the damaged checkpoint and checks that nothing is lost.
func (d *damagedDir) try(t testing.TB, open way, what string, damaged []byte) {
	t.Helper()
	if err := open(d, damaged); !isDamage(err) {
		t.Fatalf("%s: %v, want a typed error", what, err)
	}
	if b := have[[]byte](t)(os.ReadFile(d.f.Name())); !bytes.Equal(b, damaged) {
		t.Fatalf("%s: the file was changed", what)
	}
	files := have[[]string](t)(filepath.Glob(filepath.Join(d.dir, "*")))
	if len(files) != 2 || !slices.Contains(files, d.f.Name()) {
		t.Fatalf("%s: the directory has %v", what, files)
	}
}

// cut cuts the checkpoint at every length.
func (d *damagedDir) cut(t testing.TB, open way) {
	t.Helper()
	for n := len(d.good) - 1; n >= 0; n -= *damageEvery {
		if err := d.f.Truncate(int64(n)); err != nil {
			t.Fatal(err)
		}
		d.try(t, open, fmt.Sprintf("cut at %d of %d bytes", n, len(d.good)), d.good[:n])
	}
}

// flip flips a bit of each byte in turn, and puts it back.
func (d *damagedDir) flip(t testing.TB, open way) {
	t.Helper()
	b := bytes.Clone(d.good)
	for at := 0; at < len(b); at += *damageEvery {
		b[at] ^= 1 << (at % 8)
		have[int](t)(d.f.WriteAt(b[at:at+1], int64(at)))
		d.try(t, open, fmt.Sprintf("bit %d of byte %d of %d flipped", at%8, at, len(b)), b)
		b[at] = d.good[at]
		have[int](t)(d.f.WriteAt(b[at:at+1], int64(at)))
	}
	closing(t, have[*Heap](t)(Open(d.dir, nil)))
}

func TestCheckpointCutAtEveryByte(t *testing.T) {
	for name, open := range ways {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			newDamagedDir(t).cut(t, open)
		})
	}
}

func TestCheckpointFlippedAtEveryByte(t *testing.T) {
	for name, open := range ways {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			newDamagedDir(t).flip(t, open)
		})
	}
}
