package cowheap

import (
	"maps"
	"math/rand/v2"
	"sync/atomic"
	"testing"

	"github.com/cowheap/cowheap/arena"
)

// touched has one of each container that announces what it writes.
type touched struct {
	Map   Map[uint64, uint64]
	Tree  BTree[uint64, uint64]
	Vec   Vec[uint64]
	Queue Queue[uint64]
}

const touchedEntries = 50_000

// TestContainersUnderSnapshotTakeFewFaults writes at random under an open snapshot,
// with announcements and without, and rolls back to see that the snapshot was right.
func TestContainersUnderSnapshotTakeFewFaults(t *testing.T) {
	eachHeapGuard(t, func(t *testing.T, o *Options) {
		o.FaultPages = 1 // without, else, a few faults might take everything along
		without := faultsUnderSnapshot(t, o, false)
		with := faultsUnderSnapshot(t, o, true)
		t.Logf("%d faults, and with announcements %d and %d touches", without.Faults, with.Faults, with.Touched)
		if without.Touched != 0 {
			t.Errorf("%d touches, though nothing was announced", without.Touched)
		}
		switch o.Guard {
		case arena.GuardUserfault, arena.GuardMprotect:
			if without.Faults < 100 {
				t.Errorf("only %d faults: this test shows nothing", without.Faults)
			}
			if with.Faults > without.Faults/10 {
				t.Errorf("%d faults of %d were left", with.Faults, without.Faults)
			}
		default:
			if with.Faults+with.Touched > 0 {
				t.Errorf("%d faults and %d touches: this guard takes none", with.Faults, with.Touched)
			}
		}
	})
}

func faultsUnderSnapshot(t *testing.T, o *Options, announce bool) arena.Stats {
	h := must[*Heap](t)(New(o))
	defer h.Close()
	if !announce {
		never := new(atomic.Bool)
		h.sp.frozen = never
		for i := range h.sp.mems {
			h.sp.mems[i].frozen = never
		}
	}
	random := rand.New(rand.NewPCG(3, 4))
	want := map[uint64]uint64{}
	update := func(do func(m *Mem, c *touched)) {
		t.Helper()
		if err := h.Update(func(m *Mem) error {
			c := must[Ref[touched]](t)(Root[touched](m, "touched"))
			do(m, c.Ptr(m))
			return nil
		}); err != nil {
			t.Fatal(err)
		}
	}
	check := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	update(func(m *Mem, c *touched) {
		for k := range uint64(touchedEntries) {
			want[k] = k * k
			check(c.Map.Set(m, k, k*k))
			check(c.Tree.Set(m, k, k*k))
			check(c.Vec.Append(m, k))
			check(c.Queue.Push(m, k))
		}
	})
	s := must[*Snapshot](t)(h.Snapshot())
	defer s.Close()
	before := h.Stats().Stats
	update(func(m *Mem, c *touched) {
		for range touchedEntries / 5 {
			k := random.Uint64N(touchedEntries)
			switch random.IntN(4) {
			case 0:
				c.Map.Delete(m, k)
				c.Tree.Delete(m, k)
				c.Queue.Pop(m)
			case 1:
				p, _, err := c.Map.Slot(m, k)
				check(err)
				*p = 1
				check(c.Vec.Append(m, k))
			default:
				check(c.Map.Set(m, k, 2))
				check(c.Tree.Set(m, k, 2))
				check(c.Queue.Push(m, k))
			}
		}
		c.Vec.Truncate(m, touchedEntries/2)
	})
	after := h.Stats().Stats

	check(h.Rollback(s))
	update(func(m *Mem, c *touched) {
		inMap, inTree := map[uint64]uint64{}, map[uint64]uint64{}
		for k, v := range c.Map.All(m) {
			inMap[k] = *v
		}
		for k, v := range c.Tree.All(m) {
			inTree[k] = *v
		}
		if !maps.Equal(inMap, want) || !maps.Equal(inTree, want) {
			t.Error("the snapshot's Map or BTree is not what was frozen")
		}
		if c.Vec.Len() != touchedEntries || c.Queue.Len() != touchedEntries {
			t.Fatalf("the snapshot has a Vec of %d and a Queue of %d, want %d", c.Vec.Len(), c.Queue.Len(), touchedEntries)
		}
		next := uint64(0)
		for v := range c.Queue.All(m) {
			if *v != next || c.Vec.Slice(m)[next] != next {
				t.Fatalf("element %d of the snapshot is %d in the Queue and %d in the Vec", next, *v, c.Vec.Slice(m)[next])
			}
			next++
		}
	})
	return arena.Stats{Faults: after.Faults - before.Faults, Touched: after.Touched - before.Touched}
}
