package arena

// keep looks after the pool of slots: the resolver rings, in one store and one
// system call, and this goroutine does what may take a lock. It ends when the
// bell is silenced.
func (g *userfault) keep() {
	for g.h.WaitBell() == nil {
		if len(*g.chain.Load()) > 0 {
			for want := uint64(4 * warmSlots); g.h.Warm() < want; {
				if g.h.WarmUp(64) == 0 {
					break
				}
			}
		}
		g.a.mu.Lock()
		g.reclaim()
		idle := len(*g.chain.Load()) == 0
		g.a.unlock()
		if idle {
			// Some memory is worth keeping for the next snapshot; the rest goes back.
			g.h.CoolDown(max(warmSlots*4, g.h.Stats().Limit/16))
		}
	}
}

// reclaim gives snapshots up, or takes back the slots of those that were.
// Preconditions: Arena.mu is held.
func (g *userfault) reclaim() {
	chain := *g.chain.Load()
	over, changed := g.h.Overrun(), false
	for _, l := range chain {
		if l.open && l.seq <= over && !l.void.Swap(true) {
			g.overruns.Add(1)
			changed = true
		}
	}
	if !changed && len(chain) > 1 && g.h.Free() < lowSlots(g.h.Stats().Limit) {
		// Running low: the oldest gives way, so that the others live. Marked
		// first: a reader looks at the mark after it copied from a slot.
		for _, l := range chain {
			if l.open && !l.void.Swap(true) {
				g.overruns.Add(1)
				changed = true
				break
			}
		}
	}
	if changed {
		// An error here is munmap's; the table then stays mapped, no more.
		_ = g.tidy()
	}
}
