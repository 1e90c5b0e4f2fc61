//go:build !linux && !darwin && !freebsd && !netbsd && !openbsd && !dragonfly && !windows

package checkpoint

import (
	"errors"
	"fmt"
	"os"
)

const (
	canSyncDir = false
	noFollow   = 0
)

// lockFile refuses: a directory without a lock is one that two processes write.
func lockFile(*os.File) error {
	return fmt.Errorf("file locks on this system: %w; write checkpoints to a file of your own", errors.ErrUnsupported)
}

func unlockFile(*os.File) error { return nil }
