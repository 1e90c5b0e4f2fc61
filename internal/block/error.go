package block

import "fmt"

// Field names what an [Error] is about.
type Field string

// The fields that can be wrong.
const (
	FieldSize     Field = "size"            // fewer or more bytes than the block has
	FieldMagic    Field = "magic number"    // no block starts here
	FieldCRC      Field = "header checksum" // Want is in the header, Got was computed
	FieldCount    Field = "page count"      // Want is in the bitmap or the entries, Got in the count; or both are 0
	FieldReserved Field = "reserved bytes"  // not zero
	FieldPage     Field = "page checksum"   // Want is in the header, Got was computed
	FieldZero     Field = "bitmap of zeros" // Page is both stored and zero
	FieldCodec    Field = "compression"     // Got is not known
	FieldEntries  Field = "entry count"     // Want is the most that a sparse block can have, Got in the header; or that is 0
	FieldEntry    Field = "entry"           // Got is the page of entry Page of a sparse block, Want the least that it may be
	FieldPiece    Field = "piece size"      // Want is the most that piece Page can have, Got in the header
)

// Error says what is wrong with a block. It knows nothing of files: the
// checkpoint package adds path and offset.
type Error struct {
	Field     Field
	Page      int    // page in the region, for FieldPage and FieldZero; piece for FieldPiece; of a sparse block rank for FieldPage, entry for FieldEntry
	Want, Got uint64 // as the field's comment says
}

// Checksum reports whether the error is a checksum that differs.
func (e *Error) Checksum() bool { return e.Field == FieldCRC || e.Field == FieldPage }

func (e *Error) Error() string {
	if e.Field == FieldPage {
		return fmt.Sprintf("%s of page %d: want %#x, got %#x", e.Field, e.Page, e.Want, e.Got)
	}
	return fmt.Sprintf("%s: want %#x, got %#x", e.Field, e.Want, e.Got)
}
