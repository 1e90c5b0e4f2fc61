// Package checkpoint writes and reads checkpoints: the content of an arena at
// one instant, in a file or on a stream.
package checkpoint
