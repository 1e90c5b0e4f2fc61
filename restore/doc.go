// Package restore brings checkpoints back into arenas, and makes arenas of
// snapshots.
//
// The words: an eager restore reads and verifies everything before it returns;
// a lazy one returns at once, and pages come in as they are touched, while a
// prefetch brings in the rest in the background. A fork is lazy, too, where the
// guards can, and has no prefetch.
//
// What is guaranteed:
//
//  1. Nothing is handed out that was not verified: an eager restore and a
//     stream verify every page first, a lazy one each page before it is seen.
//  2. An eager restore answers an error for a damaged file. In a lazy one a
//     program that touches a damaged page crashes, with a message that names
//     file and offset, because a plain load has no error to return.
//  3. An arena that is being restored lazily is as good as any other: it may be
//     written, allocated from and snapshotted at any moment.
//
// Who may run concurrently: Lazy's methods with each other and with everything
// that uses the arena.
package restore
