// Package trap resolves page faults on the thread that took them.
//
// The words:
//
//   - A Range is the reservation of one arena: a piece of address space that is
//     registered with a userfaultfd which has UFFD_FEATURE_SIGBUS, or protected
//     by mprotect, in chunks; the signal is SIGSEGV then. With UFFD_FEATURE_WP_ASYNC
//     the kernel lifts protection by itself, and only missing faults come here.
//   - The resolver is the code that runs in the SIGBUS handler when a thread
//     writes to a write-protected page of a Range (a write fault), or touches a
//     page that a lazy restore has not brought in yet (a missing fault).
//   - A slot is a page of memory that takes a page's old content. The pool of
//     slots belongs to the Range.
//   - A Table maps the pages of one snapshot to slots: an entry for each page
//     that was first written after the snapshot and before the next one.
//   - The log has the pages that were lifted since somebody last took it.
//   - newest is the Table that the resolver consults; none when no snapshot is open.
//
// What is guaranteed:
//
//  1. The resolver waits for nobody: it takes no lock, allocates nothing, calls
//     nothing of the Go runtime. It does not matter whether the world is
//     stopped, nor which locks the faulting thread holds.
//
//  2. Save, publish, lift. A page's content is in a slot and the slot is in
//     newest before the page becomes writable.
//
//  3. A fault that is not one of ours goes to the Go runtime's handler exactly
//     as the kernel delivered it: same registers, same stack.
//
//  4. Memory that the resolver can see is unmapped only after it has been
//     unpublished and no resolver has been inside since (Range.Drain).
//
//  5. Lift, then log. Once everything was protected with the log on, protecting
//     what the log has protects everything again.
//
// Who may run concurrently: everything here may run concurrently with the
// resolver. The exported methods of one Range that change what is published
// (Publish, Unregister, and those of Pool marked so) are for one goroutine at a
// time. There is code for Linux on amd64 only; package arena says so elsewhere.
package trap
