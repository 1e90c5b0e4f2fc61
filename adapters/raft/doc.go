// Package raft makes a heap the state of a state machine of github.com/hashicorp/raft: it
// has the methods Snapshot and Restore of raft.FSM, and the program adds Apply.
//
//	type fsm struct{ *cowheapraft.Heap }
//
//	func (f fsm) Apply(l *raft.Log) any {
//		return f.UpdateLog(l, func(m *cowheap.Mem) error { ... })
//	}
//
// raft.FSM's contract (v1.8.0, fsm.go), and what keeps it:
//
//   - "The Snapshot implementation should return quickly, because Apply can not be called while
//     Snapshot is running." It freezes the heap; the pause does not grow with the state.
//   - "Apply and Snapshot are always called from the same thread, but Apply will be called concurrently
//     with FSMSnapshot.Persist." Persist reads the frozen state; Apply goes on writing.
//   - "FSMSnapshot.Persist will never be called", possibly; "Raft will always call FSMSnapshot.Release
//     however." Release gives what was preserved back, and ends a Persist that runs.
//   - Restore "is not called concurrently with any other command. The FSM must discard all previous
//     state". Not so the program's own readers: a View sees the state before or after, see package
//     replica. A Persist that runs ends with cowheap.ErrClosed and is cancelled: it
//     would store less than raft has just restored.
//   - Apply "must be deterministic": choose one Options.Seed for all peers if it loops over maps.
//
// The heap has no directory: raft's SnapshotStore keeps the checkpoints, and its log what came after them. A
// snapshot in the store is a checkpoint as docs/FORMAT.md describes it, verified whole
// before it replaces anything.
package raft
