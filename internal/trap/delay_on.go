//go:build linux && amd64 && trapdelay

package trap

// Places where the resolver dawdles, so that every window between two steps is
// hit often.
const (
	delayEntry = iota
	delaySaving
	delayPublished
	delayLifted
	delayMissing
	delayWalk
)

var delaySeed uint64

// delay spins for up to 32 microseconds at one call of four, chosen by a
// generator that racing threads may disturb as they like.
//
//go:nosplit
//go:norace
//go:nocheckptr
func delay(where uint64) {
	x := add64(&delaySeed, 0x9e3779b97f4a7c15+where)
	x ^= x >> 30
	x *= 0xbf58476d1ce4e5b9
	x ^= x >> 27
	if x&3 != 0 {
		return
	}
	for end := ticks() + x>>4&0xffff; ticks() < end; {
	}
}
