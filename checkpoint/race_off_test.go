//go:build !race

package checkpoint

const poolsForget = false
