package arena

import "time"

// coolAfter is how long no snapshot must have been open before the memory of
// the slots goes back to the system: who takes snapshots now and then, or sixty
// a second, should not pay for it each time.
const coolAfter = 5 * time.Second

// keep looks after the pool of slots: the resolver rings, in one store and one
// system call, and this goroutine does what may take a lock. It ends when the
// bell is silenced.
func (g *userfault) keep() {
	wait, pending := time.Duration(0), false
	for {
		rang, err := g.h.WaitBell(wait)
		if err != nil {
			return
		}
		idle := len(*g.chain.Load()) == 0
		if idle && !rang && !pending {
			// Some is worth keeping for the next snapshot.
			g.h.CoolDown(max(4*warmSlots, g.h.Stats().Limit/16))
			wait = 0
			continue
		}
		if !idle && g.h.Warm() < warmSlots {
			g.h.WarmUp(4 * warmSlots)
		}
		// Arming ahead has the lock for as long as it takes, and gives up where room
		// runs low. The pool must not starve meanwhile.
		if pending = g.armingAhead.Load(); pending {
			wait = time.Millisecond
			continue
		}
		if wait = 0; idle {
			wait = coolAfter
		}
		g.a.mu.Lock()
		g.reclaim()
		if idle && g.incomplete.Load() {
			// What a snapshot stood in the way of. An error shows at the next one.
			_ = g.complete(g.a.opts.hold())
		}
		g.a.unlock()
	}
}

// reclaim gives snapshots up, or takes back the slots of those that were.
// Preconditions: Arena.mu is held.
func (g *userfault) reclaim() {
	g.budget()
	chain := *g.chain.Load()
	over, changed := g.h.Overrun(), false
	for _, l := range chain {
		if l.open && l.seq <= over && l.pins.Load() == 0 && !l.void.Swap(true) {
			g.overruns.Add(1)
			changed = true
		}
	}
	if !changed && g.h.Free() < lowSlots(g.base) {
		// Running low: the oldest gives way, so that the others live, if that
		// frees anything. Marked first: a reader looks at the mark after it
		// copied from a slot.
		var open []*layer
		for _, l := range chain {
			if l.wanted() && l.pins.Load() == 0 {
				open = append(open, l)
			}
		}
		if len(open) > 1 && open[0].tab.Preserved() > 0 {
			open[0].void.Store(true)
			g.overruns.Add(1)
			changed = true
		}
	}
	if changed {
		// An error here is munmap's; the table then stays mapped, no more.
		_ = g.tidy()
	}
}
