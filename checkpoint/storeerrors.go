package checkpoint

import (
	"fmt"
	"strings"
)

// LockedError is a directory that is in use. It is ErrLocked.
type LockedError struct {
	Path string // of the directory
	PID  int    // process that has it, 0 if not known
}

func (e *LockedError) Error() string {
	holder := "another process or another Store of this one"
	if e.PID != 0 {
		holder = fmt.Sprintf("process %d", e.PID)
	}
	return fmt.Sprintf("%s%v by %s: close it there first, or use another directory", where(e.Path), ErrLocked, holder)
}

// Is reports whether target is ErrLocked.
func (e *LockedError) Is(target error) bool { return target == ErrLocked }

// AllDamagedError is a directory whose checkpoints can none of them be used. It
// is ErrCorrupt.
type AllDamagedError struct {
	Path    string
	Skipped []error // one a checkpoint, newest first
}

func (e *AllDamagedError) Error() string {
	return fmt.Sprintf("%snone of %d checkpoints can be used, the newest says: %v", where(e.Path), len(e.Skipped), e.Skipped[0])
}

// Unwrap returns ErrCorrupt and what is wrong with each checkpoint.
func (e *AllDamagedError) Unwrap() []error { return append([]error{ErrCorrupt}, e.Skipped...) }

// SkippedError is one checkpoint of a directory that was passed over.
type SkippedError struct {
	Path string
	Err  error
}

func (e *SkippedError) Error() string {
	if says := e.Err.Error(); strings.HasPrefix(says, where(e.Path)) {
		return says
	}
	return where(e.Path) + e.Err.Error()
}

// Unwrap returns what is wrong with the checkpoint.
func (e *SkippedError) Unwrap() error { return e.Err }
