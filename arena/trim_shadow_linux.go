package arena

import "errors"

func (g *shadow) trims(hold) error {
	if g.mayEndIncoming() {
		if err := g.endIncoming(); err != nil {
			return err
		}
	}
	if g.high != 0 {
		return ErrIncomplete
	}
	return nil
}

// trim gives everything back: no snapshot looks at the live memory. The copy of a page
// that is zero from now on is none, as if a snapshot had just found it written: what
// stood in cur goes to the newest one's delta, or is free. So that nothing has
// to be known of how a scan sees a hole, the pages are protected again at once: they are clean.
func (g *shadow) trim(runs []pageRun) (bytes uint64, err error) {
	defer g.publishFigures()
	blank := g.lists.get()
	var errs []error
	for _, r := range runs {
		n, err := g.a.discard(r)
		if bytes += n; err != nil {
			g.armed = 0 // some may be zero now: dirty, as all is
			errs = append(errs, err)
			continue
		}
		if err := g.cur.cover(r.first + r.n); err != nil {
			g.armed = 0
			errs = append(errs, err)
			continue
		}
		if from, end := r.first*pageSize, min((r.first+r.n)*pageSize, g.armed); from < end {
			if err := g.protectRange(from, end-from, true); err != nil {
				g.armed = 0
				errs = append(errs, err)
			}
		}
		g.forget(uint32(r.first), uint32(r.first+r.n))
		for page := uint32(r.first); page < uint32(r.first+r.n); page++ {
			if g.cur.slots[page] != 0 {
				blank = append(blank, placed{page: page})
			}
		}
	}
	g.blank(blank)
	return bytes, errors.Join(append(errs, g.slots.cool(keptSlots))...)
}

// blank makes the pages of list zero in cur. What stood there goes to the newest snapshot in the
// same step: a reader of it finds it in one of the two.
func (g *shadow) blank(list []placed) {
	g.readers.Lock()
	defer g.readers.Unlock()
	old := g.swap(list)
	if g.newest != nil {
		g.newest.delta.add(old, &g.lists, g.drop)
	} else {
		g.discard(old)
	}
}
