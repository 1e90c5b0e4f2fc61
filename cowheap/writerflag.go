package cowheap

// writerFlag is the word in a container that shows a second writer, or a reader
// beside a writer, as the flag in Go's maps does: the race detector does not see
// a heap's memory. It is 0 whenever nobody writes, so also in every snapshot.
//
// It finds most of what overlaps in time and makes nothing safe. Like Go's it is
// read and written by plain instructions: a locked one waits for every load
// before it and holds up those behind, so that the cache misses of one operation
// cannot overlap with those of the next. Two who begin within the same
// nanoseconds may both pass; the one who ends last finds the mark gone.
type writerFlag struct {
	word uint32 // a plain word: containers have to be copied inside the arena
}

// begin marks the container as being written. It panics if it is already.
func (f *writerFlag) begin(container string) {
	if f.word != 0 {
		f.writtenTwice(container)
	}
	f.word = 1
}

//go:noinline
func (f *writerFlag) writtenTwice(container string) {
	panic("cowheap: concurrent writes to a " + container + ": hold a lock of your own inside Update")
}

// end takes the mark away. It panics if somebody else has.
func (f *writerFlag) end(container string) {
	if f.word == 0 {
		f.writtenTwice(container)
	}
	f.word = 0
}

// check panics if the container is being written.
func (f *writerFlag) check(container string) {
	if f.word != 0 {
		f.readWhileWritten(container)
	}
}

// readWhileWritten is apart so that check stays small where it is inlined.
//
//go:noinline
func (f *writerFlag) readWhileWritten(container string) {
	panic("cowheap: concurrent read and write of a " + container + ": hold a lock of your own inside Update and View")
}

// noCopy has go vet report copies of what holds it.
type noCopy struct{}

func (*noCopy) Lock()   {}
func (*noCopy) Unlock() {}
