package replica

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"testing"
	"testing/iotest"

	"github.com/cowheap/cowheap/cowheap"
)

// pair is state whose halves are equal at every instant that a reader may see.
type pair struct{ A, B [2048]uint64 }

func newHeap(t *testing.T) *Heap {
	t.Helper()
	h, err := New(&cowheap.Options{Seed: 1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.Close() })
	return h
}

// set applies entry index, which fills the pair with value.
func set(h *Heap, index, value uint64) error {
	return h.UpdateAt(Position{Index: index, Term: 1}, func(m *cowheap.Mem) error {
		ref, err := cowheap.Root[pair](m, "pair")
		if err != nil {
			return err
		}
		p := ref.Ptr(m)
		for i := range p.A {
			p.A[i], p.B[i] = value, value
		}
		return nil
	})
}

// value is what the pair is filled with; an error if not all of it is.
func value(h *Heap) (v uint64, err error) {
	return v, h.View(func(m *cowheap.Mem) error {
		ref, err := cowheap.Root[pair](m, "pair")
		if err != nil {
			return err
		}
		p := ref.Ptr(m)
		v = p.A[0]
		for i := range p.A {
			if p.A[i] != v || p.B[i] != v {
				return fmt.Errorf("word %d is %d and %d, not %d", i, p.A[i], p.B[i], v)
			}
		}
		return nil
	})
}

func wantPosition(t *testing.T, h *Heap, index uint64) {
	t.Helper()
	if at, err := h.Position(); err != nil || at.Index != index {
		t.Errorf("position %+v, %v; want %d", at, err, index)
	}
}

func checkpointOf(t *testing.T, h *Heap) []byte {
	t.Helper()
	s, err := h.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	var b bytes.Buffer
	if _, err := s.WriteTo(&b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestPositionAdvancesWithTheEntry(t *testing.T) {
	h := newHeap(t)
	wantPosition(t, h, 0)
	if err := set(h, 3, 30); err != nil {
		t.Fatal(err)
	}
	wantPosition(t, h, 3)
	for _, index := range []uint64{0, 2, 3} {
		if err := set(h, index, 99); !errors.Is(err, ErrApplied) {
			t.Errorf("entry %d again: %v", index, err)
		}
	}
	refused := errors.New("refused")
	if err := h.UpdateAt(Position{Index: 4}, func(*cowheap.Mem) error { return refused }); err != refused {
		t.Errorf("error of an entry: %v", err)
	}
	wantPosition(t, h, 4) // its outcome is an error, and it was applied
	if v, err := value(h); err != nil || v != 30 {
		t.Errorf("%d, %v", v, err)
	}
}

func TestASnapshotHoldsThePositionOfItsState(t *testing.T) {
	h := newHeap(t)
	var done atomic.Bool
	var all sync.WaitGroup
	all.Go(func() {
		for i := uint64(1); !done.Load(); i++ {
			if err := set(h, i, i*7); err != nil {
				t.Error(err)
				return
			}
		}
	})
	for range 20 {
		file := checkpointOf(t, h)
		back := newHeap(t)
		if err := back.Replace(bytes.NewReader(file)); err != nil {
			t.Fatal(err)
		}
		at, err := back.Position()
		if err != nil {
			t.Fatal(err)
		}
		v, err := value(back)
		if at.Index == 0 && errors.Is(err, cowheap.ErrNotFound) {
			continue // before the first entry
		}
		if err != nil || v != at.Index*7 {
			t.Errorf("position %d, state %d, %v", at.Index, v, err)
		}
		if err := back.Close(); err != nil {
			t.Error(err)
		}
	}
	done.Store(true)
	all.Wait()
}

func TestReplaceBesideReaders(t *testing.T) {
	h := newHeap(t)
	if err := set(h, 1, 1); err != nil {
		t.Fatal(err)
	}
	var files [][]byte
	for i := range uint64(4) {
		other := newHeap(t)
		if err := set(other, 10+i, 100+i); err != nil {
			t.Fatal(err)
		}
		files = append(files, checkpointOf(t, other))
	}
	var done atomic.Bool
	var all sync.WaitGroup
	for range 3 {
		all.Go(func() {
			for !done.Load() {
				if v, err := value(h); err != nil || v != 1 && (v < 100 || v >= 104) {
					t.Errorf("a reader sees %d, %v", v, err)
					return
				}
				if _, err := h.Position(); err != nil {
					t.Error(err)
					return
				}
				s, err := h.Snapshot()
				if err != nil {
					t.Error(err)
					return
				}
				if _, err := s.WriteTo(io.Discard); err != nil && !errors.Is(err, cowheap.ErrClosed) {
					t.Error(err)
				}
				s.Close()
			}
		})
	}
	for i := range 40 {
		if err := h.Replace(bytes.NewReader(files[i%len(files)])); err != nil {
			t.Fatal(err)
		}
		if v, err := value(h); err != nil || v != 100+uint64(i%len(files)) {
			t.Errorf("after a replacement: %d, %v", v, err)
		}
		wantPosition(t, h, 10+uint64(i%len(files)))
	}
	done.Store(true)
	all.Wait()
	if err := set(h, 50, 50); err != nil {
		t.Error(err)
	}
}

// A View that began before a replacement ends in the heap that it began in.
func TestAViewKeepsItsHeap(t *testing.T) {
	h := newHeap(t)
	if err := set(h, 1, 1); err != nil {
		t.Fatal(err)
	}
	other := newHeap(t)
	if err := set(other, 2, 2); err != nil {
		t.Fatal(err)
	}
	file := checkpointOf(t, other)
	inside, replaced := make(chan struct{}), make(chan struct{})
	var all sync.WaitGroup
	all.Go(func() {
		<-inside
		for {
			if v, err := value(h); err != nil {
				t.Error(err)
				break
			} else if v == 2 {
				break // the others see the new heap while that View goes on
			}
		}
		close(replaced)
	})
	all.Go(func() {
		<-inside
		if err := h.Replace(bytes.NewReader(file)); err != nil {
			t.Error(err)
		}
	})
	err := h.View(func(m *cowheap.Mem) error {
		ref, err := cowheap.Root[pair](m, "pair")
		if err != nil {
			return err
		}
		close(inside)
		<-replaced
		if v := ref.Ptr(m).A[0]; v != 1 {
			t.Errorf("the View sees %d", v)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	all.Wait()
}

func TestAFailedReplaceChangesNothing(t *testing.T) {
	h := newHeap(t)
	if err := set(h, 5, 55); err != nil {
		t.Fatal(err)
	}
	file := checkpointOf(t, h)
	if err := set(h, 6, 66); err != nil {
		t.Fatal(err)
	}
	flipped := bytes.Clone(file)
	flipped[len(flipped)/2] ^= 1
	broken := errors.New("connection lost")
	for name, r := range map[string]io.Reader{
		"empty":   bytes.NewReader(nil),
		"cut":     bytes.NewReader(file[:len(file)-1]),
		"flipped": bytes.NewReader(flipped),
		"broken":  io.MultiReader(bytes.NewReader(file[:5000]), iotest.ErrReader(broken)),
	} {
		if err := h.Replace(r); err == nil {
			t.Errorf("%s: no error", name)
		} else if name == "broken" && !errors.Is(err, broken) {
			t.Errorf("%s: %v", name, err)
		}
		if v, err := value(h); err != nil || v != 66 {
			t.Errorf("%s: then %d, %v", name, v, err)
		}
		wantPosition(t, h, 6)
	}
	err := h.View(func(*cowheap.Mem) error { return h.Replace(bytes.NewReader(file)) })
	if !errors.Is(err, cowheap.ErrNested) {
		t.Errorf("inside a View: %v", err)
	}
	err = h.View(func(*cowheap.Mem) error { return h.Close() })
	if !errors.Is(err, cowheap.ErrNested) {
		t.Errorf("closing inside a View: %v", err)
	}
	if v, err := value(h); err != nil || v != 66 {
		t.Errorf("then %d, %v", v, err)
	}
}

func TestClosed(t *testing.T) {
	h := newHeap(t)
	file := checkpointOf(t, h)
	for range 2 {
		if err := h.Close(); err != nil {
			t.Fatal(err)
		}
	}
	nothing := func(*cowheap.Mem) error { return nil }
	_, snapshot := h.Snapshot()
	_, position := h.Position()
	for name, err := range map[string]error{
		"Update": h.Update(nothing), "View": h.View(nothing), "Snapshot": snapshot, "Position": position,
		"UpdateAt": h.UpdateAt(Position{Index: 1}, nothing), "Replace": h.Replace(bytes.NewReader(file)),
	} {
		if !errors.Is(err, cowheap.ErrClosed) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
