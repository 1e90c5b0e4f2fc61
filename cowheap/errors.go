package cowheap

import (
	"errors"

	"github.com/cowheap/cowheap/arena"
	"github.com/cowheap/cowheap/checkpoint"
)

// The errors that callers test for with errors.Is. What an error message adds
// to these is the numbers and the remedy.
var (
	// ErrClosed: the heap or the snapshot has been closed.
	ErrClosed = arena.ErrClosed
	// ErrFull: MaxSize is used up, or the system refuses more memory. Nothing
	// has been changed.
	ErrFull = arena.ErrFull
	// ErrCorrupt: the memory or the file does not hold what was written there.
	ErrCorrupt = arena.ErrCorrupt
	// ErrNotSupported: this system lacks what was asked for.
	ErrNotSupported = arena.ErrNotSupported
	// ErrOverrun: more was written than MaxPreserved allows to keep, and the
	// snapshot was given up so that writers could go on.
	ErrOverrun = arena.ErrOverrun
	// ErrForeign: a snapshot of another heap.
	ErrForeign = arena.ErrForeign
	// ErrConcurrentWrite: somebody wrote to the heap outside Update while a
	// snapshot was taken. The snapshot was discarded; older ones stay as they are.
	ErrConcurrentWrite = arena.ErrConcurrentWrite

	// ErrNoDir: the heap was made without a directory. Use Open, or
	// Snapshot.WriteTo.
	ErrNoDir = errors.New("the heap has no directory: make it by Open, or use Snapshot.WriteTo")
	// ErrLocked: another process, or another heap of this one, has the directory.
	ErrLocked = checkpoint.ErrLocked

	// ErrNested: the goroutine is inside an Update or a View of this heap
	// already. It would wait for itself as soon as a snapshot is asked for.
	ErrNested = errors.New("inside an Update or View of this heap already: finish it first, or pass its Mem on")
	// ErrReadOnly: Alloc, Free or a change to a container inside a View, which
	// no snapshot waits for.
	ErrReadOnly = errors.New("a View only reads: use Update to change the heap")
	// ErrNotFound: the heap has no root of this name, and a View creates none.
	ErrNotFound = errors.New("no such root")
	// ErrOrder: what was to be loaded into a tree does not ascend.
	ErrOrder = errors.New("keys do not ascend")
	// ErrLayout: the type differs from the one that the heap holds. It comes as
	// a *LayoutError, which lists the differences.
	ErrLayout = errors.New("layout differs")
)
