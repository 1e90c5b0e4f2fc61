// Package dragonboat makes a heap the state of a state machine of github.com/lni/dragonboat/v4: it has
// the methods PrepareSnapshot, SaveSnapshot, RecoverFromSnapshot and Close of
// statemachine.IConcurrentStateMachine, and the program adds Update and Lookup.
//
//	type machine struct{ *dragonboat.Heap }
//
//	func (s machine) Update(entries []sm.Entry) ([]sm.Entry, error) {
//		for i := range entries {
//			e := &entries[i]
//			err := s.UpdateEntry(e, func(m *cowheap.Mem) error { ... })
//		}
//		return entries, nil
//	}
//
// IConcurrentStateMachine, not IOnDiskStateMachine: a heap is in memory, starts empty, and comes back from
// dragonboat's own snapshot and log, which is what the former asks for. The latter would have to be durable
// by itself at each Sync, a checkpoint each time.
//
// The contract (v4, statemachine/concurrent.go), and what keeps it:
//
//   - "Lookup, SaveSnapshot and GetHash methods can be invoked concurrent to the Update method."
//     SaveSnapshot reads the heap as PrepareSnapshot has frozen it; Lookup reads in a View what the program
//     guards by its own locks.
//   - "The Lookup method is also allowed to be invoked concurrent to the RecoverFromSnapshot method." A View
//     sees the state before or after, see package replica.
//   - "Update, PrepareSnapshot, RecoverFromSnapshot and the Close methods are guarded by the system to
//     ensure mutual exclusion."
//   - "It is SaveSnapshot's responsibility to free the resources owned by the input state identifier."
//     It closes the snapshot. One that SaveSnapshot never gets is closed when it is collected.
//   - A closed stop channel ends SaveSnapshot and RecoverFromSnapshot with ErrSnapshotStopped. Any other error
//     than that and ErrSnapshotAborted halts the node, so a snapshot that was given up
//     for want of room (cowheap.ErrOverrun) is ErrSnapshotAborted.
//   - Update "must be deterministic": choose one Options.Seed for all replicas if it loops over maps.
//
// The library has no tagged v4; the version in go.mod is its last commit of July 2025. Its statemachine package
// is all that this one imports.
package dragonboat
