package arena

import "sort"

// placed says in which slot the content of a page stands. Lists of them are in
// ascending order of pages, each page once: eight bytes a page, so that sixty
// snapshots a second need no memory but for what was written.
type placed struct{ page, slot uint32 }

// delta is what a snapshot's layer holds: the pages first written after it and before
// the next one, in several lists without a page in common. More are added by merging
// a closed snapshot down; several lists, each less than half as long as the
// one before, make that cost what is added, times a logarithm, also where a snapshot
// stays open for long below many short-lived ones.
type delta struct{ lists [][]placed }

// listPool keeps lists for the next snapshot, instead of leaving them to the collector.
type listPool struct{ spare [][]placed }

const spareLists = 16

// get is an empty list.
func (p *listPool) get() []placed {
	if n := len(p.spare); n > 0 {
		list := p.spare[n-1]
		p.spare = p.spare[:n-1]
		return list[:0]
	}
	return nil
}

// put takes a list back.
func (p *listPool) put(list []placed) {
	if cap(list) > 0 && len(p.spare) < spareLists {
		p.spare = append(p.spare, list)
	}
}

// reset forgets the lists.
func (d *delta) reset(pool *listPool) {
	for _, list := range d.lists {
		pool.put(list)
	}
	d.lists = nil
}

// add adds those of list whose pages it does not hold, and calls drop for
// the others. list belongs to it afterwards.
func (d *delta) add(list []placed, pool *listPool, drop func(placed)) {
	for _, have := range d.lists {
		list = without(list, have, drop)
	}
	if len(list) == 0 {
		pool.put(list)
		return
	}
	d.lists = append(d.lists, list)
	for n := len(d.lists); n > 1 && 2*len(d.lists[n-1]) >= len(d.lists[n-2]); n-- {
		a, b := d.lists[n-2], d.lists[n-1]
		d.lists = append(d.lists[:n-2], unite(pool.get(), a, b))
		pool.put(a)
		pool.put(b)
	}
}

// without takes the pages of have out of list, in place, and calls drop for them.
func without(list, have []placed, drop func(placed)) []placed {
	keep := list[:0]
	for _, e := range list {
		have = from(have, e.page)
		if len(have) > 0 && have[0].page == e.page {
			drop(e)
			continue
		}
		keep = append(keep, e)
	}
	return keep
}

// from is the part of list from page on. It costs the logarithm of how far that is.
func from(list []placed, page uint32) []placed {
	far := 1
	for far < len(list) && list[far-1].page < page {
		far *= 2
	}
	part := list[:min(far, len(list))]
	return list[sort.Search(len(part), func(i int) bool { return part[i].page >= page }):]
}

// unite appends both lists to dst, in order; where both have a page, that of a.
func unite(dst, a, b []placed) []placed {
	for len(a) > 0 && len(b) > 0 {
		switch {
		case a[0].page < b[0].page:
			dst, a = append(dst, a[0]), a[1:]
		case a[0].page > b[0].page:
			dst, b = append(dst, b[0]), b[1:]
		default:
			dst, a, b = append(dst, a[0]), a[1:], b[1:]
		}
	}
	return append(append(dst, a...), b...)
}
