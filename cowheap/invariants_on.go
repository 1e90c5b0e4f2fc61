//go:build invariants

package cowheap

// invariants: every use of a Mem is checked, at a price. Built with
// -tags invariants.
const invariants = true
