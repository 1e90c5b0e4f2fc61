package restore

import (
	"bytes"
	"testing"

	"github.com/cowheap/cowheap/arena"
	"github.com/cowheap/cowheap/checkpoint"
)

// TestFilesOfALazyRestoreMayGo: its chain is folded and pruned while pages are still missing;
// they come from the files as they were when it was opened.
func TestFilesOfALazyRestoreMayGo(t *testing.T) {
	for _, compression := range []checkpoint.Compression{checkpoint.Uncompressed, checkpoint.S2} {
		t.Run(compression.String(), func(t *testing.T) {
			d, im, want := storedChain(t, compression)
			id := im.Info().ID
			a, l := lazily(t, im, arena.GuardUserfault, false)
			b := bytesOf(a)
			if !bytes.Equal(b[:1<<20], want[:1<<20]) {
				t.Error("another state, at first")
			}
			if info, err := d.Fold(t.Context(), id); err != nil || info.Incremental {
				t.Fatalf("%+v, %v", info, err)
			}
			if !bytes.Equal(b[:5<<20], want[:5<<20]) {
				t.Error("another state, folded")
			}
			if removed, err := d.Prune(checkpoint.Policy{}); err != nil || len(removed) != 3 {
				t.Fatal(removed, err)
			}
			if !bytes.Equal(b[:9<<20], want[:9<<20]) {
				t.Error("another state, pruned")
			}
			if err := l.Populate(t.Context()); err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(b, want) {
				t.Error("another state, populated")
			}
		})
	}
}
