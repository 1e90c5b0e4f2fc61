package arena

import (
	"bytes"
	"math/rand/v2"
	"testing"
)

// What Changed leaves out is the same in both.
func TestChangedNamesEveryPageThatDiffers(t *testing.T) {
	eachGuard(t, func(t *testing.T, g Guard) {
		a := newArena(t, Options{Guard: g, FaultPages: 1})
		b := alloc(t, a, 200*pageSize)
		rng := rand.New(rand.NewPCG(1, 1))
		var open []*Snapshot
		for range 60 {
			for range rng.IntN(20) {
				b[rng.IntN(len(b))]++
			}
			if rng.IntN(8) == 0 {
				b = alloc(t, a, 200*pageSize)
			}
			if len(open) > 0 && rng.IntN(6) == 0 {
				i := rng.IntN(len(open))
				if err := a.Rollback(open[i], a.opts.hold()); err != nil {
					t.Fatal(err)
				}
				open = open[:i+1]
				b = a.mem.Bytes(a.High()-200*pageSize, 200*pageSize)
			}
			s, err := a.Snapshot()
			if err != nil {
				t.Fatal(err)
			}
			open = append(open, s)
			if len(open) > 5 {
				i := rng.IntN(len(open) - 1)
				open[i].Close()
				open = append(open[:i], open[i+1:]...)
			}
			older := open[rng.IntN(len(open))]
			pages, ok := s.Changed(older)
			if older == s || g == GuardCopy {
				if ok {
					t.Fatal("it is known in what a snapshot differs from itself, or a copy from a copy")
				}
				continue
			}
			if !ok {
				t.Fatal("it is not known in what two open snapshots differ")
			}
			was, is := contentOf(t, older), contentOf(t, s)
			was = append(was, make([]byte, len(is)-len(was))...)
			last, count := int64(0), int64(0)
			for off, n := range pages {
				if off < last || n <= 0 || off%pageSize != 0 || n%pageSize != 0 {
					t.Fatalf("%d bytes at %d, after %d", n, off, last)
				}
				last = off + n
				count += n
				copy(was[off:off+n], is[off:])
			}
			if !bytes.Equal(was, is) {
				t.Fatal("a page differs and was not named")
			}
			if g == GuardUserfault && count > int64(len(is))*3/4 && older.Size() == s.Size() {
				t.Errorf("%d of %d bytes may differ", count, len(is))
			}
		}
	})
}

func contentOf(t *testing.T, s *Snapshot) []byte {
	t.Helper()
	b := make([]byte, s.Size())
	if _, err := s.ReadAt(b, 0); err != nil {
		t.Fatal(err)
	}
	return b
}
