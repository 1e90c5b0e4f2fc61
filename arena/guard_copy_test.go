package arena

import "testing"

// Who takes and closes several snapshots by turns, as a game that goes back does, gets
// memory that the system has backed already; when none is open, one is kept.
func TestCopyGuardKeepsMemoryForARing(t *testing.T) {
	for _, limit := range []int64{0, 20 << 20} {
		a, err := New(Options{Guard: GuardCopy, MaxSize: 64 << 20, MaxPreserved: limit})
		if err != nil {
			t.Fatal(err)
		}
		defer a.Close()
		g := a.guard.(*copyGuard)
		if _, err := a.Alloc(1<<20, 0); err != nil {
			t.Fatal(err)
		}
		const ring = 5
		for range 3 {
			var open []*Snapshot
			for range ring {
				s, err := a.Snapshot()
				if err != nil {
					t.Fatal(err)
				}
				open = append(open, s)
			}
			for i, s := range open {
				if n := len(g.spares) + g.open; n != ring {
					t.Errorf("%d mappings with %d snapshots open, want %d", n, g.open, ring)
				}
				if held := int64(g.bytes.Load()); limit != 0 && held+int64(len(g.spares))*s.h.f.(*copied).memSize() > limit {
					t.Errorf("%d bytes and %d spares are more than MaxPreserved", held, len(g.spares))
				}
				if err := open[i].Close(); err != nil {
					t.Fatal(err)
				}
			}
			if len(g.spares) != 1 {
				t.Errorf("%d spares with no snapshot open, want 1", len(g.spares))
			}
		}
	}
}

func (c *copied) memSize() int64 { return int64(c.mem.Size()) }
