package arena

import "fmt"

// Arming is when the memory is protected for a snapshot.
type Arming int

const (
	// ArmAuto protects ahead of the instant where protecting everything at it
	// would hold writers for longer than some 150 microseconds. (Guard shadow
	// copies state that is mostly written between two snapshots at the instant if
	// that takes less than 12 ms.)
	ArmAuto Arming = iota
	// ArmWholesale protects everything while writers are held: the pause grows
	// with the size, as that of a fork does.
	ArmWholesale
	// ArmAhead protects everything while writers go on, then again what they
	// wrote meanwhile, until little is left for the pause.
	ArmAhead
)

var armingNames = [...]string{ArmAuto: "auto", ArmWholesale: "wholesale", ArmAhead: "ahead"}

// String is the name in lower case, without "Arm".
func (m Arming) String() string { return nameOf("arming", armingNames[:], int(m)) }

// Preserving is whether the pages of a snapshot that is being streamed into a
// checkpoint are preserved before anybody writes to them.
type Preserving int

const (
	// PreserveAuto preserves ahead where writers would otherwise lose more time in
	// faults than copying everything takes, and MaxPreserved allows it.
	PreserveAuto Preserving = iota
	// PreserveOnWrite preserves a page when it is first written.
	PreserveOnWrite
	// PreserveAhead copies everything into memory, within MaxPreserved, at the
	// speed of memory, as soon as a checkpoint begins to be written.
	PreserveAhead
)

var preservingNames = [...]string{PreserveAuto: "auto", PreserveOnWrite: "on-write", PreserveAhead: "ahead"}

// String is the name in lower case, without "Preserve".
func (m Preserving) String() string { return nameOf("preserving", preservingNames[:], int(m)) }

// nameOf is names[i], or kind(i) if there is none.
func nameOf(kind string, names []string, i int) string {
	if i >= 0 && i < len(names) {
		return names[i]
	}
	return fmt.Sprintf("%s(%d)", kind, i)
}

// fewPages left to protect are no pause beside that of the gate itself. (Tests
// that want passes over small arenas set 0.)
var fewPages uint64 = 12

// adapting: the shadow guard chooses by what it sees how to find the pages that
// were written. (Tests that want one way keep to it.)
var adapting = true
