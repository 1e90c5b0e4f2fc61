package cowheap

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"testing"
)

// FuzzBTree takes its input for operations on a tree with text for keys: a byte
// says which, and how many of the following bytes are the key.
func FuzzBTree(f *testing.F) {
	f.Add([]byte("\x05abcdefgh\x45abcdefgh\xc3ab"))
	f.Add(slices.Repeat([]byte("\x01\x02\x03\x04\x05\x06"), 100))
	f.Fuzz(func(t *testing.T, in []byte) {
		inUpdate(t, 8<<20, func(m *Mem, b *testBacking) {
			tree := alloc[BTree[string, uint64]](t, m)
			empty, model, n := b.objects(), map[string]uint64{}, uint64(0)
			for len(in) > 0 && n < 5000 {
				op, size := in[0]>>6, min(int(in[0]&0x3f), len(in)-1)
				k := string(in[1 : 1+size])
				in = in[1+size:]
				n++
				switch op {
				case 0, 1: // a run of keys, so that short inputs make high trees
					for i := range byte(40) {
						key := k + strings.Repeat(string(rune('a'+i)), int(op)*20+1)
						if err := tree.Set(m, key, n); err != nil {
							t.Skip("no more memory")
						}
						model[key] = n
					}
				case 2:
					if _, ok := tree.Delete(m, k); ok != deleteKey(model, k) {
						t.Errorf("Delete(%q) is %v", k, ok)
					}
				case 3:
					left := 60
					for key := range tree.Ascend(m, k) {
						if left--; left == 0 {
							break
						}
						key = strings.Clone(key)
						if _, ok := tree.Delete(m, key); !ok || !deleteKey(model, key) {
							t.Errorf("%q was produced, and is not there", key)
						}
					}
				}
			}
			if err := checkTreeOf(m, &tree.treeHeader, tree.typ(), cmp.Compare[string]); err != nil {
				t.Error(err)
			}
			got := map[string]uint64{}
			for k, v := range tree.All(m) {
				got[strings.Clone(k)] = *v
			}
			if !maps.Equal(got, model) {
				t.Errorf("%d entries, want %d", len(got), len(model))
			}
			if tree.Clear(m); b.objects() != empty {
				t.Errorf("Clear leaves %d objects behind", b.objects()-empty)
			}
		})
	})
}

func deleteKey(model map[string]uint64, k string) bool {
	_, ok := model[k]
	delete(model, k)
	return ok
}
