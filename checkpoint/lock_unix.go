//go:build linux || darwin || freebsd || netbsd || openbsd || dragonfly

package checkpoint

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

const (
	canSyncDir = true
	noFollow   = unix.O_NOFOLLOW
)

// lockFile takes an exclusive flock. It belongs to the open file, not to the
// process, so that two Stores of one process exclude each other too; fcntl locks
// would not.
func lockFile(f *os.File) error {
	for {
		err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		switch {
		case errors.Is(err, unix.EINTR):
		case errors.Is(err, unix.EWOULDBLOCK):
			return errLockHeld
		case errors.Is(err, unix.ENOLCK): // of NFS without its lock daemon
			return fmt.Errorf("%w, %w", err, errors.ErrUnsupported)
		default:
			return err
		}
	}
}

// unlockFile gives the lock back by itself, before the file is closed: a program
// that is being started has a copy of the descriptor until it has begun, and the
// lock would stay with it.
func unlockFile(f *os.File) error { return unix.Flock(int(f.Fd()), unix.LOCK_UN) }
