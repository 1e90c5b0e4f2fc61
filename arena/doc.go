// Package arena keeps state in memory outside the Go heap that can be frozen at
// an instant while it goes on being written.
//
// The words:
//
//   - An Arena is a reserved range of addresses. The bytes [0, High) are in use;
//     Alloc and Free give out and take back pieces of it by offset. Offset 0 is nil.
//   - A Guard is how an arena notices the first write to a page after a snapshot.
//   - A Snapshot is the arena's content at one instant, in memory. It costs what
//     is written after it. Several may be open, oldest to newest, and be closed
//     in any order.
//   - A preserved page is the old content of a page, kept because an open
//     snapshot needs it.
//   - A rollback makes the arena what an open snapshot holds; a fork is a second
//     arena that starts as one.
//   - The gate holds writers off while a snapshot is taken (Options.Hold); how
//     long it is closed at the instant is the pause.
//   - Arming is protecting the memory: ahead of the instant, while writers go on,
//     or at it.
//
// What is guaranteed:
//
//  1. A snapshot shows every byte as it was at one instant, while the gate was
//     closed. Somebody who writes then nevertheless makes Snapshot fail with
//     ErrConcurrentWrite (guards userfault and mprotect; the others cannot tell), and
//     leaves the snapshots alone that are open already.
//  2. A writer waits for a snapshot only while the gate is closed: at its instant
//     and, if writers are at full speed, for slices of up to a millisecond while
//     it is prepared or streamed. It never waits for a reader, never fails and
//     never loses a write. What gives way when MaxPreserved is used up is the
//     snapshot: reading it answers ErrOverrun.
//  3. All that has to come back lies in the arena, the allocator's state too.
//  4. Freeing what is not allocated is an error and changes nothing.
//  5. Bytes from High on are zero.
//
// Who may run concurrently: Alloc, Free, SizeOf, Extend, Caches of different leases, and reading or writing allocated
// bytes, by any number of goroutines, also while snapshots are read, forked and closed.
// Snapshot holds writers off by Options.Hold, or the caller sees to it; so do Rollback, Trim
// and Check. All
// methods of Snapshot may be called from any goroutine at any time. Close of an
// Arena comes after the last use of its memory; forks may outlive it.
package arena
