package trap

import "structs"

// Sizes that the resolver computes with.
const (
	pageSize  = 4096
	pageShift = 12
	// A block is the unit in which protection is lifted when nobody needs the
	// pages, and the largest piece that one fault takes along: 2 MiB, what one
	// page table (or one huge page) maps.
	blockPages = 512
	blockShift = 9
)

// Range is what the resolver knows of one arena. It lies outside the Go heap,
// holds no Go pointer, and changes only by single-word stores. Addresses are
// numbers, so that storing one has no write barrier.
type Range struct {
	_      structs.HostLayout
	start  uint64 // address of page 0
	pages  uint64 // of the reservation
	fd     uint64 // userfaultfd
	inside uint64 // address of the counter of resolvers inside

	newest  uint64 // address of the Table that faults consult, 0: none
	overrun uint64 // snapshots with a seq up to this one have been given up
	epoch   uint64 // counts armings, so that hints of an earlier one are void
	image   uint64 // address of the Image that missing pages come from, 0: none
	hints   uint64 // address of a hint word for each block
	repeats uint64 // address of the repeat counters
	force   uint64 // pages a fault takes: 0 chosen by measurement, else this many (a power of two)

	// The log of lifts, see note.
	logging    uint64 // 1: it is on
	logWords   uint64 // address of a bit for each page
	logSummary uint64 // address of a bit for each word of it
	logged     uint64 // bits set

	blocks uint64 // pages a fault takes at least, because everything is being preserved

	// What forks need is preserved also when all else has been given up.
	pinned  uint64 // address of the newest Table that a fork reads through, 0: none
	reserve uint64 // slots that are left to the pages that a fork needs

	// Where protection is mprotect's, see chunkFault.
	chunk   uint64 // pages that are lifted together; 0: protection is userfaultfd's
	reach   uint64 // pages from 0 on that have been protected; a fault beyond is not ours
	widened uint64 // statistics: faults that found no mapping left

	async uint64 // 1: the kernel lifts protection by itself, so that only missing faults are ours

	covered uint64 // pages of newest, for Touch: a hint

	// The pool of slots; one cache line a hot word.
	slots   uint64 // address of slot 0
	links   uint64 // address of slot 0's link
	limit   uint64 // slots that may be used, and are mapped: [0, limit)
	low     uint64 // free slots below which the bell is rung
	bell    uint64 // descriptor of an eventfd that ordinary code reads
	rung    uint64 // 1: rung and not yet answered
	_       [2]uint64
	warm    uint64 // free slots that have memory: tag<<32 | slot+1
	cold    uint64 // free slots that have none
	fresh   uint64 // slots never used: [fresh, limit)
	used    uint64 // slots not free
	warmLen uint64 // slots in warm, about
	_       [3]uint64

	// What faults cost here, in ticks of the time-stamp counter, smoothed.
	liftTicks uint64 // one UFFDIO_WRITEPROTECT, without its share by page
	copyTicks uint64 // copying one page into a slot

	// Statistics.
	faults     uint64 // write faults resolved
	idle       uint64 // of these: no snapshot needed the page
	missing    uint64 // missing faults resolved
	spent      uint64 // ticks in write faults, from entering the resolver to leaving it
	neighbours uint64 // pages preserved along with a faulting one
	lost       uint64 // slots dropped because another thread was first
	prepared   uint64 // pages preserved by PrepareWrite
}

// A link belongs to each slot, two words of 32 bits: slot+1 of the next slot in
// a free list or in a Table's list, and the page whose content the slot holds.
const (
	linkSize = 8
	linkPage = 4
)

// Entries of a Table.
const (
	entryNone = 0          // not written since
	entryTomb = 0xffffffff // written to the file already, nobody needs it
	// any other: slot+1
)

// Table is the header of a snapshot's table; its entries, a uint32 a page,
// follow at tableHeader. Like Range it lies outside the Go heap.
type Table struct {
	_      structs.HostLayout
	seq    uint64 // of the snapshot, ascending, never 0
	pages  uint64 // pages of the snapshot, and entries
	size   uint64 // bytes mapped
	state  uint64 // raising or open
	torn   uint64 // 1: claimed, 2: tornPage and tornPC are set
	page   uint64 // the page of the write that tore the snapshot
	pc     uint64 // and its program counter
	list   uint64 // published slots: slot+1, 0: none
	count  uint64 // published slots
	below  uint64 // address of the Table below, if this one has no snapshot of its own
	above  uint64 // address of the next newer Table, 0: this is the newest
	faults uint64 // write faults resolved for this Table
}

const tableHeader = pageSize

// States of a Table.
const (
	stateRaising = 1 // protection is going up, nobody may write
	stateOpen    = 2
)
