package cowheap

import (
	"testing"

	"github.com/cowheap/cowheap/checkpoint"
)

// TestLazyOpenOfWhatIsNotOneFile: a chain, and a compressed checkpoint, open with
// every guard that can be lazy, and Origin says how much was read at once.
func TestLazyOpenOfWhatIsNotOneFile(t *testing.T) {
	none := func(func(int64, int64) bool) {}
	first := func(yield func(off, n int64) bool) { yield(0, 64<<10) }
	for name, how := range map[string]checkpoint.WriteOptions{
		"compressed":                 {Compression: checkpoint.S2},
		"chain":                      {Changed: first},
		"chain that changes nothing": {Changed: none},
	} {
		t.Run(name, func(t *testing.T) {
			eachLazyGuard(t, func(t *testing.T, o *Options) {
				dir, _ := bigCheckpoint(t)
				info := again(t, dir, how)
				h := have[*Heap](t)(Open(dir, o))
				defer closing(t, h)
				origin, skipped := h.Origin()
				if len(skipped) != 0 || origin.ID != info.ID || origin.Compressed != (how.Compression != 0) || origin.Incremental != (how.Changed != nil) {
					t.Fatalf("origin %+v, skipped %v", origin, skipped)
				}
				want := origin.Size // all of it
				if o.Guard == lazyGuards[0] {
					want = map[string]int64{"compressed": 1, "chain": 1, "chain that changes nothing": 0}[name]
				}
				if origin.Eager < want || want == 0 && origin.Eager != 0 {
					t.Errorf("%d bytes of %d were read at once, want at least %d", origin.Eager, origin.Size, want)
				}
				if err := h.View(func(m *Mem) error {
					r, err := Root[big](m, "big")
					for i := 0; err == nil && i < bigPages; i++ {
						if r.Ptr(m)[i*4096] != 1 {
							t.Fatalf("page %d is lost", i)
						}
					}
					return err
				}); err != nil {
					t.Fatal(err)
				}
			})
		})
	}
}

// again saves the newest checkpoint of a directory once more in another way.
func again(t *testing.T, dir string, how checkpoint.WriteOptions) checkpoint.Info {
	t.Helper()
	d := have[*checkpoint.Store](t)(checkpoint.OpenStore(dir, checkpoint.StoreOptions{NoFold: true}))
	defer closing(t, d)
	im, _, err := d.Latest(nil)
	if err != nil {
		t.Fatal(err)
	}
	defer closing(t, im)
	newest := im.Info()
	how.Roots, how.Parent, how.ParentSize = newest.Roots, newest.ID, newest.Size
	return have[checkpoint.Info](t)(d.Save(t.Context(), im, how))
}
