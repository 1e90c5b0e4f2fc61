package dragonboat

import (
	"errors"
	"fmt"
	"io"

	sm "github.com/lni/dragonboat/v4/statemachine"

	"github.com/cowheap/cowheap/adapters/replica"
	"github.com/cowheap/cowheap/cowheap"
)

// Heap is all of a statemachine.IConcurrentStateMachine but Update and Lookup. Embed it.
type Heap struct{ *replica.Heap }

// New makes an empty heap: dragonboat recovers its newest snapshot and applies the log after that. opts as
// for cowheap.New.
func New(opts *cowheap.Options) (*Heap, error) {
	h, err := replica.New(opts)
	if err != nil {
		return nil, err
	}
	return &Heap{h}, nil
}

// UpdateEntry applies an entry: what fn does and the entry's position are in a snapshot together or not at
// all. Errors as for replica.Heap.UpdateAt. What Update returns as its error halts the node: put fn's own
// into the entry's Result instead.
func (h *Heap) UpdateEntry(e *sm.Entry, fn func(m *cowheap.Mem) error) error {
	return h.UpdateAt(replica.Position{Index: e.Index}, fn)
}

// PrepareSnapshot freezes the heap. Errors as for cowheap.Heap.Snapshot.
func (h *Heap) PrepareSnapshot() (any, error) {
	s, err := h.Snapshot()
	if err != nil {
		return nil, err
	}
	return s, nil
}

// SaveSnapshot writes what PrepareSnapshot has frozen to w as a checkpoint, and closes it. Errors:
// ErrSnapshotStopped when stop was closed, ErrSnapshotAborted when the snapshot was given up or the heap
// closed, both wrapped; and w's.
func (h *Heap) SaveSnapshot(state any, w io.Writer, _ sm.ISnapshotFileCollection, stop <-chan struct{}) error {
	s, ok := state.(*cowheap.Snapshot)
	if !ok {
		return fmt.Errorf("saving a %T, which is not what PrepareSnapshot returned", state)
	}
	defer s.Close()
	done := make(chan struct{})
	defer close(done)
	go func() {
		select {
		case <-stop:
			_ = s.Close() // ends WriteTo
		case <-done:
		}
	}()
	_, err := s.WriteTo(w)
	switch {
	case err == nil:
		return nil
	case closed(stop):
		return fmt.Errorf("%w: %w", sm.ErrSnapshotStopped, err)
	case errors.Is(err, cowheap.ErrClosed), errors.Is(err, cowheap.ErrOverrun):
		return fmt.Errorf("%w: %w", sm.ErrSnapshotAborted, err)
	}
	return err
}

// RecoverFromSnapshot replaces the heap by what SaveSnapshot wrote. On an error, also a damaged snapshot,
// the heap is as it was. ErrSnapshotStopped, wrapped, when stop was closed.
func (h *Heap) RecoverFromSnapshot(r io.Reader, _ []sm.SnapshotFile, stop <-chan struct{}) error {
	err := h.Replace(&stoppable{r, stop})
	if err != nil && closed(stop) && !errors.Is(err, sm.ErrSnapshotStopped) {
		return fmt.Errorf("%w: %w", sm.ErrSnapshotStopped, err)
	}
	return err
}

// stoppable is a reader that stops between reads.
type stoppable struct {
	r    io.Reader
	stop <-chan struct{}
}

func (s *stoppable) Read(p []byte) (int, error) {
	if closed(s.stop) {
		return 0, sm.ErrSnapshotStopped
	}
	return s.r.Read(p)
}

// closed reports whether stop was closed. It never is if it is nil.
func closed(stop <-chan struct{}) bool {
	select {
	case <-stop:
		return true
	default:
		return false
	}
}
