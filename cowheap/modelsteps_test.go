package cowheap

import (
	"bytes"
	"errors"
	"io/fs"
	"slices"
	"time"

	"github.com/google/uuid"
	"pgregory.net/rapid"

	"github.com/cowheap/cowheap/arena"
	"github.com/cowheap/cowheap/checkpoint"
)

func (hm *heapModel) check(t *rapid.T, f *frozen) {
	if err := f.compare(); err != nil && !f.mayOverrun(err) {
		t.Fatalf("snapshot %d: %v", f.instant, err)
	}
}

// written is what WriteTo writes; nil if the snapshot was given up.
func (hm *heapModel) written(t *rapid.T, f *frozen) *bytes.Buffer {
	var buf bytes.Buffer
	if n, err := f.s.WriteTo(&buf); f.mayOverrun(err) {
		return nil
	} else if err != nil || n != int64(buf.Len()) {
		t.Fatalf("writing snapshot %d: %d bytes of %d: %v", f.instant, n, buf.Len(), err)
	}
	return &buf
}

func (hm *heapModel) checkRestored(t *rapid.T, f *frozen) {
	b := hm.written(t, f)
	if b == nil {
		return
	}
	h, err := Restore(b, &Options{Guard: hm.guard, MaxSize: modelMaxSize})
	hm.must(t, err)
	defer h.Close()
	if err := f.w.compare(h); err != nil {
		t.Fatalf("restored from snapshot %d: %v", f.instant, err)
	}
}

func (hm *heapModel) close(t *rapid.T, f *frozen) {
	hm.must(t, f.s.Close())
	if _, err := f.s.ReadAt(make([]byte, 8), 0); !errors.Is(err, ErrClosed) {
		t.Fatalf("reading a closed snapshot: %v, want ErrClosed", err)
	}
	hm.open = slices.DeleteFunc(hm.open, func(g *frozen) bool { return f == g })
}

// keeps records what the directory keeps now: the newest by instant, and what
// was saved just now.
func (hm *heapModel) keeps(instant int, w *world) {
	hm.everSaved[instant] = true
	hm.saved = append(hm.saved, savedWorld{instant, w})
	slices.SortFunc(hm.saved, func(a, b savedWorld) int { return a.instant - b.instant })
	old := max(0, len(hm.saved)-hm.keep)
	hm.saved = slices.DeleteFunc(hm.saved, func(s savedWorld) bool {
		old--
		return old >= 0 && s.instant != instant
	})
}

func (hm *heapModel) save(t *rapid.T) {
	f := hm.one(t)
	_, err := f.s.Save(t.Context())
	is := func(s savedWorld) bool { return s.instant == f.instant }
	switch {
	case hm.homeless && errors.Is(err, ErrNoDir):
	case f.mayOverrun(err):
	case errors.Is(err, fs.ErrExist) && hm.everSaved[f.instant]: // it may have stayed because others need it
	case err != nil || hm.homeless || slices.ContainsFunc(hm.saved, is):
		t.Fatalf("saving snapshot %d: %v", f.instant, err)
	default:
		hm.keeps(f.instant, f.w)
	}
}

func (hm *heapModel) checkpoint(t *rapid.T) {
	info, err := hm.h.Checkpoint(t.Context())
	if hm.homeless {
		if !errors.Is(err, ErrNoDir) {
			t.Fatalf("a checkpoint without a directory: %v, want ErrNoDir", err)
		}
		return
	}
	hm.must(t, err)
	hm.crowd()
	hm.instant++
	hm.keeps(hm.instant, hm.w.clone())
	// A fold in the background gives its checkpoint the name first, and removes the parents then.
	for tries := 0; ; tries++ {
		infos, skipped, err := hm.h.dir.List()
		needed := map[uuid.UUID]bool{}
		for _, info := range infos {
			needed[info.Parent] = needed[info.Parent] || info.Incremental
		}
		idle := slices.DeleteFunc(slices.Clone(infos), func(info checkpoint.Info) bool { return needed[info.ID] })
		if err != nil || len(skipped) > 0 || len(infos) < len(hm.saved) || infos[0].ID != info.ID || len(idle) > len(hm.saved) && tries == 1000 {
			t.Fatalf("the directory has %v, skipped %v (%v), want %d checkpoints", infos, skipped, err, len(hm.saved))
		}
		if len(idle) <= len(hm.saved) {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// end closes all heaps, and with them the snapshots.
func (hm *heapModel) end(t *rapid.T) {
	for len(hm.others) > 0 {
		hm.closeAnother(t)
	}
	hm.endThis(t)
}

func (hm *heapModel) endThis(t *rapid.T) {
	hm.must(t, hm.h.Close())
	for _, f := range hm.open {
		if _, err := f.s.WriteTo(new(bytes.Buffer)); !errors.Is(err, ErrClosed) {
			t.Fatalf("writing a snapshot of a closed heap: %v, want ErrClosed", err)
		}
	}
	hm.open = nil
}

// reopen goes back to the newest checkpoint, which may be one of just now.
func (hm *heapModel) reopen(t *rapid.T) {
	if rapid.Bool().Draw(t, "checkpoint first") {
		hm.checkpoint(t)
	}
	hm.end(t)
	hm.start(t)
}

// move goes on in a heap that was restored from a snapshot's stream.
func (hm *heapModel) move(t *rapid.T) {
	f := hm.one(t)
	b := hm.written(t, f)
	if b == nil {
		return
	}
	hm.end(t)
	o := hm.options(t)
	h, err := Restore(b, &o)
	hm.must(t, err)
	hm.member = member{o: o, h: h, homeless: true, w: f.w.clone()}
}

// rollBack goes back to an open snapshot, and checks which ones that closes.
func (hm *heapModel) rollBack(t *rapid.T) {
	f := hm.one(t)
	err := hm.h.Rollback(f.s)
	if f.mayOverrun(err) {
		return
	}
	hm.must(t, err)
	hm.w = f.w.clone()
	hm.open = slices.DeleteFunc(hm.open, func(g *frozen) bool {
		if g.instant <= f.instant {
			return false
		}
		if _, err := g.s.ReadAt(make([]byte, 8), 0); !errors.Is(err, ErrClosed) {
			t.Fatalf("reading a snapshot newer than the one rolled back to: %v, want ErrClosed", err)
		}
		return true
	})
	if f.raw == nil {
		return
	}
	hm.must(t, hm.h.View(func(m *Mem) error {
		if high := m.space.arena.High(); high != uint64(len(f.raw)) || !bytes.Equal(m.bytes(0, high), f.raw) {
			t.Fatalf("rolled back to snapshot %d: the bytes differ from those of the instant", f.instant)
		}
		return nil
	}))
}

// trim changes nothing that anybody can see, also where it is refused.
func (hm *heapModel) trim(t *rapid.T) {
	if err := hm.h.Trim(); errors.Is(err, arena.ErrIncomplete) && len(hm.open)+len(hm.others) > 0 {
		return // these were open when the pages came in, or may have been; or a fork stands on one
	} else {
		hm.must(t, err)
	}
}

// fork makes another heap of an open snapshot.
func (hm *heapModel) fork(t *rapid.T) {
	if len(hm.others) == 3 {
		hm.closeAnother(t)
	}
	f := hm.one(t)
	o, opts := hm.o, (*Options)(nil)
	if rapid.Bool().Draw(t, "options of its own") {
		o = hm.options(t)
		opts = &o
	}
	h, err := f.s.Fork(opts)
	if f.mayOverrun(err) {
		return
	}
	hm.must(t, err)
	hm.others = append(hm.others, member{o: o, h: h, homeless: true, w: f.w.clone()})
}

// another is the number of one of the others, if there is one.
func (hm *heapModel) another(t *rapid.T) (i int, ok bool) {
	if len(hm.others) == 0 {
		return 0, false
	}
	return rapid.IntRange(0, len(hm.others)-1).Draw(t, "another"), true
}

func (hm *heapModel) swap(t *rapid.T) {
	if i, ok := hm.another(t); ok {
		hm.member, hm.others[i] = hm.others[i], hm.member
	}
}

// closeAnother compares one of the others and closes it.
func (hm *heapModel) closeAnother(t *rapid.T) {
	i, ok := hm.another(t)
	if !ok {
		return
	}
	hm.member, hm.others[i] = hm.others[i], hm.member
	if rapid.Bool().Draw(t, "compare it") {
		hm.must(t, hm.w.compare(hm.h))
	}
	hm.endThis(t)
	hm.member = hm.others[i]
	hm.others = slices.Delete(hm.others, i, i+1)
}
