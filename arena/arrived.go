package arena

// Arrived copies a bit for each page that has come in since a lazy restore began, from page first on, a
// multiple of 64, to dst. It answers how many pages there are to come in: 0 without a lazy restore, or where
// the guard cannot tell, and after Close. Any goroutine, any time; it costs a load for each word.
func (a *Arena) Arrived(first int64, dst []uint64) (pages int64) {
	a.alive.RLock()
	defer a.alive.RUnlock()
	if g, ok := a.guard.(arrivals); ok && !a.closed.Load() {
		return int64(g.arrived(uint64(first), dst))
	}
	return 0
}

// arrivals is a guard that knows which pages have come in.
type arrivals interface {
	arrived(first uint64, dst []uint64) (pages uint64)
}
