//go:build !trapdelay

package arena

// delay is where tests with the build tag trapdelay make ordinary code dawdle.
func delay() {}
