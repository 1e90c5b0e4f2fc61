package trap

// A page that cannot be brought in crashes the process: the thread cannot go on
// without it, and nothing above it expects an error from a plain load. The Go
// runtime prints where; what it cannot know is said here first.

const (
	lastWords1 = "cowheap: the page at arena offset 0x"
	lastWords2 = " cannot be brought in: checkpoint file damaged or unreadable at offset 0x"
	lastWords3 = " of "
	lastWords4 = "\n"
)

// lastWords writes them to standard error, piece by piece.
//
//go:nosplit
//go:norace
//go:nocheckptr
func (r *Range) lastWords(page, offset uint64) {
	im := imageAt(load64(&r.image))
	say(lastWords1)
	sayHex(page << pageShift)
	say(lastWords2)
	sayHex(offset)
	say(lastWords3)
	syscall6(sysWrite, 2, im.path, im.pathLen, 0, 0, 0)
	say(lastWords4)
}

//go:nosplit
//go:norace
//go:nocheckptr
func sayHex(x uint64) {
	shift := uint64(60)
	for shift > 0 && x>>shift == 0 {
		shift -= 4
	}
	for ; ; shift -= 4 {
		sayByte(x >> shift & 15)
		if shift == 0 {
			return
		}
	}
}
