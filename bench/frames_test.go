package main

import (
	"errors"
	"testing"

	"github.com/cowheap/cowheap/arena"
)

// TestGameGoesBackToItsFrames plays on every way to keep frames that there is here, and
// the copy guard, which is everywhere.
func TestGameGoesBackToItsFrames(t *testing.T) {
	stores := map[string]func() (frameStore, error){
		wayMemcpy: func() (frameStore, error) { return newFrameCopies(4 * mib) },
	}
	for _, guard := range []arena.Guard{arena.GuardCopy, arena.GuardUserfault, arena.GuardShadow, arena.GuardMprotect} {
		stores[guard.String()] = func() (frameStore, error) { return newFrameSnapshots(4*mib, guard) }
	}
	for name, open := range stores {
		t.Run(name, func(t *testing.T) {
			s, err := open()
			if errors.Is(err, errors.ErrUnsupported) {
				t.Skip(err)
			}
			if err != nil {
				t.Fatal(err)
			}
			g := &game{frameStore: s}
			defer func() {
				if err := g.close(); err != nil {
					t.Error(err)
				}
			}()
			for _, shape := range []frameShape{{4 * mib, 1, false}, {4 * mib, 1, true}, {4 * mib, 50, false}, {4 * mib, 50, true}, {4 * mib, 100, false}} {
				for _, op := range []string{opSave, opLoad1, opLoad8} {
					_, err := g.measure(frameVariant{shape, name, op}, true)
					if errors.Is(err, errors.ErrUnsupported) {
						t.Skip(err)
					}
					if err != nil {
						t.Fatalf("%s of %v: %v", op, shape, err)
					}
				}
			}
		})
	}
}

func TestGameNoticesAFrameThatIsNotUndone(t *testing.T) {
	s, err := newFrameCopies(1 * mib)
	if err != nil {
		t.Skip(err)
	}
	g := &game{frameStore: s}
	defer g.close()
	g.play(frameShape{1 * mib, 1, false})
	for range framesKept {
		if err := g.step(); err != nil {
			t.Fatal(err)
		}
	}
	g.frame -= 2 // as if a load had done nothing
	if g.check() == nil {
		t.Error("a frame of the future goes unnoticed")
	}
	g.frame += 3
	if g.check() == nil {
		t.Error("a frame that is missing goes unnoticed")
	}
}

func TestNamesOfFramesAreTakenApart(t *testing.T) {
	for _, v := range framesCase().Variants {
		f := findFrames(v.Name)
		if f.shape.of(f.way, f.op) != v.Name {
			t.Errorf("%s is taken for %+v", v.Name, f)
		}
	}
}
