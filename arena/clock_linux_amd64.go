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
