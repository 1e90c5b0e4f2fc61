package arena

// changed: what was written first between l and newer is in the deltas from l's on.
func (l *shadowLayer) changed(newer frozen) ([]pageRun, bool) {
	n, ok := newer.(*shadowLayer)
	if !ok {
		return nil, false
	}
	l.g.readers.RLock()
	defer l.g.readers.RUnlock()
	var all []placed
	for c := l; c != n; c = c.newer {
		if c == nil {
			return nil, false
		}
		for _, list := range c.delta.lists {
			all = unite(nil, all, list)
		}
	}
	var runs []pageRun
	for _, e := range all {
		if uint64(e.page) < l.size/pageSize {
			runs = appendPage(runs, uint64(e.page))
		}
	}
	return runs, true
}
