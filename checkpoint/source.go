package checkpoint

import "io"

// Source is what a checkpoint is made from: a snapshot, an [Image], a byte
// slice in a test.
//
// Size is a number of bytes and a multiple of the page size, and does not
// change. ReadAt follows [io.ReaderAt]: it is called from one goroutine at a
// time, not necessarily the one that called [Write], with ranges inside
// [0, Size) that start on a page. Neither is called after Write returned.
type Source interface {
	Size() int64
	io.ReaderAt
}

// Releaser is a [Source] that wants to know what is not needed any more. Release
// is called after the bytes [off, off+n) were handed to the writer, in ascending
// order, without gaps, from the goroutine that called [Write]; ReadAt of later
// bytes may run at the same time. Nothing is released after an error.
type Releaser interface {
	Source
	Release(off, n int64)
}
