package restore

import (
	"bytes"
	"testing"

	"github.com/cowheap/cowheap/arena"
)

// With the shadow guard a snapshot of what is not in yet reads the file, or the parent, and
// costs what was written.
func TestShadowSnapshotBringsNothingIn(t *testing.T) {
	eachLazyGuard(t, func(t *testing.T, g arena.Guard) {
		if g != arena.GuardShadow {
			t.Skip("brings in what it reads")
		}
		src, want := source(t, g)
		fromFile, l := lazily(t, saved(t, src), g, false)
		fork, fl := forked(t, src, Options{Arena: arena.Options{Guard: g, MaxSize: 64 << 20}})
		for name, c := range map[string]struct {
			a *arena.Arena
			l *Lazy
		}{"file": {fromFile, l}, "fork": {fork, fl}} {
			t.Run(name, func(t *testing.T) {
				b := bytesOf(c.a)
				for i := range 20 {
					b[2<<20+i*64<<10]++
				}
				in := c.a.Stats().RestoredPages
				s, err := c.a.Snapshot()
				if err != nil {
					t.Fatal(err)
				}
				defer s.Close()
				got := make([]byte, s.Size())
				if _, err := s.ReadAt(got, 0); err != nil {
					t.Fatal(err)
				}
				if _, err := s.ReadAt(got[5<<20+1000:5<<20+9000], 5<<20+1000); err != nil { // parts of pages
					t.Fatal(err)
				}
				for i := range 20 {
					got[2<<20+i*64<<10]--
				}
				if !bytes.Equal(got, want) {
					t.Error("the snapshot differs")
				}
				if now := c.a.Stats(); now.RestoredPages != in || s.Stats().Pages != 20 || now.ShadowBytes != 20*4096 {
					t.Errorf("the snapshot copied %d pages and brought %d in; the shadow has %d bytes", s.Stats().Pages, now.RestoredPages-in, now.ShadowBytes)
				}
				if err := c.l.Populate(t.Context()); err != nil {
					t.Fatal(err)
				}
				if now := c.a.Stats(); now.RestoredPages != now.RestorePages && now.RestoredPages == in {
					t.Errorf("%d of %d pages are in", now.RestoredPages, now.RestorePages)
				}
				if _, err := s.ReadAt(got, 0); err != nil {
					t.Fatal(err)
				}
				for i := range 20 {
					got[2<<20+i*64<<10]--
				}
				if !bytes.Equal(got, want) {
					t.Error("the snapshot differs once all is in")
				}
			})
		}
		if n := src.Stats().Forks; n != 0 {
			t.Errorf("%d forks of the parent", n)
		}
	})
}

// Parent, snapshot and fork are closed in every order.
func TestForkOutlivesAndIsOutlived(t *testing.T) {
	for _, order := range []string{"asf", "afs", "saf", "sfa", "fas", "fsa"} {
		t.Run(order, func(t *testing.T) {
			eachGuard(t, func(t *testing.T, g arena.Guard) {
				a, want := source(t, g)
				s, err := a.Snapshot()
				if err != nil {
					t.Fatal(err)
				}
				f, l, err := Fork(t.Context(), s, Options{Arena: arena.Options{Guard: g, MaxSize: 64 << 20}})
				if err != nil {
					t.Fatal(err)
				}
				own, err := f.Snapshot()
				if err != nil {
					t.Fatal(err)
				}
				for i, c := range order {
					switch c {
					case 'a':
						err = a.Close()
					case 's':
						err = s.Close()
					case 'f':
						got := make([]byte, own.Size())
						if _, err := own.ReadAt(got, 0); err != nil || !bytes.Equal(got, want) {
							t.Errorf("the fork's snapshot differs (%v)", err)
						}
						if i%2 == 0 && !bytes.Equal(bytesOf(f), want) {
							t.Error("the fork differs")
						}
						if l != nil {
							l.Stop()
						}
						err = f.Close()
					}
					if err != nil {
						t.Fatal(err)
					}
				}
			})
		})
	}
}
