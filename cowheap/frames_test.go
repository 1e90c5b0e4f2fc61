package cowheap

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/cowheap/cowheap/arena"
)

// eachRingGuard is eachHeapGuard with room for a ring of frames.
func eachRingGuard(t *testing.T, test func(t *testing.T, o *Options)) {
	eachHeapGuard(t, func(t *testing.T, o *Options) {
		o.MaxPreserved, o.Seed = 1<<30, 5
		test(t, o)
	})
}

// stateOf is every byte of the heap.
func stateOf(t testing.TB, h *Heap) []byte {
	t.Helper()
	s := have[*Snapshot](t)(h.Snapshot())
	defer s.Close()
	b := make([]byte, s.Size())
	if _, err := s.ReadAt(b, 0); err != nil {
		t.Fatal(err)
	}
	return b
}

// naiveSum is what Save has to answer for these bytes.
func naiveSum(b []byte) (sum uint64) {
	for page := uint64(0); len(b) > 0; page++ {
		var p [sumPageSize]byte
		b = b[copy(p[:], b):]
		sum += pageSum(page, p[:])
	}
	return sum
}

// gameState is changed by play: a deterministic step that allocates and frees, too.
type gameState struct {
	Steps  uint64
	Board  [40000]uint64
	Names  Map[uint64, uint64]
	Pieces Vec[Ref[[700]byte]]
}

func play(h *Heap, input uint64) error {
	return h.Update(func(m *Mem) error {
		r, err := Root[gameState](m, "game")
		if err != nil {
			return err
		}
		g := r.Ptr(m)
		g.Steps++
		x := input*0x9e3779b97f4a7c15 + g.Steps
		for range input % 50 {
			x ^= x<<13 ^ x>>7
			g.Board[x%uint64(len(g.Board))] += x
		}
		if input%5 == 0 && g.Pieces.Len() > 0 {
			last := g.Pieces.Len() - 1
			if err := Free(m, g.Pieces.Slice(m)[last]); err != nil {
				return err
			}
			g.Pieces.Truncate(m, last)
		} else {
			piece, err := Alloc[[700]byte](m)
			if err != nil {
				return err
			}
			piece.Ptr(m)[input%700] = byte(input)
			if err := g.Pieces.Append(m, piece); err != nil {
				return err
			}
		}
		if input%3 == 0 {
			g.Names.Delete(m, input-3)
			return nil
		}
		return g.Names.Set(m, input, x)
	})
}

// naiveFrames is Frames by copies of everything.
type naiveFrames struct {
	n      int
	number []int
	state  [][]byte
	sum    []uint64
}

func (f *naiveFrames) keep(n int) {
	f.number, f.state, f.sum = f.number[:n], f.state[:n], f.sum[:n]
}

func (f *naiveFrames) save(number int, state []byte) {
	i, _ := slices.BinarySearch(f.number, number)
	f.keep(i)
	if len(f.number) == f.n {
		f.number, f.state, f.sum = f.number[1:], f.state[1:], f.sum[1:]
	}
	f.number, f.state, f.sum = append(f.number, number), append(f.state, state), append(f.sum, naiveSum(state))
}

func TestFramesAgainstCopies(t *testing.T) {
	eachRingGuard(t, func(t *testing.T, o *Options) {
		rapid.Check(t, func(rt *rapid.T) {
			h, err := New(o)
			if err != nil {
				rt.Fatal(err)
			}
			defer h.Close()
			n := rapid.IntRange(1, 6).Draw(rt, "n")
			f, err := NewFrames(h, n)
			if err != nil {
				rt.Fatal(err)
			}
			model := &naiveFrames{n: n}
			next := 0
			var others []*Snapshot
			check := func() {
				for i, number := range model.number {
					s, err := f.Snapshot(number)
					if err != nil {
						rt.Fatal(err)
					}
					got := make([]byte, s.Size())
					if _, err := s.ReadAt(got, 0); err != nil || !bytes.Equal(got, model.state[i]) {
						rt.Fatalf("frame %d: the state is not what was saved (%v)", number, err)
					}
					pages, err := f.Pages(number)
					if err != nil {
						rt.Fatal(err)
					}
					sum := uint64(0)
					for _, p := range pages {
						sum += p
					}
					if sum != model.sum[i] {
						rt.Fatalf("frame %d: the sums of its pages make %#x, want %#x", number, sum, model.sum[i])
					}
				}
				if len(f.ring) != len(model.number) {
					rt.Fatalf("%d frames, want %d", len(f.ring), len(model.number))
				}
			}
			save := func(number int) {
				sum, err := f.Save(number)
				if err != nil {
					rt.Fatal(err)
				}
				model.save(number, stateOf(t, h))
				if want := model.sum[len(model.sum)-1]; sum != want {
					rt.Fatalf("frame %d has checksum %#x, want %#x", number, sum, want)
				}
				next = number + 1
			}
			rt.Repeat(map[string]func(*rapid.T){
				"play": func(rt *rapid.T) {
					if err := play(h, rapid.Uint64Range(1, 1000).Draw(rt, "input")); err != nil {
						rt.Fatal(err)
					}
				},
				"save next":    func(rt *rapid.T) { save(next) },
				"save earlier": func(rt *rapid.T) { save(next - rapid.IntRange(0, 3).Draw(rt, "by")) },
				"save later":   func(rt *rapid.T) { save(next + 2) },
				"load": func(rt *rapid.T) {
					number := next - rapid.IntRange(-1, 8).Draw(rt, "back")
					err := f.Load(number)
					i := slices.Index(model.number, number)
					if i < 0 {
						if !errors.Is(err, ErrNoFrame) {
							rt.Fatalf("loading frame %d: %v, want ErrNoFrame", number, err)
						}
						return
					}
					if err != nil {
						rt.Fatal(err)
					}
					model.keep(i + 1)
					if got := stateOf(t, h); !bytes.Equal(got, model.state[i]) && !bytes.Equal(bytes.TrimRight(got, "\x00"), bytes.TrimRight(model.state[i], "\x00")) {
						rt.Fatalf("after loading frame %d the heap differs", number)
					}
					next = number + 1
				},
				"snapshot of the user's": func(rt *rapid.T) {
					s, err := h.Snapshot()
					if err != nil {
						rt.Fatal(err)
					}
					others = append(others, s)
				},
				"": func(rt *rapid.T) { check() },
			})
			for _, s := range others {
				_ = s.Close()
			}
			if err := f.Close(); err != nil {
				rt.Fatal(err)
			}
		})
	})
}

// Heaps with different guards that do the same have the same checksums, also if one of
// them goes back and does something else in between: the game on all peers.
func TestFramesHaveTheSameChecksumsOnAllPeers(t *testing.T) {
	type peer struct {
		h    *Heap
		f    *Frames
		back bool // goes back now and then
	}
	var peers []peer
	for _, probed := range arena.Probe() {
		if probed.Err != nil {
			continue
		}
		for _, back := range []bool{false, true} {
			o := &Options{Guard: probed.Guard, MaxSize: 256 << 20, MaxPreserved: 1 << 30, Seed: 7}
			h := have[*Heap](t)(New(o))
			defer h.Close()
			peers = append(peers, peer{h, have[*Frames](t)(NewFrames(h, 10)), back})
		}
	}
	sums := make([]uint64, len(peers))
	for number := range 60 {
		for i, p := range peers {
			sum, err := p.f.Save(number)
			if err != nil {
				t.Fatal(err)
			}
			sums[i] = sum
			if p.back && number%5 == 4 {
				// Predicted wrongly for three steps.
				for range 3 {
					must[any](t)(nil, play(p.h, uint64(900+number)))
				}
				must[any](t)(nil, p.f.Load(number))
			}
			must[any](t)(nil, play(p.h, uint64(7*number)))
		}
		for i, sum := range sums {
			if sum != sums[0] {
				t.Fatalf("frame %d: peer %d (%v) has checksum %#x, peer 0 %#x", number, i, peers[i].h.Stats().Guard, sum, sums[0])
			}
		}
	}
	must[any](t)(nil, play(peers[0].h, 1))
	must[any](t)(nil, play(peers[1].h, 2))
	if a, b := have[uint64](t)(peers[0].f.Save(61)), have[uint64](t)(peers[1].f.Save(61)); a == b {
		t.Error("the states differ and have the same checksum")
	}
}

func TestLoadOfAFrameThatIsGone(t *testing.T) {
	eachRingGuard(t, func(t *testing.T, o *Options) {
		h := have[*Heap](t)(New(o))
		defer h.Close()
		f := have[*Frames](t)(NewFrames(h, 3))
		if err := f.Load(0); !errors.Is(err, ErrNoFrame) || !strings.Contains(err.Error(), "none has been saved") {
			t.Errorf("nothing saved: %v", err)
		}
		for number := range 5 {
			set(t, h, 0, uint64(number))
			have[uint64](t)(f.Save(number))
		}
		set(t, h, 0, 99)
		if err := f.Load(1); !errors.Is(err, ErrNoFrame) || !strings.Contains(err.Error(), "2 3 4") {
			t.Errorf("a dropped frame: %v", err)
		}
		if v := get(t, h, 0); v != 99 {
			t.Errorf("an error has changed the heap: %d", v)
		}
		must[any](t)(nil, f.Load(3))
		if v := get(t, h, 0); v != 3 {
			t.Errorf("frame 3 has %d", v)
		}
		if err := f.Load(4); !errors.Is(err, ErrNoFrame) || !strings.Contains(err.Error(), "2 3") {
			t.Errorf("a frame later than the one loaded: %v", err)
		}
	})
}

func TestSaveOfAnExistingFrameDropsTheLaterOnes(t *testing.T) {
	eachRingGuard(t, func(t *testing.T, o *Options) {
		h := have[*Heap](t)(New(o))
		defer h.Close()
		f := have[*Frames](t)(NewFrames(h, 8))
		for number := range 5 {
			set(t, h, 0, uint64(number))
			have[uint64](t)(f.Save(number))
		}
		set(t, h, 0, 77)
		have[uint64](t)(f.Save(2))
		for _, number := range []int{3, 4} {
			if err := f.Load(number); !errors.Is(err, ErrNoFrame) {
				t.Errorf("frame %d: %v, want ErrNoFrame", number, err)
			}
		}
		set(t, h, 0, 78)
		must[any](t)(nil, f.Load(2))
		if v := get(t, h, 0); v != 77 {
			t.Errorf("frame 2 has %d, want 77", v)
		}
		must[any](t)(nil, f.Load(1))
		if v := get(t, h, 0); v != 1 {
			t.Errorf("frame 1 has %d, want 1", v)
		}
	})
}

// A rollback to a snapshot of the user's takes the frames after it along.
func TestFramesBesideARollback(t *testing.T) {
	eachRingGuard(t, func(t *testing.T, o *Options) {
		h := have[*Heap](t)(New(o))
		defer h.Close()
		f := have[*Frames](t)(NewFrames(h, 8))
		set(t, h, 0, 1)
		have[uint64](t)(f.Save(1))
		s := have[*Snapshot](t)(h.Snapshot())
		set(t, h, 0, 2)
		set(t, h, 900, 2)
		have[uint64](t)(f.Save(2))
		must[any](t)(nil, h.Rollback(s))
		if err := f.Load(2); !errors.Is(err, ErrClosed) {
			t.Errorf("a frame newer than the rollback: %v, want ErrClosed", err)
		}
		if sum, want := have[uint64](t)(f.Save(2)), naiveSum(stateOf(t, h)); sum != want {
			t.Errorf("after the rollback the checksum is %#x, want %#x", sum, want)
		}
		must[any](t)(nil, f.Load(1))
		if sum, want := have[uint64](t)(f.Save(2)), naiveSum(stateOf(t, h)); sum != want {
			t.Errorf("after Load the checksum is %#x, want %#x", sum, want)
		}
	})
}

func TestFramesRefuse(t *testing.T) {
	h := have[*Heap](t)(New(&Options{Guard: arena.GuardCopy, MaxSize: 64 << 20}))
	if _, err := NewFrames(h, 0); err == nil {
		t.Error("a ring of no frame")
	}
	f := have[*Frames](t)(NewFrames(h, 2))
	have[uint64](t)(f.Save(1))
	must[any](t)(nil, h.Update(func(*Mem) error {
		if _, err := f.Save(2); !errors.Is(err, ErrNested) {
			t.Errorf("Save inside Update: %v, want ErrNested", err)
		}
		if err := f.Load(1); !errors.Is(err, ErrNested) {
			t.Errorf("Load inside Update: %v, want ErrNested", err)
		}
		return nil
	}))
	must[any](t)(nil, h.Close())
	if _, err := f.Save(2); !errors.Is(err, ErrClosed) {
		t.Errorf("Save after the heap was closed: %v", err)
	}
	if err := f.Load(1); !errors.Is(err, ErrClosed) {
		t.Errorf("Load after the heap was closed: %v", err)
	}
	for range 2 {
		must[any](t)(nil, f.Close())
	}
	for what, err := range map[string]error{"Load": f.Load(1), "Save": second[uint64](f.Save(1)), "Snapshot": second[*Snapshot](f.Snapshot(1)), "Pages": second[[]uint64](f.Pages(1))} {
		if !errors.Is(err, ErrClosed) {
			t.Errorf("%s after Close: %v", what, err)
		}
	}
}

func second[T any](_ T, err error) error { return err }

func TestSaveInASteadyStateAllocatesLittle(t *testing.T) {
	h := have[*Heap](t)(New(&Options{Guard: arena.GuardCopy, MaxSize: 64 << 20}))
	defer h.Close()
	f := have[*Frames](t)(NewFrames(h, 4))
	number := 0
	step := func() {
		number++
		set(t, h, number%1000, uint64(number))
		have[uint64](t)(f.Save(number))
	}
	for range 10 {
		step()
	}
	if n := testing.AllocsPerRun(50, step); n > 40 {
		t.Errorf("%v allocations a frame", n)
	}
}

func TestPageSum(t *testing.T) {
	var p [sumPageSize]byte
	if pageSum(3, p[:]) != 0 {
		t.Error("a page of zeros has a checksum")
	}
	seen := map[uint64]string{}
	add := func(sum uint64, what string) {
		if was, ok := seen[sum]; ok || sum == 0 {
			t.Fatalf("%s has the checksum %#x of %s", what, sum, was)
		}
		seen[sum] = what
	}
	for bit := range 8 * sumPageSize {
		p[bit/8] ^= 1 << (bit % 8)
		add(pageSum(0, p[:]), fmt.Sprint("bit ", bit))
		p[bit/8] ^= 1 << (bit % 8)
	}
	p[99] = 1
	for page := uint64(1); page < 10000; page++ {
		add(pageSum(page, p[:]), fmt.Sprint("page ", page))
	}
	// What another machine computes, too: a change here is a change for every game.
	for i := range p {
		p[i] = byte(i * i >> 3)
	}
	if got := pageSum(12345, p[:]); got != 0xccf0638f40e1f657 {
		t.Errorf("the sum of the test's page is %#x", got)
	}
}

func BenchmarkPageSum(b *testing.B) {
	p := make([]byte, sumPageSize)
	p[5] = 1
	b.SetBytes(sumPageSize)
	for b.Loop() {
		pageSum(1, p)
	}
}

type counters struct{ N [1000]uint64 }

func set(t *testing.T, h *Heap, i int, v uint64) {
	t.Helper()
	if err := h.Update(func(m *Mem) error {
		r, err := Root[counters](m, "counters")
		if err == nil {
			r.Ptr(m).N[i] = v
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
}

func get(t *testing.T, h *Heap, i int) (v uint64) {
	t.Helper()
	if err := h.View(func(m *Mem) error {
		r, err := Root[counters](m, "counters")
		if err == nil {
			v = r.Ptr(m).N[i]
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	return v
}
