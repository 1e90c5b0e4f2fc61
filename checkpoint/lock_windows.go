package checkpoint

import (
	"errors"
	"os"

	"golang.org/x/sys/windows"
)

// canSyncDir: a directory cannot be flushed; NTFS journals renames in order.
const canSyncDir = false

const noFollow = 0

// lockFile locks a byte far behind the process number, which others must be able
// to read: locks are mandatory here.
func lockFile(f *os.File) error {
	at := windows.Overlapped{Offset: 1 << 30}
	err := windows.LockFileEx(windows.Handle(f.Fd()), windows.LOCKFILE_EXCLUSIVE_LOCK|windows.LOCKFILE_FAIL_IMMEDIATELY, 0, 1, 0, &at)
	if errors.Is(err, windows.ERROR_LOCK_VIOLATION) {
		return errLockHeld
	}
	return err
}

// unlockFile leaves it to closing the file: handles are not inherited here.
func unlockFile(*os.File) error { return nil }
