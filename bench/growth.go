package main

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/cowheap/cowheap/arena"
	"github.com/cowheap/cowheap/cowheap"
)

// The case "growth": how does what cowheap costs grow with the size of the state, with the
// number of goroutines that write, and with the number of snapshots that are open?
//
// By size, from 64 MiB to -size, the state of a heap that is written as in pause/loaded, by
// GOMAXPROCS goroutines at full speed:
//
//   - pause/userfault/4k, /thp: what SnapshotStats calls the pause, with small and with huge
//     pages; pause/wholesale/4k: all protected at the instant; pause/fork/4k: fork(2) under the
//     same load; pause/copy/4k: a memcpy of the state by one processor.
//   - pause/memdb, pause/tidwall: go-memdb and btree.Map with an entry for each 64 bytes of a size, written by one
//     goroutine as in snapshot-tax; the call of Snapshot, and Copy with the lock held. Both take a pointer, and
//     copy at each write what they share. 64 MiB at the most: to fill them takes longer than anything else here.
//   - arming/: from the call of Snapshot until writers are held, while they go on.
//   - tables/: by how much resident memory and page tables of the process have grown
//     when a snapshot is there and nobody has written, in MiB.
//   - stats/: one call of Heap.Stats.
//   - open/eager, open/lazy: cowheap.Open of a checkpoint until the first byte has been read,
//     its file in the page cache as far as memory allows. Up to 4 GiB: larger files are written anew each round, for
//     minutes, and do not stay in the cache.
//
// By number, at a sixteenth of -size:
//
//   - writers/pause/N, /waited/N: the pause, and what the snapshot waits for running updates
//     before it, with N goroutines; writers/fork/N: fork under the same load.
//   - snapshots/pause/N: one more snapshot when N-1 are open, nobody writing. Between any two of them
//     2,048 pages are written. snapshots/first-write/N: the first write to each of 2,048 random
//     pages with N open, a page.
//   - kept/N: memory for N snapshots beside the preserved pages themselves, in MiB.
//
// The report fits a + b x to each. Sizes that do not fit into free memory are skipped, those beyond
// -size too; with -quick a size is a 64th of what its name says.

const (
	growPause     = "pause"
	growArming    = "arming"
	growTables    = "tables"
	growStats     = "stats"
	growOpen      = "open"
	growWriters   = "writers"
	growSnapshots = "snapshots"
	growKept      = "kept"

	wayUserfaultTHP = "userfault/thp"
	wayCopy4K       = "copy/4k"

	// growthShare is what the states of the questions by number have of the largest.
	growthShare = 16
	// openMost is the largest state that is opened.
	openMost = 4 * gib
	// growthWrites are made between two snapshots.
	growthWrites = 2048
)

// growthQuestion is what a plot of the case is about.
type growthQuestion struct{ name, title, note, x string }

var growthQuestions = []growthQuestion{
	{growPause, "How long writers are held by freezing an instant, by the size of the state", "They write at full speed meanwhile. Both axes are logarithmic. cowheap, fork(2) and a copy freeze any memory. go-memdb and tidwall/btree copy a pointer, and pay for that at every write (see snapshot-tax); 64 MiB at the most, as filling them takes minutes beyond.", ""},
	{growArming, "How long the memory is protected before the instant, by the size of the state", "Writers go on meanwhile, and are held in slices of some 300 us.", ""},
	{growTables, "Memory that a snapshot takes before anybody writes, by the size of the state", "Resident memory and page tables of the process.", ""},
	{growStats, "One call of Heap.Stats, by the size of the state", "It should not grow: no page is looked at.", ""},
	{growOpen, "Opening a checkpoint until the first byte is read, by the size of the state", "eager reads and verifies everything first, lazy brings pages in as they are touched.", ""},
	{growWriters, "How long writers are held, by their number", "More writers than processors take turns.", "goroutines that write at full speed"},
	{growSnapshots, "What snapshots cost when others are open", "2,048 pages are written between any two.", "snapshots open"},
	{growKept, "Memory for snapshots beside the pages that they preserve", "Tables, mostly, which grow with what is written.", "snapshots open"},
}

var (
	growthSizes = []size{64 * mib, 256 * mib, 1 * gib, 2 * gib, 4 * gib, 8 * gib, 16 * gib}
	// peerSizes are those of containers that are filled entry by entry.
	peerSizes     = []size{4 * mib, 16 * mib, 64 * mib}
	growthNumbers = []int{1, 2, 4, 8, 16, 32, 64}
)

func growthCase() *Case {
	c := &Case{
		Name:   "growth",
		About:  "how what cowheap costs grows with size, writers and snapshots",
		Size:   16 * gib,
		Quick:  16 * gib / quickShare,
		Rounds: 3,
		Open:   openGrowth,
	}
	add := func(unit, reference string, parts ...string) {
		c.Variants = append(c.Variants, Variant{strings.Join(parts, "/"), unit, reference})
	}
	// All that one state is asked follows one another, so that it is made once a round.
	for _, s := range growthSizes {
		fork := strings.Join([]string{growPause, wayFork4K, s.String()}, "/")
		for _, way := range []string{wayUserfault4K, wayUserfaultTHP, wayWholesale4K, wayFork4K, wayCopy4K} {
			add("ns", fork, growPause, way, s.String())
		}
		for _, way := range []string{wayUserfault4K, wayUserfaultTHP} {
			add("ms", "", growArming, way, s.String())
			add("MiB", "", growTables, way, s.String())
		}
		add("ns", "", growStats, wayUserfault4K, s.String())
		if s <= openMost {
			add("ms", "", growOpen, "eager", s.String())
			add("ms", "", growOpen, "lazy", s.String())
		}
	}
	for _, way := range []string{wayMemdb, wayTidwall} {
		for _, s := range peerSizes {
			add("ns", "", growPause, way, s.String())
		}
	}
	for _, n := range growthNumbers {
		number := strconv.Itoa(n)
		fork := strings.Join([]string{growWriters, wayProcess, number}, "/")
		for _, what := range []string{"pause", "waited", wayProcess} {
			add("ns", fork, growWriters, what, number)
		}
		add("ns", "", growSnapshots, "pause", number)
		add("ns", "", growSnapshots, "first-write", number)
		add("MiB", "", growKept, "userfault", number)
	}
	return c
}

// growthVariant is what a variant's name says.
type growthVariant struct {
	question, way string
	size          size // 0: by number
	number        int
}

// cutGrowth takes a variant's name apart.
func cutGrowth(variant string) growthVariant {
	first, rest, _ := strings.Cut(variant, "/")
	i := strings.LastIndexByte(rest, '/')
	v := growthVariant{question: first, way: rest[:i]}
	var err error
	if slices.Contains([]string{growWriters, growSnapshots, growKept}, first) {
		v.number, err = strconv.Atoi(rest[i+1:])
	} else {
		err = v.size.Set(rest[i+1:])
	}
	if err != nil {
		panic(fmt.Sprintf("bench: no variant %s", variant))
	}
	return v
}

// growthOptions are those of the heap of a way.
func growthOptions(way string) *cowheap.Options {
	o := &cowheap.Options{Guard: arena.GuardUserfault}
	switch way {
	case wayUserfaultTHP:
		o.HugePages = true
	case wayWholesale4K:
		o.Arming = arena.ArmWholesale
	case wayFork4K:
		o.Guard = arena.GuardCopy
	}
	return o
}
