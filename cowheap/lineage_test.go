package cowheap

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"testing"

	"github.com/google/uuid"

	"github.com/cowheap/cowheap/arena"
	"github.com/cowheap/cowheap/checkpoint"
)

// field is state of a few thousand pages.
type field [2000 * 512]uint64

// till writes to n pages of the field.
func till(t *testing.T, h *Heap, rng *rand.Rand, n int) {
	t.Helper()
	err := h.Update(func(m *Mem) error {
		r, err := Root[field](m, "field")
		if err != nil {
			return err
		}
		for range n {
			r.Ptr(m)[rng.IntN(len(field{}))] = rng.Uint64()
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// memoryOf is all of a heap's memory.
func memoryOf(t *testing.T, h *Heap) []byte {
	t.Helper()
	var all []byte
	if err := h.View(func(m *Mem) error {
		all = bytes.Clone(m.bytes(0, h.a.High()))
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return all
}

// tracking is each guard, with Track.
func tracking(t *testing.T, test func(t *testing.T, o Options, tracks bool)) {
	eachHeapGuard(t, func(t *testing.T, o *Options) {
		o.Track, o.FaultPages, o.Keep = true, 1, 3
		test(t, *o, o.Guard != arena.GuardCopy)
	})
}

func TestCheckpointHoldsWhatWasWritten(t *testing.T) {
	tracking(t, func(t *testing.T, o Options, tracks bool) {
		dir, rng := memoryDir(t), rand.New(rand.NewPCG(1, 1))
		o.MaxChain = 4
		h := have[*Heap](t)(Open(dir, &o))
		defer func() { closing(t, h) }()
		var last checkpoint.Info
		for i := range 12 {
			if i == 0 {
				till(t, h, rng, 20_000)
			}
			till(t, h, rng, 20)
			info := have[checkpoint.Info](t)(h.Checkpoint(t.Context()))
			// The last one may have been folded in the meantime.
			want := tracks && i > 0 && (last.Chain < o.MaxChain || info.Incremental)
			switch {
			case info.Incremental != want || info.Chain > o.MaxChain:
				t.Fatalf("checkpoint %d, incremental: %v, in %d files", i, info.Incremental, info.Chain)
			case want && info.Parent != last.ID:
				t.Errorf("checkpoint %d: the parent is %v, not the last one", i, info.Parent)
			case !want && info.Pages < 1000, want && info.Pages > 800, want && o.Guard != arena.GuardMprotect && info.Pages > 80:
				t.Errorf("checkpoint %d, incremental %v, has %d pages", i, want, info.Pages)
			}
			last = info
			if i%3 != 2 {
				continue
			}
			was := memoryOf(t, h)
			if i%2 == 0 { // not what is saved
				till(t, h, rng, 20)
			}
			closing(t, h)
			h = have[*Heap](t)(Open(dir, &o))
			if origin, skipped := h.Origin(); origin.ID != last.ID || len(skipped) > 0 {
				t.Errorf("opened %v, skipped %v", origin, skipped)
			}
			if !bytes.Equal(memoryOf(t, h), was) {
				t.Errorf("after checkpoint %d the heap that is opened is another", i)
			}
		}
	})
}

// Saves in any order, of snapshots that were rolled back in between, with failures: the
// directory has what was saved.
func TestSaveInAnyOrder(t *testing.T) {
	tracking(t, func(t *testing.T, o Options, tracks bool) {
		dir, rng := memoryDir(t), rand.New(rand.NewPCG(2, uint64(o.Guard)))
		o.Keep = 4
		h := have[*Heap](t)(Open(dir, &o))
		defer func() { closing(t, h) }()
		till(t, h, rng, 5000)
		type instant struct {
			s    *Snapshot
			was  []byte
			done bool
		}
		var open []*instant
		saved := map[uuid.UUID][]byte{}
		incremental, rounds := 0, 60
		if testing.Short() {
			rounds = 25
		}
		for round := range rounds {
			till(t, h, rng, rng.IntN(30))
			s := have[*Snapshot](t)(h.Snapshot())
			now := &instant{s: s, was: make([]byte, s.Size())}
			have[int](t)(s.ReadAt(now.was, 0))
			open = append(open, now)
			i := rng.IntN(len(open))
			switch rng.IntN(6) {
			case 0:
				if err := h.Rollback(open[i].s); err != nil {
					t.Fatal(err)
				}
				open = open[:i+1]
			case 1:
				ctx, cancel := context.WithCancel(t.Context())
				cancel()
				if _, err := open[i].s.Save(ctx); !errors.Is(err, context.Canceled) && !open[i].done {
					t.Fatal("saved, though cancelled: ", err)
				}
			case 2:
				closing(t, open[i].s)
				open = append(open[:i], open[i+1:]...)
			default:
				if open[i].done {
					break
				}
				info, err := open[i].s.Save(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				open[i].done = true
				saved[info.ID] = open[i].was
				if info.Incremental {
					incremental++
				}
			}
			if len(open) > 4 {
				closing(t, open[0].s)
				open = open[1:]
			}
			infos, skipped, err := h.dir.List()
			if err != nil || len(skipped) > 0 {
				t.Fatal(skipped, err)
			}
			if round%4 == 0 && len(infos) > 0 {
				closing(t, h)
				h, open = have[*Heap](t)(Open(dir, &o)), nil
				origin, skipped := h.Origin()
				if len(skipped) > 0 || !bytes.Equal(memoryOf(t, h), saved[origin.ID]) {
					t.Fatalf("round %d: opened %v, skipped %v: not what was saved", round, origin.ID, skipped)
				}
			}
		}
		if tracks && incremental == 0 || !tracks && incremental > 0 {
			t.Errorf("%d incremental checkpoints", incremental)
		}
	})
}

func TestCheckpointIsFullWhereNothingIsKnown(t *testing.T) {
	for name, change := range map[string]func(*Options){
		"untracked": func(o *Options) { o.Track = false },
		"never":     func(o *Options) { o.MaxChain = -1 },
		"one file":  func(o *Options) { o.MaxChain = 1 },
		"copy":      func(o *Options) { o.Guard = arena.GuardCopy },
	} {
		t.Run(name, func(t *testing.T) {
			o := Options{MaxSize: 64 << 20, Track: true}
			change(&o)
			h := have[*Heap](t)(Open(memoryDir(t), &o))
			defer closing(t, h)
			rng := rand.New(rand.NewPCG(3, 3))
			for i := range 3 {
				till(t, h, rng, 10)
				if info, err := h.Checkpoint(t.Context()); err != nil || info.Incremental {
					t.Errorf("checkpoint %d is incremental: %v (%v)", i, info.Incremental, err)
				}
			}
		})
	}
}

// What is mostly new is worth a full checkpoint.
func TestCheckpointOfWhatIsMostlyNewIsFull(t *testing.T) {
	tracking(t, func(t *testing.T, o Options, tracks bool) {
		h := have[*Heap](t)(Open(memoryDir(t), &o))
		defer closing(t, h)
		rng := rand.New(rand.NewPCG(4, 4))
		for i, writes := range []int{20_000, 5, 20_000, 5} {
			till(t, h, rng, writes)
			info := have[checkpoint.Info](t)(h.Checkpoint(t.Context()))
			if want := tracks && i%2 == 1; info.Incremental != want {
				t.Errorf("checkpoint %d after %d writes, incremental: %v", i, writes, info.Incremental)
			}
		}
	})
}
