// Package block is the layout of one block of a checkpoint file: the part that
// the checkpoint package writes and reads, and that the resolver of a lazy
// restore reads inside a signal handler. It has no state, imports no unsafe and
// does no input or output, so that both can stand on it.
//
// Words:
//
//   - A page is [PageSize] bytes of the arena.
//   - A region is [RegionSize] bytes of the arena, [RegionPages] pages, aligned.
//   - A block is what a file holds of a region: a header of [HeaderSize] bytes,
//     then the region's pages that are not zero, ascending, without gaps; in an
//     incremental checkpoint those that have changed.
//   - A piece is [PiecePages] of these pages, the last one of a block what is
//     left: what is compressed by itself.
//
// Guarantees:
//
//  1. Every bit of a block is covered: the header by its own checksum, each
//     page by a checksum in the header. What a field does not use is zero, and
//     [Header.Check] and [Sparse.Check] refuse anything else.
//  2. The size of a block of either kind follows from its header alone and lies
//     between [MinSize] and [MaxSize].
//  3. No method allocates, none writes to memory other than the header's, and
//     after Check returned nil none can be made to index out of range by the
//     header's content.
//
// docs/FORMAT.md specifies the file around the blocks.
package block
