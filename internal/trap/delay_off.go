//go:build linux && amd64 && !trapdelay

package trap

// Places where tests with the build tag trapdelay make the resolver dawdle.
const (
	delayEntry = iota
	delaySaving
	delayPublished
	delayLifted
	delayMissing
	delayWalk
)

//go:nosplit
//go:norace
//go:nocheckptr
func delay(uint64) {}
