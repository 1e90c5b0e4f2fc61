//go:build !invariants

package cowheap

const invariants = false
