package cowheap

import "fmt"

// Saving is how Heap.Checkpoint comes to the state that it writes.
type Saving int

const (
	// SaveAuto writes state of 16 MiB or more, up to 4 GiB a processor, live, unless the checkpoints before it say that it does not come
	// to an end.
	SaveAuto Saving = iota
	// SaveFrozen writes a snapshot, of the beginning of the call. What writers
	// write to first meanwhile is preserved, by a fault.
	SaveFrozen
	// SaveLive writes the memory while writers go on, and then what they have written
	// meanwhile; the instant is near the end of the call. The kernel notes the
	// first writes by itself. Where that cannot be, see arena.Arena.Live, or does not come to an
	// end, it is SaveFrozen.
	SaveLive
)

var savingNames = [...]string{SaveAuto: "auto", SaveFrozen: "frozen", SaveLive: "live"}

// String is the name in lower case, without "Save".
func (s Saving) String() string {
	if s >= 0 && int(s) < len(savingNames) {
		return savingNames[s]
	}
	return fmt.Sprintf("saving(%d)", int(s))
}
