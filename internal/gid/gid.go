package gid

// Current returns what identifies the calling goroutine for as long as the
// caller has not returned. It is never 0, and its two lowest bits are.
func Current() uintptr { return current() }
