package raft

import (
	"errors"
	"io"

	"github.com/hashicorp/raft"

	"github.com/cowheap/cowheap/adapters/replica"
	"github.com/cowheap/cowheap/cowheap"
)

// Heap is all of a raft.FSM but Apply. Embed it.
type Heap struct{ *replica.Heap }

// New makes an empty heap: raft restores its newest snapshot and applies the log after that. opts as
// for cowheap.New.
func New(opts *cowheap.Options) (*Heap, error) {
	h, err := replica.New(opts)
	if err != nil {
		return nil, err
	}
	return &Heap{h}, nil
}

// UpdateLog applies an entry: what fn does and the entry's position are in a snapshot together or
// not at all. Call it from Apply, or for each entry of ApplyBatch that is a command. Errors as
// for replica.Heap.UpdateAt: fn's own is Apply's answer to whoever proposed the entry.
func (h *Heap) UpdateLog(l *raft.Log, fn func(m *cowheap.Mem) error) error {
	return h.UpdateAt(replica.Position{Index: l.Index, Term: l.Term}, fn)
}

// Snapshot freezes the heap for raft. Errors as for cowheap.Heap.Snapshot.
func (h *Heap) Snapshot() (raft.FSMSnapshot, error) {
	s, err := h.Heap.Snapshot()
	if err != nil {
		return nil, err // a nil *cowheap.Snapshot in the interface would not be nil
	}
	return snapshot{s}, nil
}

// Restore replaces the heap by what Persist wrote, and closes from. On an error, also a
// damaged snapshot, the heap is as it was.
func (h *Heap) Restore(from io.ReadCloser) error {
	return errors.Join(h.Replace(from), from.Close())
}

// snapshot is a raft.FSMSnapshot.
type snapshot struct{ *cowheap.Snapshot }

// Persist writes a checkpoint to sink and closes it, or cancels it on an error.
func (s snapshot) Persist(sink raft.SnapshotSink) error {
	if _, err := s.WriteTo(sink); err != nil {
		return errors.Join(err, sink.Cancel())
	}
	return sink.Close()
}

// Release may be called more than once, and by any goroutine.
func (s snapshot) Release() { _ = s.Close() }
