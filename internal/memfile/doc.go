// Package memfile writes to files that their file system keeps in memory, and keeps that
// from the Go scheduler.
//
// The scheduler takes the processor from a goroutine that is in a system call for more
// than an instant, in case it waits for a device, if all other processors are busy: its monitor gets up every 100 us or so to see to it, and
// wakes a thread that is to find work for the processor. Both run on those
// that other goroutines want. A checkpoint is in system calls for more than half of its time, at a
// thousand a second, and a goroutine that computes all the while has been seen to lose a third of its speed to that. A file
// in memory waits for no device, so the goroutine that writes to it keeps its processor, as one that computes does.
package memfile
