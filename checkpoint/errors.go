package checkpoint

import (
	"errors"
	"fmt"

	"github.com/google/uuid"
)

// What is wrong, for errors.Is. The typed errors of this package answer to these.
var (
	// ErrCorrupt: the bytes are not those of a checkpoint that was written
	// whole: damaged, or never one. Restore an older checkpoint.
	ErrCorrupt = errors.New("damaged checkpoint")

	// ErrTruncated: the end is missing. Every ErrTruncated is an ErrCorrupt.
	ErrTruncated = fmt.Errorf("%w: cut off before its end", ErrCorrupt)

	// ErrLocked: another process, or another Store of this one, has the directory.
	ErrLocked = errors.New("checkpoint directory is in use")

	// ErrNotFound: the directory holds no checkpoint at all.
	ErrNotFound = errors.New("no checkpoint found")

	// ErrNoParent: an incremental checkpoint cannot be read, because its parent is
	// not where it should be. See [ParentError].
	ErrNoParent = errors.New("no parent checkpoint found")

	// ErrNotLive: the state cannot be saved while it changes, for the reason that is said. The
	// directory is as it was. See [Store.SaveLive].
	ErrNotLive = errors.New("not to be saved while it changes, save it from a snapshot")

	// ErrClosed: the Store or Image was closed before.
	ErrClosed = errors.New("already closed")
)

// FormatError is content that breaks the format although its checksum is right
// or is not known yet. It is ErrCorrupt or ErrTruncated.
type FormatError struct {
	Path   string // "" for a stream
	Offset int64  // bytes from the start of the checkpoint
	Reason string
	Err    error // ErrCorrupt or ErrTruncated
}

func (e *FormatError) Error() string {
	return fmt.Sprintf("%sat byte %d: %s: %v", where(e.Path), e.Offset, e.Reason, e.Err)
}

// Unwrap returns ErrCorrupt or ErrTruncated.
func (e *FormatError) Unwrap() error { return e.Err }

// ChecksumError is content that is not what was written. It is ErrCorrupt.
type ChecksumError struct {
	Path      string // "" for a stream
	Offset    int64  // of the first byte that the checksum covers, from the start of the checkpoint
	What      string // the part that the checksum covers
	Want, Got uint32 // as recorded, as computed
}

func (e *ChecksumError) Error() string {
	return fmt.Sprintf("%sat byte %d: checksum of %s is %08x, recorded is %08x: %v",
		where(e.Path), e.Offset, e.What, e.Got, e.Want, ErrCorrupt)
}

// Unwrap returns ErrCorrupt.
func (e *ChecksumError) Unwrap() error { return ErrCorrupt }

// VersionError is a checkpoint of a format that this version of cowheap does
// not read. It is ErrCorrupt only if Damaged is set: the file may be perfectly
// good, and an older one is no substitute for it.
type VersionError struct {
	Path    string
	Got     uint32 // the file's format version
	Max     uint32 // the newest that this version reads
	Flags   uint32 // features that the file needs and this version does not have, if Got is fine
	Damaged bool   // the header's checksum is wrong too, so Got may be a flipped bit
}

func (e *VersionError) Error() string {
	says := fmt.Sprintf("%scheckpoint has format version %d, this version of cowheap reads 1 to %d", where(e.Path), e.Got, e.Max)
	if e.Flags != 0 {
		says = fmt.Sprintf("%scheckpoint needs features %#x, which this version of cowheap does not know", where(e.Path), e.Flags)
	}
	return says + damagedToo(e.Damaged) + ": use the version that wrote it, or a newer one"
}

// Is reports whether target is ErrCorrupt and the header is damaged.
func (e *VersionError) Is(target error) bool { return e.Damaged && target == ErrCorrupt }

// PageSizeError is a checkpoint of a machine whose pages have another size. It
// is ErrCorrupt only if Damaged is set.
type PageSizeError struct {
	Path      string
	Got, Want uint32 // bytes: the file's page size, the one that this version reads
	Damaged   bool   // the header's checksum is wrong too, so Got may be a flipped bit
}

func (e *PageSizeError) Error() string {
	return fmt.Sprintf("%scheckpoint has pages of %d bytes, this version of cowheap reads pages of %d%s: restore it on a machine with pages of %d bytes",
		where(e.Path), e.Got, e.Want, damagedToo(e.Damaged), e.Got)
}

// Is reports whether target is ErrCorrupt and the header is damaged.
func (e *PageSizeError) Is(target error) bool { return e.Damaged && target == ErrCorrupt }

// ParentError is an incremental checkpoint whose parent is missing
// (ErrNoParent), damaged (ErrCorrupt), not the one that is meant (ErrCorrupt), or
// cannot be opened for the reason in Err.
type ParentError struct {
	Path   string    // of the child, "" for a stream
	ID     uuid.UUID // of the child
	Parent uuid.UUID // that it wants
	Err    error
}

func (e *ParentError) Error() string {
	says := fmt.Sprintf("%scheckpoint %s needs its parent %s: %v", where(e.Path), e.ID, e.Parent, e.Err)
	if errors.Is(e.Err, ErrNoParent) {
		says += ": put the parent beside it first, or take a full checkpoint"
	}
	return says
}

// Unwrap returns the cause.
func (e *ParentError) Unwrap() error { return e.Err }

// LimitError is a checkpoint that is larger than the caller or the format
// allows. It is not ErrCorrupt.
type LimitError struct {
	Path       string
	What       string
	Got, Limit int64
}

func (e *LimitError) Error() string {
	return fmt.Sprintf("%s%s is %d, the limit is %d: raise the limit, or make it smaller", where(e.Path), e.What, e.Got, e.Limit)
}

// WriteError is a step that failed while a checkpoint was written. Err is what
// the system or the writer said: io.ErrShortWrite, syscall.ENOSPC,
// context.Canceled and so on.
type WriteError struct {
	Path   string // "" for a stream
	Op     string // "creating", "writing", "syncing", "closing", "renaming"
	Offset int64  // bytes written before it; where it was, if something was written over
	Err    error
}

func (e *WriteError) Error() string {
	return fmt.Sprintf("%s%s the checkpoint, %d bytes in: %v", where(e.Path), e.Op, e.Offset, e.Err)
}

// Unwrap returns the cause.
func (e *WriteError) Unwrap() error { return e.Err }

// SourceError is a [Source] that could not be read.
type SourceError struct {
	Offset int64 // in the arena
	Err    error
}

func (e *SourceError) Error() string {
	return fmt.Sprintf("reading the snapshot at byte %d: %v", e.Offset, e.Err)
}

// Unwrap returns the cause.
func (e *SourceError) Unwrap() error { return e.Err }

// ReadError is a checkpoint that could not be read: the device or the stream
// failed, not the content.
type ReadError struct {
	Path   string // "" for a stream
	Offset int64
	Err    error
}

func (e *ReadError) Error() string {
	return fmt.Sprintf("%sreading checkpoint at byte %d: %v", where(e.Path), e.Offset, e.Err)
}

// Unwrap returns the cause.
func (e *ReadError) Unwrap() error { return e.Err }

// damagedToo is what a message adds when the header's checksum is wrong.
func damagedToo(damaged bool) string {
	if damaged {
		return " (or its header is damaged: the checksum is wrong too)"
	}
	return ""
}

// where is the start of a message about path.
func where(path string) string {
	if path == "" {
		return ""
	}
	return path + ": "
}
