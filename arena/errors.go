package arena

import (
	"errors"
	"fmt"
	"runtime"
)

// The errors that callers test for with errors.Is. What an error message adds
// to these is the numbers and the remedy.
var (
	// ErrClosed: the arena or the snapshot has been closed.
	ErrClosed = errors.New("closed")
	// ErrFull: the arena's MaxSize is used up, or the system refuses more
	// memory. Nothing has been changed.
	ErrFull = errors.New("arena full")
	// ErrCorrupt: the memory does not hold what the allocator left there.
	ErrCorrupt = errors.New("arena corrupt")
	// ErrNotSupported: this system lacks what was asked for.
	ErrNotSupported = fmt.Errorf("not supported here (%w)", errors.ErrUnsupported)
	// ErrOverrun: more was written than MaxPreserved allows to keep, and the
	// snapshot was given up so that writers could go on.
	ErrOverrun = errors.New("snapshot overrun: raise MaxPreserved or close snapshots sooner")
	// ErrForeign: the snapshot is one of another arena.
	ErrForeign = errors.New("a snapshot of another heap")
	// ErrIncomplete: a lazy restore or a fork has not ended yet, or a snapshot from before its
	// end is still open, or one that a fork stands on.
	ErrIncomplete = errors.New("not all of the memory is in: complete the lazy restore or the fork, close snapshots taken before its end, and populate or close their forks")
	// ErrConcurrentWrite: somebody wrote while the snapshot was taken, outside
	// the gate that holds writers off. The snapshot was discarded; older ones stay as they are.
	ErrConcurrentWrite = errors.New("write outside the gate while a snapshot was taken")
)

// errRolledBack is why a snapshot was closed that its owner did not close.
var errRolledBack = fmt.Errorf("%w by a rollback to an older snapshot", ErrClosed)

// ConcurrentWriteError is an ErrConcurrentWrite that knows the write.
type ConcurrentWriteError struct {
	Offset uint64  // of the page in the arena
	PC     uintptr // of the instruction
}

func (e *ConcurrentWriteError) Error() string {
	where := "unknown code"
	if f := runtime.FuncForPC(e.PC); f != nil {
		file, line := f.FileLine(e.PC)
		where = fmt.Sprintf("%s (%s:%d)", f.Name(), file, line)
	}
	return fmt.Sprintf("%v: page at offset %#x by %s: keep writes inside the gate", ErrConcurrentWrite, e.Offset, where)
}

// Is makes it an ErrConcurrentWrite.
func (e *ConcurrentWriteError) Is(target error) bool { return target == ErrConcurrentWrite }
