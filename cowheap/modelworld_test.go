package cowheap

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// What the model test keeps in a heap: an object that is smaller than a page,
// one that is larger, and every container, by itself and in another one.
type (
	modelCell  [6]uint64
	modelBlock [5000]uint64
	modelNote  struct {
		Text String
		List Vec[uint32]
	}
	modelState struct {
		Position uint64
		Names    Map[string, uint64]
		Notes    Map[uint64, modelNote]
		List     Vec[uint64]
		Text     String
		Order    BTree[string, String]
		Ranks    BTreeFunc[byScore, uint64]
		Queue    Queue[uint64]
		Cells    Vec[Ref[modelCell]]
		Blocks   Vec[Ref[modelBlock]]
	}
)

const modelRoot = "state"

// world is the same in plain Go. A Ref means the same in a snapshot and in a
// restored heap, so it is part of it.
type world struct {
	root     Ref[modelState] // nil: not made yet
	position uint64
	names    map[string]uint64
	notes    map[uint64]note
	list     []uint64
	text     string
	order    map[string]string
	ranks    map[byScore]uint64
	queue    []uint64
	cells    []object[modelCell]
	blocks   []object[modelBlock]
	counters map[string]object[uint64] // roots of their own
}

type note struct {
	text string
	list []uint32
}

type object[T any] struct {
	ref Ref[T]
	v   T
}

func newWorld() *world {
	return &world{names: map[string]uint64{}, notes: map[uint64]note{}, order: map[string]string{}, ranks: map[byScore]uint64{}, counters: map[string]object[uint64]{}}
}

// clone copies everything.
func (w *world) clone() *world {
	c := *w
	c.names, c.counters = maps.Clone(w.names), maps.Clone(w.counters)
	c.notes = make(map[uint64]note, len(w.notes))
	for k, n := range w.notes {
		c.notes[k] = note{n.text, slices.Clone(n.list)}
	}
	c.order, c.ranks, c.queue = maps.Clone(w.order), maps.Clone(w.ranks), slices.Clone(w.queue)
	c.list, c.cells, c.blocks = slices.Clone(w.list), slices.Clone(w.cells), slices.Clone(w.blocks)
	return &c
}

// compare says in what h differs from w.
func (w *world) compare(h *Heap) error {
	err := h.View(func(m *Mem) error {
		for name, want := range w.counters {
			r, err := Root[uint64](m, name)
			if err != nil || r != want.ref || *r.Ptr(m) != want.v {
				return fmt.Errorf("root %q is at %v (%w), want %v", name, r, err, want)
			}
		}
		if _, err := Root[uint64](m, "none of this name"); !errors.Is(err, ErrNotFound) {
			return fmt.Errorf("a root that is not there: %v, want ErrNotFound", err)
		}
		r, err := Root[modelState](m, modelRoot)
		switch {
		case w.root.IsNil() && errors.Is(err, ErrNotFound):
			return nil
		case err != nil:
			return err
		case r != w.root:
			return fmt.Errorf("the state is at %v, want %v", r, w.root)
		}
		return w.compareState(m, r.Ptr(m))
	})
	errs := []error{err}
	for err := range h.Check() {
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

func (w *world) compareState(m *Mem, s *modelState) error {
	if s.Position != w.position {
		return fmt.Errorf("position is %d, want %d", s.Position, w.position)
	}
	if !s.Text.Equal(m, w.text) || s.Text.Get(m) != w.text {
		return fmt.Errorf("text is %q, want %q", s.Text.Get(m), w.text)
	}
	if !slices.Equal(s.List.Slice(m), w.list) {
		return fmt.Errorf("list is %d, want %d", s.List.Slice(m), w.list)
	}
	return errors.Join(
		w.compareNames(m, &s.Names), w.compareNotes(m, &s.Notes), w.compareOrder(m, &s.Order), w.compareRanks(m, &s.Ranks), w.compareQueue(m, &s.Queue),
		compareObjects(m, &s.Cells, w.cells), compareObjects(m, &s.Blocks, w.blocks))
}

func (w *world) compareNames(m *Mem, t *Map[string, uint64]) error {
	all := map[string]uint64{}
	for k, v := range t.All(m) {
		all[strings.Clone(k)] = *v
	}
	if t.Len() != len(w.names) || !maps.Equal(all, w.names) {
		return fmt.Errorf("%d names %v, want %v", t.Len(), all, w.names)
	}
	for k, want := range w.names {
		if v, ok := t.Get(m, k); !ok || v != want {
			return fmt.Errorf("name %q is %d (%v), want %d", k, v, ok, want)
		}
	}
	return nil
}

func (w *world) compareNotes(m *Mem, t *Map[uint64, modelNote]) error {
	if t.Len() != len(w.notes) {
		return fmt.Errorf("%d notes, want %d", t.Len(), len(w.notes))
	}
	for k, n := range t.All(m) {
		want, ok := w.notes[k]
		if !ok || n != t.Ptr(m, k) || !n.Text.Equal(m, want.text) || !slices.Equal(n.List.Slice(m), want.list) {
			return fmt.Errorf("note %d is %q %d, want %v %v", k, n.Text.Get(m), n.List.Slice(m), ok, want)
		}
	}
	return nil
}

func (w *world) compareOrder(m *Mem, t *BTree[string, String]) error {
	if err := checkTreeOf(m, &t.treeHeader, t.typ(), strings.Compare); err != nil {
		return fmt.Errorf("tree: %w", err)
	}
	if t.Len() != len(w.order) {
		return fmt.Errorf("a tree of %d, want %d", t.Len(), len(w.order))
	}
	for k, v := range t.All(m) {
		if want, ok := w.order[k]; !ok || !v.Equal(m, want) || t.Ptr(m, k) != v {
			return fmt.Errorf("%q is %q in the tree, want %v %q", k, v.Get(m), ok, want)
		}
	}
	return nil
}

func (w *world) compareRanks(m *Mem, t *BTreeFunc[byScore, uint64]) error {
	if err := checkTreeOf(m, &t.treeHeader, t.typ(), byScore.Compare); err != nil {
		return fmt.Errorf("ranks: %w", err)
	}
	all := map[byScore]uint64{}
	for k, v := range t.All(m) {
		all[k] = *v
	}
	if t.Len() != len(w.ranks) || !maps.Equal(all, w.ranks) {
		return fmt.Errorf("%d ranks %v, want %v", t.Len(), all, w.ranks)
	}
	return nil
}

func (w *world) compareQueue(m *Mem, q *Queue[uint64]) error {
	var got []uint64
	for v := range q.All(m) {
		got = append(got, *v)
	}
	if !slices.Equal(got, w.queue) {
		return fmt.Errorf("the queue has %d, want %d", got, w.queue)
	}
	return nil
}

func compareObjects[T comparable](m *Mem, refs *Vec[Ref[T]], want []object[T]) error {
	if refs.Len() != len(want) {
		return fmt.Errorf("%d objects of type %T, want %d", refs.Len(), *new(T), len(want))
	}
	for i, r := range refs.Slice(m) {
		if r != want[i].ref || *r.Ptr(m) != want[i].v {
			return fmt.Errorf("object %d of type %T at %v differs", i, *new(T), r)
		}
	}
	return nil
}

// frozen is an open snapshot and what it must show.
type frozen struct {
	s       *Snapshot
	w       *world
	instant int    // snapshots count up
	raw     []byte // of the heap at the instant; nil: was not copied
	alone   bool   // no other snapshot was open in its time
	bounded bool   // the heap's MaxPreserved is too small for several
}

// mayOverrun: the snapshot may have been given up.
func (f *frozen) mayOverrun(err error) bool {
	return errors.Is(err, ErrOverrun) && f.bounded && !f.alone
}

// compare says in what the snapshot differs from its world, by Load and ReadAt.
func (f *frozen) compare() error {
	if f.raw != nil {
		got := make([]byte, len(f.raw))
		n, err := f.s.ReadAt(got, 0)
		if err != nil {
			return err
		}
		if n != len(got) || f.s.Size() != int64(n) || !bytes.Equal(got, f.raw) {
			return errors.New("the bytes differ from those of the instant")
		}
	}
	for name, want := range f.w.counters {
		if err := compareLoad(f.s, want); err != nil {
			return fmt.Errorf("root %q: %w", name, err)
		}
	}
	if !f.w.root.IsNil() {
		if got, err := f.w.root.Load(f.s); err != nil {
			return err
		} else if got.Position != f.w.position || got.Names.Len() != len(f.w.names) || got.List.Len() != len(f.w.list) {
			return fmt.Errorf("position %d, want %d", got.Position, f.w.position)
		}
	}
	for _, c := range f.w.cells {
		if err := compareLoad(f.s, c); err != nil {
			return err
		}
	}
	for _, b := range f.w.blocks {
		if err := compareLoad(f.s, b); err != nil {
			return err
		}
	}
	return nil
}

func compareLoad[T comparable](s *Snapshot, want object[T]) error {
	got, err := want.ref.Load(s)
	if err != nil {
		return err
	}
	if got != want.v {
		return fmt.Errorf("%T at %v differs", got, want.ref)
	}
	return nil
}
