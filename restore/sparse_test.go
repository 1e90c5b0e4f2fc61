package restore

import (
	"bytes"
	"errors"
	"testing"

	"github.com/cowheap/cowheap/arena"
	"github.com/cowheap/cowheap/checkpoint"
	"github.com/cowheap/cowheap/internal/block"
)

// grown is a chain whose largest file is the increment: the arena has grown, and of
// what was there before a page each in some regions was written, or has become zero.
func grown(t testing.TB) (*checkpoint.Image, []byte) {
	t.Helper()
	d, err := checkpoint.OpenStore(t.TempDir(), checkpoint.StoreOptions{NoFold: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	a, _ := source(t, arena.GuardCopy)
	save := func(opts checkpoint.WriteOptions) (checkpoint.Info, []byte) {
		t.Helper()
		s, err := a.Snapshot()
		if err != nil {
			t.Fatal(err)
		}
		info, err := d.Save(t.Context(), s, opts)
		if err := errors.Join(err, s.Close()); err != nil {
			t.Fatal(err)
		}
		return info, bytes.Clone(bytesOf(a))
	}
	parent, old := save(checkpoint.WriteOptions{})
	off, err := a.Alloc(20<<20, 4096)
	if err != nil {
		t.Fatal(err)
	}
	b := bytesOf(a)
	for at := int(off); at < int(off)+20<<20; at += 64 {
		b[at] = byte(at>>12) | 1
	}
	for region := 1; region < 4; region++ {
		b[region<<21+5*4096+3] ^= 0x55
		clear(b[region<<21+9*4096:][:4096])
	}
	state := bytes.Clone(b)
	info, state := save(checkpoint.WriteOptions{Parent: parent.ID, ParentSize: parent.Size, Changed: differing(old, state)})
	if !info.Sparse || info.Bytes <= parent.Bytes {
		t.Fatalf("%+v on %d bytes", info, parent.Bytes)
	}
	im, err := checkpoint.OpenImage(info.Path)
	if err != nil {
		t.Fatal(err)
	}
	return im, state
}

// TestSparseBlocksOfTheLargestFileAreBroughtInAtOnce: the resolver knows blocks of one
// region, so what is in others is there before it is touched, and counted.
func TestSparseBlocksOfTheLargestFileAreBroughtInAtOnce(t *testing.T) {
	for _, touch := range []string{"touched", "populated", "eagerly"} {
		t.Run(touch, func(t *testing.T) {
			im, want := grown(t)
			d := im.Direct()
			if d.Path != im.Info().Path {
				t.Fatal("the increment is not the file that is read as it is touched")
			}
			atOnce, shared := int64(0), 0
			for region := range im.Regions() {
				h := block.Header(make([]byte, block.HeaderSize))
				if d.Index[region] != 0 {
					var err error
					if h, err = im.ReadHeader(region, h); err != nil {
						t.Fatal(err)
					}
				} else if im.BlockOffset(region) != 0 {
					shared++
				}
				for i := 0; i < block.RegionPages && region<<21+i*4096 < len(want); i++ {
					if !h.Stored(i) && !block.IsZero(want[region<<21+i*4096:][:4096]) {
						atOnce += 4096
					}
				}
			}
			if shared < 3 {
				t.Fatalf("%d regions share a block", shared)
			}
			if touch == "eagerly" {
				a, err := Eager(t.Context(), im, Options{Arena: arena.Options{MaxSize: 64 << 20}})
				if err != nil {
					t.Fatal(err)
				}
				if !bytes.Equal(bytesOf(a), want) {
					t.Error("another state")
				}
				if err := errors.Join(a.Close(), im.Close()); err != nil {
					t.Error(err)
				}
				return
			}
			a, l := lazily(t, im, arena.GuardUserfault, false)
			if l.Eager() != atOnce || atOnce >= int64(len(want))/2 {
				t.Errorf("%d of %d bytes were read at once, want %d", l.Eager(), len(want), atOnce)
			}
			if touch == "populated" {
				if err := l.Populate(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			if !bytes.Equal(bytesOf(a), want) {
				t.Error("another state")
			}
		})
	}
}
