package main

import (
	"fmt"
	"slices"
	"strings"
)

// The variants /loaded of the case "pause": how long are writers held if they write
// at full speed while the instant is being frozen, and how does that grow with the
// size of the state? The size is in the name, and -size does not change it.
//
// As many goroutines as GOMAXPROCS write to the state of a heap, each update one
// Heap.Update that changes one word of a page taken at random from all of them,
// as fast as they can: some millions a second while nothing is protected. They begin
// before the instant and end after it. The figure is what SnapshotStats calls
// the pause: from when the last running update has left the gate until the next may
// enter. Waiting for updates that run is not part of it, because it depends on what
// a program does in one; arming-tax shows what an update feels of either.
//
//   - userfault/4k/loaded: a heap with default options, which arms as it sees fit.
//   - wholesale/4k/loaded: Options.Arming is ArmWholesale: everything is protected
//     while writers are held.
//   - tracked/4k/loaded: Options.Track. The writers keep to 1 % of the pages, all of
//     which have been written since the last snapshot, and that one is still armed.
//   - fork/4k/loaded: a fork of this process while the same goroutines make the same
//     updates of a heap whose guard protects nothing (GuardCopy, and no snapshot): plain
//     memory. The child leaves at once. The time that the call takes in the parent.
//
// One state is open at a time, filled afresh for each measurement. A first
// snapshot is taken before anybody writes and thrown away.

const (
	wayUserfault4K = "userfault/4k"
	wayWholesale4K = "wholesale/4k"
	wayTracked4K   = "tracked/4k"
	wayFork4K      = "fork/4k"

	loaded = "/loaded/"

	// trackedShare of the pages are written between two snapshots of a tracked heap.
	trackedShare = 100
	// quickShare of its size is what a state has with -quick.
	quickShare = 64
)

// loadedPause is one of these variants.
type loadedPause struct {
	way  string
	size size
}

func (l loadedPause) name() string { return l.way + loaded + l.size.String() }

func loadedPauses() (all []loadedPause) {
	for _, s := range []size{64 * mib, 512 * mib, 2 * gib, 8 * gib} {
		for _, way := range []string{wayUserfault4K, wayWholesale4K, wayTracked4K, wayFork4K} {
			all = append(all, loadedPause{way, s})
		}
	}
	return all
}

// findLoaded is the one of that name.
func findLoaded(variant string) (loadedPause, bool) {
	if !strings.Contains(variant, loaded) {
		return loadedPause{}, false
	}
	all := loadedPauses()
	i := slices.IndexFunc(all, func(l loadedPause) bool { return l.name() == variant })
	if i < 0 {
		panic(fmt.Sprintf("bench: no variant %s", variant))
	}
	return all[i], true
}

// bytes is how large the state is.
func (l loadedPause) bytes(quick bool) int64 {
	if quick {
		return max(int64(l.size)/quickShare, minSize)
	}
	return int64(l.size)
}

func loadedBounds() []Bound {
	of := func(way string, s size) string { return loadedPause{way, s}.name() }
	return []Bound{
		{of(wayUserfault4K, 8*gib), "<=", 3, of(wayUserfault4K, 64*mib)},
		{of(wayUserfault4K, 8*gib), "<=", 0.02, of(wayFork4K, 8*gib)},
		{of(wayUserfault4K, 8*gib), "<=", 1e6, ""}, // a millisecond
		{of(wayTracked4K, 2*gib), "<=", 0.05, of(wayWholesale4K, 2*gib)},
	}
}
