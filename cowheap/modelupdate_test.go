package cowheap

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"

	"github.com/cowheap/cowheap/arena"
)

// modelUpdate is an Update of the model test: what is done to the heap is done
// to the world.
type modelUpdate struct {
	m    *Mem
	s    *modelState
	w    *world
	rand *rand.Rand
}

// modelOps are what an Update does, by the name that rapid shows.
var modelOps = map[string]func(u *modelUpdate) error{
	"alloc cells":  func(u *modelUpdate) error { return u.times(60, u.allocCell) },
	"write cells":  func(u *modelUpdate) error { return u.times(60, u.writeCell) },
	"free cells":   func(u *modelUpdate) error { return u.times(60, u.freeCell) },
	"alloc blocks": func(u *modelUpdate) error { return u.times(12, u.allocBlock) },
	"write blocks": func(u *modelUpdate) error { return u.times(12, u.writeBlock) },
	"free blocks":  func(u *modelUpdate) error { return u.times(8, u.freeBlock) },
	"set names":    func(u *modelUpdate) error { return u.times(200, u.setName) },
	"delete names": func(u *modelUpdate) error { return u.times(100, u.deleteName) },
	"clear names":  (*modelUpdate).clearNames,
	"set notes":    func(u *modelUpdate) error { return u.times(20, u.setNote) },
	"delete notes": func(u *modelUpdate) error { return u.times(10, u.deleteNote) },
	"list":         (*modelUpdate).changeList,
	"set order":    func(u *modelUpdate) error { return u.times(200, u.setOrder) },
	"delete order": func(u *modelUpdate) error { return u.times(200, u.deleteOrder) },
	"ranks":        func(u *modelUpdate) error { return u.times(200, u.changeRanks) },
	"queue":        func(u *modelUpdate) error { return u.times(300, u.changeQueue) },
	"text":         (*modelUpdate).setText,
	"counter":      (*modelUpdate).count,
	"full":         (*modelUpdate).full,
}

func (u *modelUpdate) times(most int, op func() error) error {
	for range 1 + u.rand.IntN(most) {
		if err := op(); err != nil {
			return err
		}
	}
	return nil
}

// maxBlocks keeps the world small enough to be copied often.
const maxBlocks = 70

func (u *modelUpdate) allocCell() error {
	return appendObject(u, &u.s.Cells, &u.w.cells)
}

func (u *modelUpdate) allocBlock() error {
	if len(u.w.blocks) == maxBlocks {
		return u.freeBlock()
	}
	return appendObject(u, &u.s.Blocks, &u.w.blocks)
}

func appendObject[T comparable](u *modelUpdate, refs *Vec[Ref[T]], objects *[]object[T]) error {
	r, err := Alloc[T](u.m)
	if err != nil {
		return err
	}
	if *r.Ptr(u.m) != *new(T) {
		return fmt.Errorf("the %T at %v is not zeroed", *new(T), r)
	}
	*objects = append(*objects, object[T]{ref: r})
	return refs.Append(u.m, r)
}

func (u *modelUpdate) freeCell() error  { return dropObject(u, &u.s.Cells, &u.w.cells) }
func (u *modelUpdate) freeBlock() error { return dropObject(u, &u.s.Blocks, &u.w.blocks) }

// dropObject frees one, and puts the last in its place.
func dropObject[T any](u *modelUpdate, refs *Vec[Ref[T]], objects *[]object[T]) error {
	n := len(*objects)
	if n == 0 {
		return nil
	}
	i := u.rand.IntN(n)
	r := (*objects)[i].ref
	if err := Free(u.m, r); err != nil {
		return err
	}
	if _, ok := errors.AsType[*arena.FreeError](Free(u.m, r)); !ok {
		return fmt.Errorf("freeing %v twice is not a FreeError", r)
	}
	(*objects)[i] = (*objects)[n-1]
	*objects = (*objects)[:n-1]
	p := refs.Slice(u.m)
	p[i] = p[n-1]
	refs.Truncate(u.m, n-1)
	return nil
}

func (u *modelUpdate) writeCell() error {
	if len(u.w.cells) == 0 {
		return nil
	}
	c := &u.w.cells[u.rand.IntN(len(u.w.cells))]
	i, v := u.rand.IntN(len(c.v)), u.rand.Uint64()
	c.ref.Ptr(u.m)[i], c.v[i] = v, v
	return nil
}

func (u *modelUpdate) writeBlock() error {
	if len(u.w.blocks) == 0 {
		return nil
	}
	b := &u.w.blocks[u.rand.IntN(len(u.w.blocks))]
	p := b.ref.Ptr(u.m)
	from := u.rand.IntN(len(p))
	to := from + u.rand.IntN(len(p)-from) + 1
	if u.rand.IntN(3) == 0 {
		if err := u.m.PrepareWrite(u.m.bytes(b.ref.off, uint64(8*len(p)))); err != nil {
			return err
		}
	}
	switch u.rand.IntN(3) {
	case 0:
		clear(p[from:to])
		clear(b.v[from:to])
	case 1:
		copy(p[from:to], p[:to-from]) // within the heap
		copy(b.v[from:to], b.v[:to-from])
	default:
		for i := from; i < to; i += 1 + u.rand.IntN(300) {
			v := u.rand.Uint64()
			p[i], b.v[i] = v, v
		}
	}
	return nil
}

func (u *modelUpdate) name() string {
	n := u.rand.IntN(400)
	return fmt.Sprint(strings.Repeat("long ", n%9), n)
}

func (u *modelUpdate) setName() error {
	k, v := u.name(), u.rand.Uint64()
	u.w.names[k] = v
	return u.s.Names.Set(u.m, k, v)
}

func (u *modelUpdate) deleteName() error {
	k := u.name()
	want, has := u.w.names[k]
	delete(u.w.names, k)
	if v, ok := u.s.Names.Delete(u.m, k); ok != has || v != want {
		return fmt.Errorf("deleting %q gives %d %v, want %d %v", k, v, ok, want, has)
	}
	return nil
}

func (u *modelUpdate) clearNames() error {
	if u.rand.IntN(4) == 0 {
		u.s.Names.Clear(u.m)
		clear(u.w.names)
	}
	return nil
}

func (u *modelUpdate) setNote() error {
	k := u.rand.Uint64N(60)
	p, existed, err := u.s.Notes.Slot(u.m, k)
	n, has := u.w.notes[k]
	if err != nil || existed != has {
		return fmt.Errorf("slot %d existed: %v, want %v (%w)", k, existed, has, err)
	}
	n.text = strings.Repeat("note ", u.rand.IntN(100))
	v := u.rand.Uint32()
	n.list = append(n.list, v, v+1)
	u.w.notes[k] = n
	return errors.Join(p.Text.Set(u.m, n.text), p.List.Append(u.m, v, v+1))
}

func (u *modelUpdate) deleteNote() error {
	k := u.rand.Uint64N(60)
	delete(u.w.notes, k)
	_, _ = u.s.Notes.Delete(u.m, k)
	return nil
}

func (u *modelUpdate) changeList() error {
	switch u.rand.IntN(4) {
	case 0:
		n := u.rand.IntN(len(u.w.list) + 1)
		u.s.List.Truncate(u.m, n)
		u.w.list = u.w.list[:n]
	case 1:
		for i := range u.w.list {
			u.w.list[i]++
			u.s.List.Slice(u.m)[i]++
		}
	default:
		more := make([]uint64, u.rand.IntN(500))
		for i := range more {
			more[i] = u.rand.Uint64()
		}
		u.w.list = append(u.w.list, more...)
		return u.s.List.Append(u.m, more...)
	}
	return nil
}

func (u *modelUpdate) setOrder() error {
	k := textKeyOf(u.rand.IntN(3000))
	p, existed, err := u.s.Order.Slot(u.m, k)
	_, has := u.w.order[k]
	if err != nil || existed != has {
		return fmt.Errorf("%q existed in the tree: %v, want %v (%w)", k, existed, has, err)
	}
	u.w.order[k] = fmt.Sprint("value ", u.rand.Uint32())
	return p.Set(u.m, u.w.order[k])
}

// deleteOrder deletes an entry, or the next ones from there on in a loop.
func (u *modelUpdate) deleteOrder() error {
	k := textKeyOf(u.rand.IntN(3000))
	if u.rand.IntN(50) > 0 {
		_, has := u.w.order[k]
		if _, ok := u.s.Order.Delete(u.m, k); ok != has {
			return fmt.Errorf("deleting %q from the tree: %v, want %v", k, ok, has)
		}
		delete(u.w.order, k)
		return nil
	}
	left := 100
	for next := range u.s.Order.Ascend(u.m, k) {
		if left--; left == 0 {
			break
		}
		next = strings.Clone(next)
		if _, ok := u.s.Order.Delete(u.m, next); !ok {
			return fmt.Errorf("deleting %q in a loop: it is not there", next)
		}
		delete(u.w.order, next)
	}
	return nil
}

func (u *modelUpdate) changeRanks() error {
	k := byScore{int64(u.rand.IntN(30)), u.rand.Uint64N(60)}
	want, has := u.w.ranks[k]
	if u.rand.IntN(3) == 0 {
		delete(u.w.ranks, k)
		if v, ok := u.s.Ranks.Delete(u.m, k); ok != has || v != want {
			return fmt.Errorf("deleting %v gives %d %v, want %d %v", k, v, ok, want, has)
		}
		return nil
	}
	u.w.ranks[k] = u.rand.Uint64()
	return u.s.Ranks.Set(u.m, k, u.w.ranks[k])
}

func (u *modelUpdate) changeQueue() error {
	if u.rand.IntN(5) > 1 {
		v := u.rand.Uint64()
		u.w.queue = append(u.w.queue, v)
		return u.s.Queue.Push(u.m, v)
	}
	v, ok := u.s.Queue.Pop(u.m)
	if ok != (len(u.w.queue) > 0) || ok && v != u.w.queue[0] {
		return fmt.Errorf("Pop gives %d %v, want the first of %d", v, ok, u.w.queue)
	}
	if ok {
		u.w.queue = u.w.queue[1:]
	}
	return nil
}

func (u *modelUpdate) setText() error {
	u.w.text = strings.Repeat("text ", u.rand.IntN(1000))
	return u.s.Text.Set(u.m, u.w.text)
}

func (u *modelUpdate) count() error {
	name := fmt.Sprint("counter ", u.rand.IntN(10))
	r, err := Root[uint64](u.m, name)
	if err != nil {
		return err
	}
	c, made := u.w.counters[name]
	if made && c.ref != r || *r.Ptr(u.m) != c.v {
		return fmt.Errorf("%s is %d at %v, want %v", name, *r.Ptr(u.m), r, c)
	}
	*r.Ptr(u.m)++
	u.w.counters[name] = object[uint64]{r, c.v + 1}
	return nil
}

// full asks for more than there is, which changes nothing.
func (u *modelUpdate) full() error {
	if _, err := Alloc[[modelMaxSize]byte](u.m); !errors.Is(err, ErrFull) {
		return fmt.Errorf("allocating %d bytes: %w, want ErrFull", modelMaxSize, err)
	}
	return nil
}
