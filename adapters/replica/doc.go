// Package replica is a heap whose whole content can be replaced while others read
// it: what a replicated log needs of its state machine. The packages raft and
// dragonboat beside this one stand on it.
//
// The words: a log hands entries to every replica in the same order. A replica's
// Position is the entry that its heap has applied last. It is a root of the heap,
// written in the same Update as what the entry changed, so that every snapshot
// holds the position that belongs to its state.
//
// What is guaranteed:
//
//  1. An entry and its position are in a snapshot together or not at all.
//  2. A reader sees the heap before a Replace or after it, never parts of both,
//     and is not held up by one. A View that runs goes on to its end in the
//     heap that it began in, whose memory is given back after it.
//  3. A Replace that fails has changed nothing.
//
// While a Replace reads, both heaps are in memory.
//
// Who may run concurrently: View, Position, Snapshot and Stats with everything. UpdateAt
// is for one goroutine at a time, that of the log; Update is for whatever the log does not
// order, and runs beside it. What an Update changes while a Replace runs is gone after it.
package replica
