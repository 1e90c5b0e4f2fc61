package arena

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/cowheap/cowheap/internal/trap"
)

// Snapshots are taken, closed and rolled back to in any order; after each step the
// memory and every open snapshot are compared with copies.
func TestRollbackWithMprotect(t *testing.T) {
	for _, o := range []Options{{}, {Arming: ArmAhead}, {Arming: ArmAhead, Track: true}, {FaultPages: 1}} {
		t.Run(fmt.Sprintf("%v track %v", o.Arming, o.Track), func(t *testing.T) {
			passOverFewPages(t)
			o.Guard, o.MaxPreserved = GuardMprotect, 256<<20
			a := newArena(t, o)
			b := alloc(t, a, 2<<20)
			all := func() []byte { return bytes.Clone(a.mem.Bytes(0, a.High())) }
			rng := rand.New(rand.NewPCG(7, 7))
			type kept struct {
				s    *Snapshot
				want []byte
			}
			var open []kept
			steps := 300
			if testing.Short() {
				steps = 60
			}
			for step := range steps {
				for range rng.IntN(30) {
					*wordAt(b, rng.IntN(len(b)/8)*8) = rng.Uint64()
				}
				switch i := rng.IntN(max(len(open), 1)); {
				case len(open) < 2 || rng.IntN(3) == 0 && len(open) < 6:
					if rng.IntN(8) == 0 && a.High() < 40<<20 {
						fill(alloc(t, a, 1<<20), byte(step)) // beyond those that are open
					}
					want := all()
					open = append(open, kept{snapshot(t, a), want})
				case rng.IntN(2) == 0:
					open[i].s.Close()
					open = append(open[:i:i], open[i+1:]...)
				default:
					if err := a.Rollback(open[i].s, func() (func(), error) { return func() {}, nil }); err != nil {
						t.Fatal(err)
					}
					if !bytes.Equal(all(), open[i].want) {
						t.Fatalf("step %d: the memory is not the snapshot's", step)
					}
					if rest := a.mem.Bytes(a.High(), a.committed.Load()-a.High()); len(bytes.Trim(rest, "\x00")) != 0 {
						t.Fatalf("step %d: what lies beyond is not zero", step)
					}
					for _, k := range open[i+1:] {
						if _, err := k.s.ReadAt(make([]byte, 1), 0); err == nil {
							t.Errorf("step %d: a newer snapshot can be read", step)
						}
					}
					open = open[: i+1 : i+1]
				}
				if step%5 == 0 {
					for i, k := range open {
						if !bytes.Equal(content(t, k.s), k.want) {
							t.Fatalf("step %d: snapshot %d is not as it was", step, i)
						}
					}
				}
			}
		})
	}
}

// At the limit of mappings everything is opened, and protected again.
func TestRollbackAfterOpeningEverything(t *testing.T) {
	a := newArena(t, Options{Guard: GuardMprotect})
	b := alloc(t, a, 8<<20)
	fill(b, 1)
	want := bytes.Clone(a.mem.Bytes(0, a.High()))
	s := snapshot(t, a)
	b[5<<20] = 2
	r := restorer{h: a.guard.(*mprotected).h, everything: true}
	if err := errors.Join(r.h.OpenAll(), r.reach(3), r.done()); err != nil {
		t.Fatal(err)
	}
	for off := 0; off < len(b); off += trap.MinChunk * pageSize {
		b[off] = 3 // faults as before
	}
	if !bytes.Equal(content(t, s), want) {
		t.Error("the snapshot is not as it was")
	}
	s.Close()
}
