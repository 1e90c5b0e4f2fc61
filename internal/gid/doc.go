// Package gid tells goroutines apart, so that a gate can refuse a goroutine that
// is inside already instead of letting it wait for itself.
//
// Where there is assembly for it, the identity is the address of the runtime's
// descriptor of the goroutine, one register away. A goroutine keeps its
// descriptor from its first instruction to its last, on whatever thread it runs;
// descriptors are neither moved nor given back to the system, only used again
// for a goroutine that starts later. So for as long as a function runs, the
// address stands for the goroutine that called it and for no other. It must not
// be kept beyond: that is what makes it no goroutine number.
//
// Elsewhere the number is read from runtime.Stack, a thousand times slower.
package gid
