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
	old := g.lists.get()
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
		old = g.blank(old, r)
	}
	g.readers.Lock()
	if g.newest != nil {
		g.newest.delta.add(old, &g.lists, g.drop)
	} else {
		g.discard(old)
	}
	g.readers.Unlock()
	return bytes, errors.Join(append(errs, g.slots.cool(keptSlots))...)
}

// blank makes the pages of a run zero in cur, and appends what stood there to old.
func (g *shadow) blank(old []placed, r pageRun) []placed {
	g.readers.Lock()
	defer g.readers.Unlock()
	for page := uint32(r.first); page < uint32(r.first+r.n); page++ {
		if slot := g.cur.slots[page]; slot != 0 {
			g.setCur(page, 0)
			old = append(old, placed{page, slot})
		}
	}
	return old
}
