//go:build linux

package memfile

import (
	"io"
	"io/fs"
	"os"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Of makes a File of f if it is one: a regular file of tmpfs or ramfs. To write there waits for nothing but
// memory. (Where that has to be swapped out first the File waits with its processor.)
func Of(f *os.File) (File, bool) {
	info, err := f.Stat()
	if err != nil || !info.Mode().IsRegular() { // the devices of /dev are in a tmpfs
		return File{}, false
	}
	conn, err := f.SyscallConn()
	if err != nil {
		return File{}, false
	}
	var st unix.Statfs_t
	var failed error
	if err := conn.Control(func(fd uintptr) { failed = unix.Fstatfs(int(fd), &st) }); err != nil || failed != nil {
		return File{}, false
	}
	kind := uint32(st.Type)
	return File{f, conn}, kind == unix.TMPFS_MAGIC || kind == unix.RAMFS_MAGIC
}

// Write is os.File's.
func (f File) Write(p []byte) (n int, err error) {
	var failed error
	if err := f.conn.Write(func(fd uintptr) bool {
		for n < len(p) && failed == nil {
			var k int
			k, failed = write(fd, p[n:min(n+piece, len(p))])
			n += k
		}
		return true
	}); err != nil {
		return f.File.Write(p) // it has been closed, and that says so
	}
	if failed != nil {
		return n, &fs.PathError{Op: "write", Path: f.Name(), Err: failed}
	}
	return n, nil
}

// write is one write(2) that the scheduler does not hear of. p is not empty.
func write(fd uintptr, p []byte) (int, error) {
	for {
		n, _, errno := unix.RawSyscall(unix.SYS_WRITE, fd, uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p)))
		runtime.KeepAlive(p)
		switch {
		case errno == unix.EINTR:
		case errno != 0:
			return 0, errno
		case n == 0:
			return 0, io.ErrUnexpectedEOF
		default:
			return int(n), nil
		}
	}
}
