package memfile

import (
	"os"
	"syscall"
)

// piece is how many bytes are written at a time. That takes 20 us, and whoever stops the world waits for as long.
const piece = 64 << 10

// File is a file in memory. Only its Write is other than os.File's.
type File struct {
	*os.File
	conn syscall.RawConn
}
