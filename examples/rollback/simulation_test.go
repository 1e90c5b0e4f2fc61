package main

import (
	"testing"

	"github.com/cowheap/cowheap/arena"
)

// The simulation costs what the documentation says: more than 32 MiB, of which a frame
// writes a few hundred to two thousand pages.
func TestAFrameWritesAPartOfThePages(t *testing.T) {
	g := newTestGame(t, 4)
	for range 12 {
		playOne(t, g)
	}
	s, err := g.frames.Snapshot(g.now - 1)
	if err != nil {
		t.Fatal(err)
	}
	written := g.cost.Changed / g.cost.Final
	t.Logf("%d of %d pages a frame", written, s.Size()/4096)
	if s.Size() < 32<<20 || written < 200 || written > 2000 {
		t.Errorf("%d bytes, and a frame writes %d pages; want at least 32 MiB and 200 to 2000 pages", s.Size(), written)
	}
}

func newTestGame(t testing.TB, players int) *game {
	t.Helper()
	g, err := newGame(settings{guard: arena.GuardCopy, peers: players})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := g.close(); err != nil {
			t.Error(err)
		}
	})
	return g
}

// playOne saves and simulates a frame in which all inputs are known.
func playOne(t testing.TB, g *game) (sum uint64) {
	t.Helper()
	for p := range g.inputs.known {
		have := len(g.inputs.known[p])
		g.inputs.add(p, have, []input{scripted(p, have)})
	}
	sum, err := g.save()
	if err != nil {
		t.Fatal(err)
	}
	if err := g.confirm(); err != nil {
		t.Fatal(err)
	}
	if err := g.simulate(); err != nil {
		t.Fatal(err)
	}
	return sum
}

// Entities stay where they belong whatever the players do, and every input makes a difference.
func TestInputsChangeTheState(t *testing.T) {
	sums := map[uint64]input{}
	for _, in := range []input{0, inputLeft, inputRight, inputUp, inputDown, inputFire} {
		g := newTestGame(t, 2)
		for range 3 {
			have := len(g.inputs.known[1])
			g.inputs.add(0, have, []input{0})
			g.inputs.add(1, have, []input{in})
			if err := g.simulate(); err != nil {
				t.Fatal(err)
			}
		}
		sum, err := g.save()
		if err != nil {
			t.Fatal(err)
		}
		if was, ok := sums[sum]; ok {
			t.Errorf("input %b does what %b does", in, was)
		}
		sums[sum] = in
	}
}

func BenchmarkStep(b *testing.B) {
	g := newTestGame(b, 4)
	for b.Loop() {
		if err := g.simulate(); err != nil {
			b.Fatal(err)
		}
	}
}
