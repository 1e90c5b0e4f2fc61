package arena

// What watches see of a userfault guard: the log, whenever pages are taken out of it, and
// pages that come under protection of which nothing was known. What is protected without being
// in the log has not been written since it was last seen.

// seeLog empties the log, if anybody watches; else who calls it does.
func (g *userfault) seeLog() {
	if g.armed == 0 || !g.a.watches.any() {
		return
	}
	for page, n := range g.h.TakeLog() {
		g.a.watches.add(page, n)
	}
}

// seeNew sees [from, armed).
func (g *userfault) seeNew(from uint64) {
	if g.armed > from {
		g.a.watches.add(from/pageSize, (g.armed-from)/pageSize)
	}
}
