package arena

// changed: what was written first between l and newer is in the deltas from l's on.
func (l *shadowLayer) changed(newer frozen) ([]pageRun, bool) {
	n, ok := newer.(*shadowLayer)
	if !ok {
		return nil, false
	}
	l.g.readers.RLock()
	defer l.g.readers.RUnlock()
	all, ok := l.deltas(n)
	return l.runsOf(all), ok
}

// deltas is what stands in the deltas from l's on up to newer's, or to the end for nil. It
// answers false if newer does not come after l.
// Preconditions: readers is locked, for reading at least.
func (l *shadowLayer) deltas(newer *shadowLayer) (all []placed, ok bool) {
	for c := l; c != newer; c = c.newer {
		if c == nil {
			return nil, false
		}
		for _, list := range c.delta.lists {
			all = unite(nil, all, list)
		}
	}
	return all, true
}

// runsOf is list as far as it lies within l.
func (l *shadowLayer) runsOf(list []placed) (runs []pageRun) {
	for _, e := range list {
		if uint64(e.page) < l.size/pageSize {
			runs = appendPage(runs, uint64(e.page))
		}
	}
	return runs
}

// written: what a snapshot since l has found, or one that did not come about.
// The rest is dirty, or counts as dirty.
func (l *shadowLayer) written() []pageRun {
	l.g.readers.RLock()
	defer l.g.readers.RUnlock()
	all, _ := l.deltas(nil)
	runs := l.runsOf(all)
	for _, list := range l.g.pending {
		runs = append(runs, l.runsOf(list)...)
	}
	return runs
}

// seeList tells watches of the pages of list. They are told when a page is copied, not
// when the snapshot has come about: with none open the copy is made over what the shadow has,
// and a comparison with it would not find the page again.
func (g *shadow) seeList(list []placed) {
	if !g.a.watches.any() {
		return
	}
	for len(list) > 0 {
		n := 1
		for n < len(list) && list[n].page == list[0].page+uint32(n) {
			n++
		}
		g.a.watches.add(uint64(list[0].page), uint64(n))
		list = list[n:]
	}
}
