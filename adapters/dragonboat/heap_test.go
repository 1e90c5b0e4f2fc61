package dragonboat

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"testing"

	sm "github.com/lni/dragonboat/v4/statemachine"

	"github.com/cowheap/cowheap/cowheap"
)

// row is state that is the same word everywhere after each entry.
type row struct{ Words [8192]uint64 }

// machine is all of a state machine. Its lock is taken inside the gate.
type machine struct {
	*Heap
	mu sync.RWMutex
}

var _ sm.IConcurrentStateMachine = (*machine)(nil)

func newMachine(t *testing.T, o *cowheap.Options) *machine {
	t.Helper()
	h, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.Close() })
	return &machine{Heap: h}
}

func (s *machine) Update(entries []sm.Entry) ([]sm.Entry, error) {
	for i := range entries {
		e := &entries[i]
		err := s.UpdateEntry(e, func(m *cowheap.Mem) error {
			root, err := cowheap.Root[row](m, "row")
			if err != nil {
				return err
			}
			s.mu.Lock()
			defer s.mu.Unlock()
			r := root.Ptr(m)
			for i := range r.Words {
				r.Words[i] = e.Index
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
		e.Result.Value = e.Index
	}
	return entries, nil
}

// Lookup answers the word, and an error if it is not the same everywhere.
func (s *machine) Lookup(any) (answer any, err error) {
	err = s.View(func(m *cowheap.Mem) error {
		root, err := cowheap.Root[row](m, "row")
		if err != nil {
			return err
		}
		s.mu.RLock()
		defer s.mu.RUnlock()
		r := root.Ptr(m)
		for i, w := range r.Words {
			if w != r.Words[0] {
				return fmt.Errorf("word %d is %d, not %d", i, w, r.Words[0])
			}
		}
		answer = r.Words[0]
		return nil
	})
	return answer, err
}

func update(t *testing.T, s *machine, from, to uint64) {
	t.Helper()
	var entries []sm.Entry
	for i := from; i <= to; i++ {
		entries = append(entries, sm.Entry{Index: i})
	}
	if _, err := s.Update(entries); err != nil {
		t.Fatal(err)
	}
}

func prepare(t *testing.T, s *machine) any {
	t.Helper()
	state, err := s.PrepareSnapshot()
	if err != nil {
		t.Fatal(err)
	}
	return state
}

func want(t *testing.T, s *machine, index uint64) {
	t.Helper()
	if got, err := s.Lookup(nil); err != nil || got != index {
		t.Errorf("state %v, %v; want %d", got, err, index)
	}
	if at, err := s.Position(); err != nil || at.Index != index {
		t.Errorf("position %d, %v; want %d", at.Index, err, index)
	}
}

func TestSaveThenRecover(t *testing.T) {
	one, two := newMachine(t, nil), newMachine(t, nil)
	update(t, one, 1, 5)
	state := prepare(t, one)
	update(t, one, 6, 9)
	var file bytes.Buffer
	if err := one.SaveSnapshot(state, &file, nil, nil); err != nil {
		t.Fatal(err)
	}
	if open := one.Stats().Snapshots; open != 0 {
		t.Errorf("%d snapshots are open after SaveSnapshot", open)
	}
	if err := two.RecoverFromSnapshot(&file, nil, nil); err != nil {
		t.Fatal(err)
	}
	want(t, one, 9)
	want(t, two, 5)
	update(t, two, 6, 9)
	want(t, two, 9)
}

// stopper closes stop at the n-th call.
type stopper struct {
	io.ReadWriter
	left int
	stop chan struct{}
}

func (s *stopper) count() {
	if s.left--; s.left == 0 {
		close(s.stop)
	}
}

func (s *stopper) Read(p []byte) (int, error) {
	s.count()
	return s.ReadWriter.Read(p[:min(len(p), 4096)])
}

func (s *stopper) Write(p []byte) (int, error) {
	s.count()
	return s.ReadWriter.Write(p)
}

func TestStop(t *testing.T) {
	one := newMachine(t, nil)
	update(t, one, 1, 1)
	stopped := make(chan struct{})
	close(stopped)
	var file bytes.Buffer
	if err := one.SaveSnapshot(prepare(t, one), &file, nil, make(chan struct{})); err != nil {
		t.Fatal(err)
	}
	whole := bytes.Clone(file.Bytes())

	two := newMachine(t, nil)
	update(t, two, 1, 3)
	if err := two.RecoverFromSnapshot(bytes.NewReader(whole), nil, stopped); !errors.Is(err, sm.ErrSnapshotStopped) {
		t.Errorf("recovering when stopped: %v", err)
	}
	s := &stopper{ReadWriter: bytes.NewBuffer(whole), left: 3, stop: make(chan struct{})}
	if err := two.RecoverFromSnapshot(s, nil, s.stop); !errors.Is(err, sm.ErrSnapshotStopped) {
		t.Errorf("stopped while recovering: %v", err)
	}
	want(t, two, 3)

	// The writer waits for the snapshot to be closed, so that the stop comes before its end.
	state := prepare(t, one)
	w := &closing{s: state.(*cowheap.Snapshot), stop: make(chan struct{})}
	if err := one.SaveSnapshot(state, w, nil, w.stop); !errors.Is(err, sm.ErrSnapshotStopped) {
		t.Errorf("stopped while saving: %v", err)
	}
	if open := one.Stats().Snapshots; open != 0 {
		t.Errorf("%d snapshots are open", open)
	}
}

// closing is a writer that closes stop and goes on when that has closed the snapshot.
type closing struct {
	s    *cowheap.Snapshot
	stop chan struct{}
	once sync.Once
}

func (c *closing) Write(p []byte) (int, error) {
	c.once.Do(func() {
		close(c.stop)
		var b [1]byte
		for {
			if _, err := c.s.ReadAt(b[:], 0); errors.Is(err, cowheap.ErrClosed) {
				return
			}
		}
	})
	return len(p), nil
}

func TestErrorsOfSaveSnapshot(t *testing.T) {
	broken := errors.New("disk full")
	s := newMachine(t, &cowheap.Options{MaxPreserved: 8 << 10})
	update(t, s, 1, 1)
	if err := s.SaveSnapshot(prepare(t, s), failing{broken}, nil, nil); !errors.Is(err, broken) || errors.Is(err, sm.ErrSnapshotAborted) {
		t.Errorf("writer fails: %v", err)
	}
	if err := s.SaveSnapshot("a text", io.Discard, nil, nil); err == nil {
		t.Error("a state that is none: no error")
	}
	// More is written than may be preserved: the snapshot gives way, not the node.
	if state, err := s.PrepareSnapshot(); err == nil { // the guard copy refuses here
		update(t, s, 2, 3)
		if err := s.SaveSnapshot(state, io.Discard, nil, nil); err != nil && !errors.Is(err, sm.ErrSnapshotAborted) {
			t.Errorf("overrun: %v", err)
		}
	}
	state, err := newMachine(t, nil).PrepareSnapshot()
	if err != nil {
		t.Fatal(err)
	}
	state.(*cowheap.Snapshot).Close()
	if err := s.SaveSnapshot(state, io.Discard, nil, nil); !errors.Is(err, sm.ErrSnapshotAborted) {
		t.Errorf("closed: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Lookup(nil); !errors.Is(err, cowheap.ErrClosed) {
		t.Errorf("Lookup after Close: %v", err)
	}
	if state, err := s.PrepareSnapshot(); state != nil || !errors.Is(err, cowheap.ErrClosed) {
		t.Errorf("PrepareSnapshot after Close: %v, %v", state, err)
	}
}

type failing struct{ err error }

func (f failing) Write([]byte) (int, error) { return 0, f.err }

// Lookup runs beside Update, SaveSnapshot and RecoverFromSnapshot; Update beside SaveSnapshot.
func TestWhatMayRunConcurrently(t *testing.T) {
	s := newMachine(t, nil)
	update(t, s, 1, 1)
	var done atomic.Bool
	var lookups, saves sync.WaitGroup
	for range 2 {
		lookups.Go(func() {
			for !done.Load() {
				if _, err := s.Lookup(nil); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	for i := uint64(2); i < 200; i++ {
		update(t, s, i, i)
		if i%20 != 0 {
			continue
		}
		state, files := prepare(t, s), make(chan []byte, 1)
		saves.Go(func() {
			var file bytes.Buffer
			// Of the heap that a recovery has replaced nothing is left to save.
			if err := s.SaveSnapshot(state, &file, nil, nil); err != nil && !errors.Is(err, sm.ErrSnapshotAborted) {
				t.Error(err)
			}
			files <- file.Bytes()
		})
		if i%60 == 0 {
			// As when the log goes back: the state is as it was then.
			file := <-files
			if err := s.RecoverFromSnapshot(bytes.NewReader(file), nil, nil); err != nil {
				t.Error(err)
			}
			want(t, s, i)
		}
	}
	saves.Wait()
	done.Store(true)
	lookups.Wait()
	want(t, s, 199)
}
