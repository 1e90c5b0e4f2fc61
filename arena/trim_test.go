package arena

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"testing"
)

// nobody is the gate of an arena that only the test uses.
func nobody() (release func(), err error) { return func() {}, nil }

func trim(t testing.TB, a *Arena) {
	t.Helper()
	if err := a.Trim(nobody); err != nil {
		t.Fatal(err)
	}
}

// TestTrimGivesMemoryBack: what was freed is in memory before, and not after it.
func TestTrimGivesMemoryBack(t *testing.T) {
	eachGuard(t, func(t *testing.T, g Guard) {
		for i := range 4 {
			const size = 16 << 20
			track, populate := i%2 == 1, i >= 2
			a := newArena(t, Options{Guard: g, Track: track, MaxSize: 128 << 20, populate: populate})
			kept := alloc(t, a, 4<<20)
			fillWith(kept, 7)
			off, err := a.Alloc(size, pageSize)
			if err != nil {
				t.Fatal(err)
			}
			fillWith(a.mem.Bytes(off, size), 9)
			if track {
				if err := snapshot(t, a).Close(); err != nil {
					t.Fatal(err)
				}
			}
			before, err := a.Resident()
			if errors.Is(err, errors.ErrUnsupported) {
				t.Skip("it cannot be told here what is in memory")
			}
			if err != nil {
				t.Fatal(err)
			}
			if err := a.Free(off); err != nil {
				t.Fatal(err)
			}
			trim(t, a)
			after, err := a.Resident()
			if err != nil {
				t.Fatal(err)
			}
			did := a.Stats()
			// What is populated again is the page of zeros: no memory, but resident.
			if fell := before - after; fell < size*9/10 && !populate || did.Trimmed < max(fell, size*9/10) || did.Trims != 1 {
				t.Errorf("track %v: resident %d, then %d; %d trims gave back %d", track, before, after, did.Trims, did.Trimmed)
			}
			if n := bytes.Count(kept, []byte{7}); n != len(kept) {
				t.Error("what is allocated was changed")
			}
			b := alloc(t, a, size)
			if i := notZero(b); i >= 0 {
				t.Errorf("byte %d of memory that is used again is not zero", i)
			}
			fillWith(b, 3)
			s := snapshot(t, a)
			fillWith(b, 4)
			if got := content(t, s); bytes.Count(got, []byte{3}) < size || bytes.Count(got, []byte{4}) >= size {
				t.Error("a first write to a page that had been given back was missed")
			}
			for err := range a.Check() {
				t.Error(err)
			}
		}
	})
}

func fillWith(b []byte, v byte) {
	for i := range b {
		b[i] = v
	}
}

// TestTrimPreservesNothing: memory that a snapshot needs stays where it is; to save it
// elsewhere would free nothing.
func TestTrimPreservesNothing(t *testing.T) {
	for _, g := range guards(t) {
		if g != GuardUserfault && g != GuardMprotect {
			continue
		}
		a := newArena(t, Options{Guard: g, MaxSize: 128 << 20})
		const size = 16 << 20
		off, err := a.Alloc(size, pageSize)
		if err != nil {
			t.Fatal(err)
		}
		fillWith(a.mem.Bytes(off, size), 5)
		s := snapshot(t, a)
		if err := a.Free(off); err != nil {
			t.Fatal(err)
		}
		trim(t, a)
		if n := a.Stats().PreservedPages; n > 1000 {
			t.Errorf("guard %v: %d pages preserved by a trim", g, n)
		}
		if n := bytes.Count(content(t, s), []byte{5}); n < size {
			t.Errorf("guard %v: a snapshot has changed", g)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		before := a.Stats().Trimmed
		trim(t, a)
		if n := a.Stats().Trimmed - before; n < size*9/10 {
			t.Errorf("guard %v: with the snapshot closed %d bytes went back", g, n)
		}
	}
}

// TestTrimOfSlots: memory of closed snapshots goes back, too.
func TestTrimOfSlots(t *testing.T) {
	eachGuard(t, func(t *testing.T, g Guard) {
		a := newArena(t, Options{Guard: g, MaxSize: 128 << 20})
		b := alloc(t, a, 8<<20)
		fillWith(b, 1)
		s := snapshot(t, a)
		fillWith(b, 2)
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		trim(t, a)
		if n := bytes.Count(b, []byte{2}); n != len(b) {
			t.Error("what is allocated was changed")
		}
		s = snapshot(t, a)
		fillWith(b, 3)
		if n := bytes.Count(content(t, s), []byte{2}); n < len(b) {
			t.Error("a snapshot after it is wrong")
		}
	})
}

func TestTrimAnswersWhatHoldSays(t *testing.T) {
	a := newArena(t, Options{Guard: GuardCopy})
	refused := errors.New("refused")
	if err := a.Trim(func() (func(), error) { return nil, refused }); !errors.Is(err, refused) {
		t.Errorf("Trim: %v", err)
	}
	if s := a.Stats(); s.Trims != 0 {
		t.Errorf("%d trims", s.Trims)
	}
}

// TestTrimInAnyOrder: runs and small objects come and go, snapshots are taken, read,
// rolled back to and closed, and memory given back at any time.
func TestTrimInAnyOrder(t *testing.T) {
	eachGuard(t, func(t *testing.T, g Guard) {
		seeds := uint64(8)
		if testing.Short() {
			seeds = 3
		}
		for seed := range seeds {
			rng := rand.New(rand.NewPCG(seed, 3))
			a := newArena(t, Options{Guard: g, Track: seed%2 == 0, MaxPreserved: 512 << 20, MaxSize: 1 << 30})
			type object struct {
				off, size uint64
				fill      byte
			}
			type frozen struct {
				s    *Snapshot
				want []byte
				live []object
			}
			var live []object
			var open []frozen
			check := func(f frozen) {
				t.Helper()
				if !bytes.Equal(content(t, f.s), f.want) {
					t.Fatalf("seed %d: a snapshot has changed", seed)
				}
			}
			for range 400 {
				switch rng.IntN(12) {
				case 0, 1, 2:
					size := 1 + rng.Uint64N(3000)
					if rng.IntN(2) == 0 {
						size = 1 + rng.Uint64N(1<<20)
					}
					off, err := a.Alloc(size, 0)
					if err != nil {
						t.Fatal(err)
					}
					b := a.mem.Bytes(off, size)
					if i := notZero(b); i >= 0 {
						t.Fatalf("seed %d: byte %d of %d is not zero", seed, i, size)
					}
					o := object{off, size, byte(1 + rng.IntN(255))}
					fillWith(b, o.fill)
					live = append(live, o)
				case 3, 4, 5:
					if len(live) > 0 {
						i := rng.IntN(len(live))
						if err := a.Free(live[i].off); err != nil {
							t.Fatal(err)
						}
						live = append(live[:i:i], live[i+1:]...)
					}
				case 6:
					if len(live) > 0 {
						o := &live[rng.IntN(len(live))]
						o.fill++
						fillWith(a.mem.Bytes(o.off, o.size), o.fill)
					}
				case 7:
					if len(open) < 4 {
						want := bytes.Clone(a.mem.Bytes(0, a.High()))
						open = append(open, frozen{snapshot(t, a), want, append([]object(nil), live...)})
					}
				case 8:
					if len(open) > 0 {
						i := rng.IntN(len(open))
						check(open[i])
						if err := open[i].s.Close(); err != nil {
							t.Fatal(err)
						}
						open = append(open[:i:i], open[i+1:]...)
					}
				case 9:
					if len(open) > 0 {
						i := rng.IntN(len(open))
						if err := a.Rollback(open[i].s, nobody); err != nil {
							t.Fatal(err)
						}
						open = open[:i+1]
						live = append([]object(nil), open[i].live...)
						if !bytes.Equal(a.mem.Bytes(0, a.High()), open[i].want) {
							t.Fatalf("seed %d: rolled back to something else", seed)
						}
					}
				default:
					trim(t, a)
				}
				for _, o := range live {
					if n := bytes.Count(a.mem.Bytes(o.off, o.size), []byte{o.fill}); n != int(o.size) {
						t.Fatalf("seed %d: the object of %d at %#x was changed", seed, o.size, o.off)
					}
				}
			}
			for err := range a.Check() {
				t.Error(err)
			}
			for _, f := range open {
				check(f)
			}
		}
	})
}

// TestTrimBesideReaders: a snapshot is read while memory that it has is given back, run by run.
func TestTrimBesideReaders(t *testing.T) {
	eachGuard(t, func(t *testing.T, g Guard) {
		a := newArena(t, Options{Guard: g, MaxPreserved: 64 << 20, MaxSize: 64 << 20})
		const runs, size = 1000, 9 * pageSize
		var offs []uint64
		for range runs {
			off, err := a.Alloc(size, 0)
			if err != nil {
				t.Fatal(err)
			}
			fillWith(a.mem.Bytes(off, size), 5)
			offs = append(offs, off)
		}
		s := snapshot(t, a)
		defer s.Close()
		for i := 0; i < runs; i += 2 { // none beside another
			fillWith(a.mem.Bytes(offs[i], size), 6)
			if err := a.Free(offs[i]); err != nil {
				t.Fatal(err)
			}
		}
		trimmed := make(chan error)
		go func() { trimmed <- a.Trim(nobody) }()
		p := make([]byte, size)
		for reading := true; reading; {
			select {
			case err := <-trimmed:
				if err != nil {
					t.Error(err)
				}
				reading = false
			default:
			}
			for _, i := range []int{0, runs / 2} {
				if _, err := s.ReadAt(p, int64(offs[i])); err != nil {
					t.Fatal(err)
				}
				if n := bytes.Count(p, []byte{5}); n != size {
					t.Fatalf("run %d of a snapshot differs in %d bytes", i, size-n)
				}
			}
		}
	})
}
