// Package cowheap keeps a program's state in memory that can be frozen at an
// instant, while the program goes on writing it.
//
// The words:
//
//   - A Heap is an arena of memory outside the Go heap, with a gate for writers
//     and, if it was opened with one, a directory of checkpoints.
//   - A Mem is the way to the heap's memory, inside Update or View.
//   - A Ref is a reference that means the same in the live heap and in a restored
//     one. A root is a value with a name, from which the others are found.
//   - A Snapshot is the heap's content at one instant, in memory. The heap can be
//     rolled back to it, and forked: a second heap that starts as the snapshot.
//   - A checkpoint is a snapshot written to a file or a stream.
//
// What is promised:
//
//  1. Update is a gate, not a transaction. An error of its function is returned
//     and nothing is undone; Updates run concurrently; cowheap locks none of your
//     data. An operation that answers ErrFull has changed nothing.
//  2. Snapshot waits for running Updates only; Rollback, Trim and Close for Updates and
//     Views. View does not hold writers off.
//  3. What comes from a Mem (pointers, slices, strings) is valid until the function
//     returns, the block is freed, or its container is next changed. Keep Refs.
//  4. Inside the function: no gated method of the same heap, waiting for nobody
//     who calls one, no fsync and no network: it is the snapshot's pause. Take
//     your own locks inside it, never around it. If it panics the gate opens
//     again. Pointers may be used by goroutines that it waits for; Alloc, Free
//     and container writes by one at a time.
//  5. With one Update at a time the heap's bytes depend on the operations and the
//     seed alone, not on goroutines or processors.
//  6. A type may hold no Go pointer and nothing of package sync. It is refused
//     once, with the path of every field in the way.
//  7. A snapshot belongs to its caller. Close of the heap saves nothing and closes
//     its snapshots, Rollback those that are newer; a WriteTo in flight ends with
//     ErrClosed. A snapshot that nobody can reach any more is closed by itself. A
//     fork keeps the pages it needs: its snapshot and its parent may be closed at
//     once. A Rollback that fails has changed nothing.
//  8. Metadata is a root: a log position that is written in the same Update is
//     frozen with the state.
//  9. Open falls back to an older checkpoint if the newest is damaged, and Origin
//     says so. If all are damaged it is an error, never an empty heap.
//
// A writer waits for a snapshot only while the gate is closed: at its instant and,
// if writers are at full speed, for slices of up to a millisecond while it is
// prepared or saved. It never waits for a reader, never fails and never loses a
// write because of a snapshot: what gives way when Options.MaxPreserved is used up is the
// snapshot (ErrOverrun).
package cowheap
