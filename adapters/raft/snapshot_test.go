package raft

import (
	"bytes"
	"errors"
	"io"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/hashicorp/raft"

	"github.com/cowheap/cowheap/cowheap"
)

// recorder is a sink that fails after so many bytes, and keeps what raft would see.
type recorder struct {
	bytes.Buffer
	limit             int // 0: none
	closed, cancelled int
	each              func() // called by each Write
}

var errDisk = errors.New("disk full")

func (r *recorder) Write(p []byte) (int, error) {
	if r.each != nil {
		r.each()
	}
	if r.limit > 0 && r.Len()+len(p) > r.limit {
		return 0, errDisk
	}
	return r.Buffer.Write(p)
}

func (r *recorder) ID() string    { return "recorder" }
func (r *recorder) Close() error  { r.closed++; return nil }
func (r *recorder) Cancel() error { r.cancelled++; return nil }

// closer counts.
type closer struct {
	io.Reader
	closed int
}

func (c *closer) Close() error { c.closed++; return nil }

func logEntry(index uint64) *raft.Log {
	return &raft.Log{Index: index, Term: 2, Type: raft.LogCommand, Data: command(index)}
}

func apply(t *testing.T, b *bank, from, to uint64) {
	t.Helper()
	for i := from; i <= to; i++ {
		if err, _ := b.Apply(logEntry(i)).(error); err != nil {
			t.Fatal(err)
		}
	}
}

func freeze(t *testing.T, b *bank) raft.FSMSnapshot {
	t.Helper()
	s, err := b.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestPersistThenRestore(t *testing.T) {
	one, two := newBank(t), newBank(t)
	apply(t, one, 1, 100)
	s := freeze(t, one)
	apply(t, one, 101, 200)
	var file recorder
	if err := s.Persist(&file); err != nil || file.closed != 1 || file.cancelled != 0 {
		t.Fatalf("%v, closed %d times, cancelled %d times", err, file.closed, file.cancelled)
	}
	s.Release()
	s.Release()
	from := &closer{Reader: &file}
	if err := two.Restore(from); err != nil || from.closed != 1 {
		t.Fatalf("%v, closed %d times", err, from.closed)
	}
	if n := two.check(t); n != 100 {
		t.Errorf("%d entries restored", n)
	}
	if at, err := two.Position(); err != nil || at.Index != 100 || at.Term != 2 {
		t.Errorf("position %+v, %v", at, err)
	}
	apply(t, two, 101, 200)
	if n, m := one.check(t), two.check(t); n != 200 || m != 200 {
		t.Errorf("%d and %d entries", n, m)
	}
}

func TestPersistCancelsOnAnError(t *testing.T) {
	b := newBank(t)
	apply(t, b, 1, 10)
	for name, tt := range map[string]struct {
		file recorder
		end  func(raft.FSMSnapshot)
		want error
	}{
		"sink fails":        {recorder{limit: 9000}, func(raft.FSMSnapshot) {}, errDisk},
		"released before":   {recorder{}, func(s raft.FSMSnapshot) { s.Release() }, cowheap.ErrClosed},
		"sink fails at all": {recorder{limit: 1}, func(raft.FSMSnapshot) {}, errDisk},
	} {
		s := freeze(t, b)
		tt.end(s)
		if err := s.Persist(&tt.file); !errors.Is(err, tt.want) || tt.file.cancelled != 1 || tt.file.closed != 0 {
			t.Errorf("%s: %v, closed %d times, cancelled %d times", name, err, tt.file.closed, tt.file.cancelled)
		}
		s.Release()
	}
	if open := b.Stats().Snapshots; open != 0 {
		t.Errorf("%d snapshots are open", open)
	}
}

func TestRestoreEndsAPersist(t *testing.T) {
	b := newBank(t)
	apply(t, b, 1, 10)
	var old recorder
	s := freeze(t, b)
	if err := s.Persist(&old); err != nil {
		t.Fatal(err)
	}
	s.Release()
	s = freeze(t, b)
	var file recorder
	var once sync.Once
	file.each = func() {
		once.Do(func() {
			if err := b.Restore(io.NopCloser(bytes.NewReader(old.Bytes()))); err != nil {
				t.Error(err)
			}
		})
	}
	if err := s.Persist(&file); !errors.Is(err, cowheap.ErrClosed) || file.cancelled != 1 || file.closed != 0 {
		t.Errorf("%v, closed %d times, cancelled %d times", err, file.closed, file.cancelled)
	}
	s.Release()
	if n := b.check(t); n != 10 {
		t.Errorf("%d entries", n)
	}
}

func TestADamagedSnapshotIsRefused(t *testing.T) {
	one, two := newBank(t), newBank(t)
	apply(t, one, 1, 10)
	apply(t, two, 1, 3)
	s := freeze(t, one)
	defer s.Release()
	var file recorder
	if err := s.Persist(&file); err != nil {
		t.Fatal(err)
	}
	file.Bytes()[file.Len()/2] ^= 4
	from := &closer{Reader: &file}
	if err := two.Restore(from); !errors.Is(err, cowheap.ErrCorrupt) || from.closed != 1 {
		t.Errorf("%v, closed %d times", err, from.closed)
	}
	if n := two.check(t); n != 3 {
		t.Errorf("%d entries", n)
	}
}

// Every snapshot that is persisted while entries are applied holds the state of its position.
func TestPersistBesideApply(t *testing.T) {
	b := newBank(t)
	apply(t, b, 1, 1)
	var done atomic.Bool
	var persisting sync.WaitGroup
	frozen := make(chan raft.FSMSnapshot)
	persisting.Go(func() {
		defer done.Store(true)
		for s := range frozen {
			var file recorder
			if err := s.Persist(&file); err != nil {
				t.Error(err)
			}
			s.Release()
			back := newBank(t)
			if err := back.Restore(io.NopCloser(&file)); err != nil {
				t.Error(err)
				continue
			}
			at, err := back.Position()
			if n := back.check(t); err != nil || n != at.Index {
				t.Errorf("%d entries at position %d, %v", n, at.Index, err)
			}
			back.Close()
		}
	})
	// Apply and Snapshot by one goroutine, as raft calls them.
	snapshots := 0
	for i := uint64(2); snapshots < 20; i++ {
		apply(t, b, i, i)
		if i%50 == 0 {
			s := freeze(t, b)
			select {
			case frozen <- s:
				snapshots++
			default:
				s.Release() // without a Persist, as raft may
			}
		}
	}
	close(frozen)
	persisting.Wait()
}
