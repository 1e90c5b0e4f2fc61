// Package checkpoint writes and reads checkpoints: the content of an arena at
// one instant, in a file or on a stream, and directories of them. It knows
// nothing of memory, faults or types: it copies bytes from a [Source] and gives
// them back, and makes sure that they are the same.
//
//	Write       a Source to an io.Writer, front to back: all, or what has changed
//	Reader      from an io.Reader, front to back
//	Image       from a file and its parents, any region or page of the state
//	Fold        a full checkpoint of an Image
//	Store       a directory: Save, SaveLive, Receive, List, Latest, Verify, Prune, Fold
//
// Words:
//
//   - A page is 4096 bytes of the arena, a region is 2 MiB, aligned.
//   - A block is what a file holds of a region: a header with a checksum for
//     each page, then the pages that are not zero, as they are or compressed. A
//     region of zeros has none. Of an incremental one regions with few changes
//     may share a block, which is then called sparse.
//   - A full checkpoint has everything; an incremental one has the pages that
//     differ from its parent. A chain is an incremental one and its parents down
//     to a full one. An orphan has a parent that is not there.
//   - The index at the end of a file says where each region's block is.
//
// Guarantees:
//
//  1. A checkpoint is read exactly as it was written, or there is an error. Every
//     byte is covered by a CRC-32C or known from the rest; a damaged page is
//     never given out.
//  2. Readers trust nothing. Whatever the input, they neither panic nor take
//     memory for more than has arrived, or than a block has (an Image also 10
//     bytes for each 2 MiB of an arena whose index is in the file; see
//     [OpenImageMax]). What is wrong is said by type: [*ChecksumError],
//     [*FormatError], [*VersionError], [*PageSizeError], [*LimitError],
//     [*ParentError] around what is wrong with a parent. The first two are always [ErrCorrupt],
//     and [ErrTruncated] if the end is missing. A device or stream that fails is
//     a [*ReadError] and not damage.
//  3. What is written depends on the source and the options alone: equal states
//     give equal files, apart from ID and time, and compressed ones by the same
//     version of cowheap on the same kind of processor. SaveLive may keep zero pages.
//  4. Writing needs no seek (SaveLive's does), and neither does a Reader, which stops at the
//     checkpoint's end. Opening an Image costs a read of the index; its blocks
//     are verified when they are read.
//  5. In a Store a checkpoint appears under its name when it is complete and on
//     disk, or not at all. After a crash or a full disk at any moment, all that
//     Save and Receive acknowledged and has not been pruned is there, with its
//     parents.
//  6. Latest passes over what is damaged and says so. It never says that a
//     directory is empty when it holds damaged checkpoints, and it does not go
//     back to an older one because of what is not damage.
//
// docs/FORMAT.md specifies the format to the byte and promises that newer
// versions read older files.
package checkpoint
