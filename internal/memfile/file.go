package memfile

import (
	"os"
	"syscall"
)

// piece is how many bytes are written at a time. Whoever stops the world waits for as long as one takes.
const piece = 64 << 10

// File is a file in memory. Only its Write is other than os.File's.
type File struct {
	*os.File
	conn syscall.RawConn
}
