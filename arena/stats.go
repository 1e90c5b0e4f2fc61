package arena

import (
	"fmt"
	"time"
)

// Stats are the figures of one arena. Counters count from New on.
type Stats struct {
	Guard    Guard
	Used     int64 // bytes [0, High)
	Objects  int64 // allocated and not freed
	Bytes    int64 // of them, rounded up to their size classes
	Reserved int64 // address space, bytes

	Snapshots      int   // open now
	Forks          int   // that are open and not complete: they need pages of this arena's snapshots
	Taken          int64 // snapshots
	PreservedPages int64 // now, for all of them
	PreservedBytes int64
	MaxPreserved   int64 // bytes that may be preserved now
	ShadowBytes    int64 // guard shadow: the copy of the memory as of the newest snapshot, on top of PreservedBytes
	HotPages       int64 // guard shadow: left unprotected, since the last snapshots found them written every time or a rollback has put them back

	Faults     int64 // first writes resolved that were faults
	Touched    int64 // and by Touch, without a fault; guard mprotect counts pages, as Prepared
	Idle       int64 // of them: no snapshot needed the page any more
	Neighbours int64 // pages preserved along with one that faulted
	Prepared   int64 // pages preserved by PrepareWrite and Pin
	Ahead      int64 // pages preserved in bulk while a snapshot was streamed
	Overruns   int64 // snapshots given up for want of room

	LastPause, WorstPause   time.Duration // writers were held
	LastWaited, WorstWaited time.Duration // before it, for those that were running

	// What the resolver goes by when it decides how many pages a fault takes along,
	// as it measured them: a lift is dear while other threads of the process run.
	LiftCost, CopyCost time.Duration // of one lift, and of copying one page
	FaultTime          time.Duration // that writers have spent in the resolver, all together, but for where they lost the processor there

	ArmedAhead  int64 // snapshots that were armed ahead of the instant
	Slices      int64 // for which writers were held meanwhile
	Passes      int64 // over what was written meanwhile
	Reprotected int64 // pages that these protected again
	Dirty       int64 // pages written since the last snapshot, at most; with Options.Track or a snapshot open

	Rollbacks                   int64
	RolledBack                  int64         // pages that these put back
	LastRollback, WorstRollback time.Duration // nobody was let in

	Lives     int64 // that settled, see Live
	LivePages int64 // that these kept
	Unsettled int64 // that did not

	Trims   int64
	Trimmed int64 // bytes that these gave back to the system

	// A lazy restore or a fork: pages that are in, and all of them. The same
	// when it is finished, both 0 where there was none.
	RestoredPages, RestorePages int64
	Missing                     int64 // first touches that brought pages in
}

// Stats may be called at any time; after Close it is zero. It takes about a microsecond, whatever the
// size.
func (a *Arena) Stats() Stats {
	a.alive.RLock()
	defer a.alive.RUnlock()
	if a.closed.Load() {
		return Stats{}
	}
	bytes, objects := a.al.inUse()
	a.reg.Lock()
	defer a.reg.Unlock()
	s := Stats{
		Guard:       a.guard.kind(),
		Used:        int64(a.High()),
		Objects:     int64(objects),
		Bytes:       int64(bytes),
		Reserved:    int64(a.mem.Size()),
		Taken:       int64(a.taken),
		LastPause:   a.last.pause,
		LastWaited:  a.last.waited,
		WorstPause:  a.worst.pause,
		WorstWaited: a.worst.waited,
	}
	s.ArmedAhead, s.Slices = int64(a.sum.ahead), int64(a.sum.slices)
	s.Passes, s.Reprotected = int64(a.sum.count), int64(a.sum.reprotected)
	for h := range a.open {
		if h.fork {
			s.Forks++
		} else {
			s.Snapshots++
		}
	}
	s.Rollbacks, s.RolledBack = int64(a.rolled.count), int64(a.rolled.pages)
	s.Lives, s.LivePages, s.Unsettled = int64(a.lived.count), int64(a.lived.pages), int64(a.lived.unsettled)
	s.Trims, s.Trimmed = int64(a.trimmed.count), int64(a.trimmed.bytes)
	s.LastRollback, s.WorstRollback = a.rolled.last, a.rolled.worst
	a.guard.stats(&s)
	return s
}

// Resident is how many bytes of [0, High) are in memory. It asks the kernel page by page: about a millisecond a
// GiB. The errors: ErrClosed, and an errors.ErrUnsupported where it cannot be told. It may be called at any time.
func (a *Arena) Resident() (bytes int64, err error) {
	a.alive.RLock()
	defer a.alive.RUnlock()
	if a.closed.Load() {
		return 0, ErrClosed
	}
	n, err := a.mem.Resident(0, a.High())
	if err != nil {
		return 0, fmt.Errorf("asking what is in memory: %w", err)
	}
	return int64(n), nil
}
