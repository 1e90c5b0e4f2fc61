// Package memfile writes to files that their file system keeps in memory, and keeps that
// from the Go scheduler.
//
// Where all processors are busy the scheduler takes one away from a goroutine that is in a
// system call for more than an instant, in case it waits for a device. For that its monitor
// gets up, and wakes a thread that is to find work for the processor; both run on those that
// other goroutines want. A checkpoint is in system calls for much of its time. A file in memory
// waits for no device, so the goroutine that writes to it keeps its processor, as one that
// computes does. See RATIONALE, "Why is a file in memory written behind the scheduler's back?".
package memfile
