package arena

import (
	"fmt"
	"strings"
	"time"
)

// Guard is how an arena notices the first write to a page after a snapshot.
// The zero value is GuardAuto.
type Guard int

const (
	// GuardAuto takes the first that works here: userfault, mprotect, copy.
	GuardAuto Guard = iota
	// GuardUserfault write-protects the pages by userfaultfd; the thread that
	// writes first saves the page in its signal handler. A snapshot costs what
	// is written after it. Linux 5.11 or newer on amd64; before 6.4 memory is
	// populated before it is protected.
	GuardUserfault
	// GuardShadow keeps a second copy of the memory, and has the kernel note which
	// pages are written: a first write costs a fraction of what it costs with
	// userfault, a snapshot the copies of what was written since the last one.
	// Many writing threads, many snapshots a second. It cannot tell when somebody
	// writes outside the gate (ErrConcurrentWrite). Linux 6.7 or newer. Its forks and lazy
	// restores take the first snapshot without a copy, and make it when all is in; both are
	// for amd64.
	GuardShadow
	// GuardMprotect is userfault with mprotect in its place, in larger pieces:
	// where userfaultfd is refused, as in most containers. Linux on amd64.
	GuardMprotect
	// GuardCopy copies everything in use while writers are held: the pause grows
	// with the size, writes cost nothing. Any 64-bit unix; small state.
	GuardCopy
)

var guardNames = [...]string{GuardAuto: "auto", GuardUserfault: "userfault", GuardShadow: "shadow", GuardMprotect: "mprotect", GuardCopy: "copy"}

// String is the guard's name in lower case.
func (g Guard) String() string { return nameOf("guard", guardNames[:], int(g)) }

// ParseGuard is the inverse of String.
func ParseGuard(name string) (Guard, error) {
	for g, n := range guardNames {
		if n == name {
			return Guard(g), nil
		}
	}
	return 0, fmt.Errorf("guard %q: want one of %s", name, strings.Join(guardNames[:], ", "))
}

// MarshalText and UnmarshalText make a Guard a flag and a field of a
// configuration file.
func (g Guard) MarshalText() ([]byte, error) { return []byte(g.String()), nil }

// UnmarshalText is ParseGuard.
func (g *Guard) UnmarshalText(text []byte) (err error) {
	*g, err = ParseGuard(string(text))
	return err
}

// hold holds writers off until what it returns is called.
type hold func() (release func(), err error)

// guard is the boundary between an Arena and the way it is frozen. The Arena
// calls all methods but prepareRead, prepareWrite, pin and stats under its mu.
type guard interface {
	kind() Guard
	// freeze takes a snapshot of [0, high()), where high and everything else
	// that must not change is looked at only after hold has returned; what
	// hold returns lets writers go on. No error leaves writers held.
	freeze(high func() uint64, hold hold) (frozen, timing, error)
	// prepareRead makes [off, off+n) safe for the kernel to read from, pin to
	// write to until unpin is called. prepareWrite spares writers the faults
	// there, until a snapshot is being taken.
	prepareRead(off, n uint64) error
	prepareWrite(off, n uint64) error
	pin(off, n uint64) (unpin func(), err error)
	// fill puts src at off, both whole pages, into memory that has never been
	// touched. src lies outside the Go heap.
	fill(off uint64, src []byte) error
	// lazy makes the pages below high come from im as they are touched. The
	// arena is fresh. ErrNotSupported if this guard cannot.
	lazy(high uint64, im MissingPages) error
	// bring brings the missing pages of [off, off+n) in from src, which holds
	// their content, without touching those that are in already.
	bring(off uint64, src []byte) error
	// complete ends what lazy began: all content is in.
	complete(hold hold) error
	// fork makes the pages below high, whose content is f's, come in as they are
	// touched. The arena is fresh, f another one's, intact and pinned.
	// ErrNotSupported if these two guards cannot.
	fork(f frozen, high uint64) error
	// rollsBack is nil, or why the arena as it is cannot be rolled back.
	rollsBack() error
	// rollback makes [0, f's size) what f holds, and [f's size, high) zero. Nobody reads
	// or writes; all of the memory is in; f is intact; no newer snapshot is
	// open but for those that forks hold. It answers how many pages it put back;
	// an error has changed nothing.
	rollback(f frozen, high uint64) (pages uint64, err error)
	// trims is nil, or why nothing can be given back to the system now. It ends a lazy restore
	// or a fork whose pages are all in.
	trims(hold hold) error
	// trim gives the memory of free pages back, as far as no open snapshot needs it, and what it
	// keeps for itself without need, and answers how many bytes of the pages there were. The
	// pages read as zero then, and count as written. Nobody reads or writes, but for readers of snapshots.
	trim(runs []pageRun) (bytes uint64, err error)
	stats(s *Stats)
	// quiesce ends what works in the background; mu is not held.
	quiesce()
	close() error
}

// frozen is one snapshot as its guard keeps it. Any goroutine, any time.
type frozen interface {
	// readAt fills p with the bytes from off on; the caller keeps to the size.
	readAt(p []byte, off uint64) error
	// plan says whether pages should be preserved now that nobody has written yet.
	plan() plan
	// ahead does so, for some of them: with writers held, for which was waited, or
	// not. It answers whether that was all. Called under Arena.mu.
	ahead(held bool, waited time.Duration) (all bool)
	// release says that [off, off+n) will not be read again.
	release(off, n uint64)
	// intact is nil, or why the content is not whole any more: ErrOverrun.
	intact() error
	// pin says that a fork reads it without being told when it is given up, so that
	// it must not be. Called under the arena's mu; unpin at any time.
	pin() error
	unpin()
	cost() cost
	// close is called under the arena's mu when nobody reads any more.
	close() error
}

// plan is the next step of preserving ahead.
type plan struct {
	copy  bool
	held  bool          // with writers held
	again time.Duration // if there is nothing to be copied, or it cannot be: when to ask again, negative for never
}

// cost is what a snapshot has cost until now.
type cost struct {
	slices int    // for which writers were held since its instant
	pages  uint64 // preserved for it
	ahead  uint64 // of them, before anybody wrote to them
	faults uint64
}

// timing is how long a freeze held writers.
type timing struct {
	size   uint64        // bytes frozen
	waited time.Duration // for writers that were running
	pause  time.Duration // from then on until they could go on
	passes               // before
}

// passes is what was protected for a freeze.
type passes struct {
	arming      time.Duration // while writers went on
	slices      int           // for which they were held meanwhile
	count       int           // of passes over what was written meanwhile
	reprotected uint64        // pages in them
	held        uint64        // pages protected while writers were held
}
