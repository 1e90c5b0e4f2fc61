//go:build race

package checkpoint

// poolsForget: the race detector has sync.Pool drop things at random, so that buffers of
// 2 MiB are taken anew and memory cannot be counted.
const poolsForget = true
