package checkpoint

import (
	"time"

	"github.com/google/uuid"
)

// Info describes a checkpoint. Pages, Blocks and Bytes are known once the whole
// checkpoint was written, opened through its index or read to its end; a
// [Reader] in the middle of its stream has seen less.
type Info struct {
	ID     uuid.UUID // UUIDv7, so that IDs sort by time
	Parent uuid.UUID // checkpoint that the state descends from, zero if none
	Time   time.Time // when it was written, to the nanosecond
	Size   int64     // bytes of the arena, [0, Size)
	Pages  int64     // pages stored; all others are zero, or the parent's
	Blocks int64     // regions with at least one stored page; of an incremental one also those in which pages became zero, and all that share a block as one
	Bytes  int64     // length of the file or stream
	Path   string    // file it was written to or read from, "" for a stream
	Roots  []Root    // in the order in which they were given to the writer

	Incremental bool  // holds only what differs from Parent; Pages, Blocks and Bytes count that
	ParentSize  int64 // bytes of the parent's arena, if Incremental
	Compressed  bool  // pages may be compressed
	Sparse      bool  // changed pages of many regions may share a block; only if Incremental

	// Of an [Image], and of what a [Store] says:
	Chain      int   // files that the state is in: 1, and for an incremental one its parents up to a full one
	ChainBytes int64 // length of these files together

	// Of what was restored lazily: bytes of the arena that were read at once all
	// the same, because they are in other files of the chain than most pages,
	// compressed, or in blocks that regions share. Size: everything was.
	Eager int64
}

// Root is a named starting point in the arena and the layout of its type.
type Root struct {
	Name   string
	Offset uint64 // in the arena, below Info.Size
	Layout Layout
}

// Layout describes a root's type and everything that it refers to. Types[0] is
// the root's own type, the others follow in order of first reference. An empty
// layout says nothing about the type.
type Layout []Type

// Type is one type of a [Layout]. This package stores the words and numbers and
// makes sure that every reference is in the layout; what they mean is the
// business of who wrote them.
type Type struct {
	Name   string
	Kind   string
	Size   int64 // bytes
	Elem   int   // element type, as an index into the layout; -1: none
	Key    int   // key type, as an index into the layout; -1: none
	Len    int64 // elements of an array
	Fields []Field
}

// Field is one field of a struct type.
type Field struct {
	Name   string
	Offset int64 // bytes from the start of the struct
	Type   int   // index into the layout
}
