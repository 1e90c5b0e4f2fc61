package checkpoint

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// lockName is the file that a Store holds locked. It is never removed: a second
// process could hold the removed file locked while a third locks a new one. It
// holds the number of the process, for the message to the next that tries.
const lockName = "LOCK"

// lockDir locks the directory for this open file: against other processes and
// against a second Store of this one. The lock goes when the process ends, however
// it ends.
func lockDir(dir string) (io.Closer, error) {
	path := filepath.Join(dir, lockName)
	// A link would have someone else's file cut to a process number.
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|noFollow, 0o600)
	if err != nil {
		return nil, err
	}
	if err := lockFile(f); err != nil {
		if errors.Is(err, errLockHeld) {
			err = &LockedError{Path: dir, PID: holder(f)}
		} else {
			err = refusedLock(path, err)
		}
		return nil, errors.Join(err, f.Close())
	}
	// Only for a message: a full disk must not keep anyone from restoring.
	if f.Truncate(0) == nil {
		_, _ = f.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0)
	}
	return lockedFile{f}, nil
}

// refusedLock is a lock that nobody has and that cannot be had.
func refusedLock(path string, err error) error {
	if errors.Is(err, errors.ErrUnsupported) {
		return fmt.Errorf("locking %s: %w: this file system has no locks, and without one two processes could write the directory: use a directory on another, or mount this one with locks", path, err)
	}
	return fmt.Errorf("locking %s: %w", path, err)
}

// lockedFile gives the lock back before it closes the file.
type lockedFile struct{ *os.File }

func (f lockedFile) Close() error {
	return errors.Join(unlockFile(f.File), f.File.Close())
}

// errLockHeld is what lockFile returns if someone has the lock.
var errLockHeld = errors.New("lock is held")

// holder reads the process number from a lock file, 0 if there is none.
func holder(f *os.File) int {
	var b [32]byte
	n, _ := f.ReadAt(b[:], 0)
	pid, err := strconv.Atoi(strings.TrimSpace(string(b[:n])))
	if err != nil {
		return 0
	}
	return pid
}
