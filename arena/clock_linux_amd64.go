package arena

import (
	"time"

	"github.com/cowheap/cowheap/internal/trap"
)

// clock turns ticks of the time-stamp counter into time.
type clock struct {
	ticks uint64
	at    time.Time
}

func startClock() clock { return clock{trap.Ticks(), time.Now()} }

// duration is that of so many ticks, the more precise the older the clock is.
func (c clock) duration(ticks uint64) time.Duration {
	perTick := float64(time.Since(c.at)) / float64(max(trap.Ticks()-c.ticks, 1))
	return time.Duration(float64(ticks) * perTick)
}

// spent is how much of the time the resolver has taken, in ticks.
type spent struct{ ticks, resolver uint64 }

func (g *userfault) spent() spent { return spent{trap.Ticks(), g.h.Stats().Spent} }

// share is the resolver's part from s to now, of one processor.
func (s spent) share(now spent) float64 {
	return float64(now.resolver-s.resolver) / float64(max(now.ticks-s.ticks, 1))
}

// load is what writers lose to the resolver, looked at in windows.
type load struct {
	last   spent
	lost   uint64 // ticks, in windows in a row in each of which it was most of a processor
	sliced bool   // writers were held for slices
}

// look ends the window, if it is long enough, and answers the resolver's part of it; -1 if it
// is not.
func (l *load) look(now spent, c clock) (share float64) {
	if c.duration(now.ticks-l.last.ticks) < aheadWindow {
		return -1
	}
	share = l.last.share(now)
	if share > aheadShare {
		l.lost += now.resolver - l.last.resolver
	} else {
		l.lost = 0
	}
	l.last = now
	return share
}

// busy: writers have been losing most of a processor until it came to least. One window says little. After a
// stall, of whatever cause, writers do at full speed what has been waiting.
func (l *load) busy(c clock, least time.Duration) bool { return c.duration(l.lost) >= least }
