package cowheap

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/cowheap/cowheap/arena"
	"github.com/cowheap/cowheap/checkpoint"
)

const modelMaxSize = 32 << 20

// heapModel drives a Heap beside a world.
type heapModel struct {
	guard   arena.Guard
	keep    int
	dir     string
	member               // that everything is done to
	others  []member     // forks of it, or what it is a fork of
	saved   []savedWorld // that the directory keeps, oldest first
	instant int

	everSaved map[int]bool // by instant
}

// member is a heap of a family, and what it must be.
type member struct {
	o        Options // of h
	h        *Heap
	homeless bool // h came from a stream, or is a fork
	w        *world
	open     []*frozen
}

type savedWorld struct {
	instant int
	w       *world
}

// TestHeapModel does anything in any order on every guard; -rapid.checks says
// how often.
func TestHeapModel(t *testing.T) {
	eachHeapGuard(t, func(t *testing.T, o *Options) {
		dirs := memoryDir(t)
		rapid.Check(t, func(t *rapid.T) {
			dir, err := os.MkdirTemp(dirs, "model")
			if err != nil {
				t.Fatal(err)
			}
			defer os.RemoveAll(dir)
			hm := &heapModel{everSaved: map[int]bool{}, guard: o.Guard, dir: dir, keep: rapid.IntRange(1, 3).Draw(t, "keep")}
			hm.start(t)
			defer func() {
				for _, m := range append(hm.others, hm.member) {
					m.h.Close()
				}
			}()
			t.Repeat(map[string]func(*rapid.T){
				"":                             hm.glance,
				"update":                       hm.update,
				"update again":                 hm.update,
				"look":                         func(t *rapid.T) { hm.must(t, hm.w.compare(hm.h)) },
				"snapshot":                     hm.snapshot,
				"check a snapshot":             func(t *rapid.T) { hm.check(t, hm.one(t)) },
				"restore a snapshot":           func(t *rapid.T) { hm.checkRestored(t, hm.one(t)) },
				"close a snapshot":             func(t *rapid.T) { hm.close(t, hm.one(t)) },
				"save a snapshot":              hm.save,
				"checkpoint":                   hm.checkpoint,
				"populate":                     func(t *rapid.T) { hm.must(t, hm.h.Populate(t.Context())) },
				"reopen":                       hm.reopen,
				"go on from a restored stream": hm.move,
				"roll back":                    hm.rollBack,
				"roll back again":              hm.rollBack,
				"trim":                         hm.trim,
				"fork":                         hm.fork,
				"go on in another":             hm.swap,
				"close another":                hm.closeAnother,
			})
			hm.must(t, hm.w.compare(hm.h))
			for len(hm.others) > 0 {
				hm.closeAnother(t)
			}
			for len(hm.open) > 0 {
				f := hm.one(t)
				hm.check(t, f)
				hm.checkRestored(t, f)
				hm.close(t, f)
			}
			hm.reopen(t)
			hm.must(t, hm.w.compare(hm.h))
		})
	})
}

func (hm *heapModel) must(t *rapid.T, err error) {
	if err != nil {
		t.Fatal(err)
	}
}

// options draws what should make no difference.
func (hm *heapModel) options(t *rapid.T) Options {
	bounds := []int64{0, 1 << 30, 40 * 4096}
	if hm.guard == arena.GuardCopy {
		bounds = bounds[:2] // with less than a copy there is no snapshot at all
	}
	return Options{
		Guard: hm.guard, MaxSize: modelMaxSize, Keep: hm.keep,
		MaxPreserved: rapid.SampledFrom(bounds).Draw(t, "MaxPreserved"),
		FaultPages:   rapid.SampledFrom([]int{0, 0, 1, 16, 512}).Draw(t, "FaultPages"),
		Lazy:         slices.Contains(lazyGuards, hm.guard) && rapid.Bool().Draw(t, "Lazy"),
		NoPrefetch:   rapid.Bool().Draw(t, "NoPrefetch"),
		HugePages:    rapid.IntRange(0, 3).Draw(t, "HugePages") == 0,
		Track:        rapid.Bool().Draw(t, "Track"),
		MaxChain:     rapid.SampledFrom([]int{0, 0, 2, 5, -1}).Draw(t, "MaxChain"),
		Compression:  rapid.SampledFrom([]checkpoint.Compression{0, 0, checkpoint.S2, checkpoint.ZstdFastest}).Draw(t, "Compression"),
		Arming:       rapid.SampledFrom([]arena.Arming{arena.ArmAuto, arena.ArmWholesale, arena.ArmAhead}).Draw(t, "Arming"),
		Saving:       rapid.SampledFrom([]Saving{SaveAuto, SaveFrozen, SaveLive, SaveLive}).Draw(t, "Saving"),
		Preserving:   rapid.SampledFrom([]arena.Preserving{arena.PreserveAuto, arena.PreserveOnWrite, arena.PreserveAhead}).Draw(t, "Preserving"),
		Seed:         rapid.Uint64Range(0, 1).Draw(t, "Seed"),
	}
}

func (hm *heapModel) start(t *rapid.T) {
	o := hm.options(t)
	h, err := Open(hm.dir, &o)
	hm.must(t, err)
	hm.member = member{o: o, h: h, w: newWorld()}
	info, skipped := h.Origin()
	if len(skipped) > 0 || (info.Path == "") != (len(hm.saved) == 0) {
		t.Fatalf("opened %q, skipped %v; %d are saved", info.Path, skipped, len(hm.saved))
	}
	if len(hm.saved) > 0 {
		hm.w = hm.saved[len(hm.saved)-1].w.clone()
	}
}

// glance is what is cheap enough to be done after every step.
func (hm *heapModel) glance(t *rapid.T) {
	if n := hm.h.Stats().Snapshots; n != len(hm.open) {
		t.Fatalf("%d snapshots are open, want %d", n, len(hm.open))
	}
	for _, f := range hm.open {
		if f.w.root.IsNil() {
			continue
		}
		if got, err := f.w.root.Load(f.s); err != nil && !f.mayOverrun(err) {
			t.Fatalf("snapshot %d: %v", f.instant, err)
		} else if err == nil && got.Position != f.w.position {
			t.Fatalf("snapshot %d is at position %d, want %d", f.instant, got.Position, f.w.position)
		}
	}
}

func (hm *heapModel) update(t *rapid.T) {
	ops := rapid.SliceOfN(rapid.SampledFrom(slices.Sorted(maps.Keys(modelOps))), 1, 6).Draw(t, "operations")
	random := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "random"), 0)) // for what is not worth shrinking
	stop := errors.New("an error of the Update, which undoes nothing")
	err := hm.h.Update(func(m *Mem) error {
		r, err := Root[modelState](m, modelRoot)
		if err != nil {
			return err
		}
		u := &modelUpdate{m: m, s: r.Ptr(m), w: hm.w, rand: random}
		hm.w.root = r
		hm.w.position++
		u.s.Position++
		for _, op := range ops {
			if err := modelOps[op](u); err != nil {
				return fmt.Errorf("%s: %w", op, err)
			}
		}
		return stop
	})
	if err != stop {
		t.Fatal(err)
	}
}

func (hm *heapModel) snapshot(t *rapid.T) {
	if len(hm.open) == 5 {
		hm.close(t, hm.one(t))
	}
	s, err := hm.h.Snapshot()
	hm.must(t, err)
	hm.instant++
	f := &frozen{s: s, w: hm.w.clone(), instant: hm.instant, bounded: hm.o.MaxPreserved < 1<<30}
	hm.crowd()
	f.alone = len(hm.open) == 0 && hm.o.MaxPreserved == 0
	// Copying touches every page, so a lazy heap would not stay one.
	if rapid.IntRange(0, 2).Draw(t, "copy all bytes") == 0 {
		hm.must(t, hm.h.View(func(m *Mem) error {
			f.raw = bytes.Clone(m.bytes(0, uint64(s.Size())))
			return nil
		}))
	}
	hm.open = append(hm.open, f)
}

// crowd: another snapshot is taken.
func (hm *heapModel) crowd() {
	for _, f := range hm.open {
		f.alone = false
	}
}

// one is an open snapshot; a new one if there is none.
func (hm *heapModel) one(t *rapid.T) *frozen {
	if len(hm.open) == 0 {
		hm.snapshot(t)
	}
	return hm.open[rapid.IntRange(0, len(hm.open)-1).Draw(t, "snapshot")]
}
