package arena

import "errors"

func (g *userfault) trims(hold hold) error {
	if g.incomplete.Load() && len(*g.chain.Load()) == 0 {
		// What a snapshot stood in the way of, and keep has not come to yet.
		if err := g.complete(hold); err != nil {
			return err
		}
	}
	if g.missing() {
		return ErrIncomplete // what was given back would be brought in again
	}
	g.endLive(errLiveTrimmed) // the kernel does not note that
	return nil
}

// trim gives back what no open snapshot reads from the live memory: pages with an entry in
// the newest open one's table, or in one above, and all pages if none is open. They
// are lifted first, by what a first write does: so each is in the log, and counts as
// written, before its protection goes with its memory.
func (g *userfault) trim(runs []pageRun) (bytes uint64, err error) {
	var newest *layer
	for _, l := range *g.chain.Load() {
		if l.wanted() {
			newest = l
		}
	}
	var errs []error
	for _, r := range runs {
		for r.n > 0 {
			piece, rest := newest.unneeded(r)
			n, err := g.trimRun(g.wholeChunks(piece))
			bytes += n
			errs = append(errs, err)
			r = rest
		}
	}
	g.h.CoolDown(0)
	return bytes, errors.Join(errs...)
}

// unneeded is the first part of r that l does not read from the live memory, and what
// comes after it. A nil l reads nothing.
func (l *layer) unneeded(r pageRun) (part, rest pageRun) {
	if l == nil {
		return r, pageRun{}
	}
	needs := func(page uint64) bool {
		if page >= l.tab.Pages() {
			return false
		}
		_, ok := l.slot(page)
		return !ok
	}
	end := r.first + r.n
	for r.first < end && needs(r.first) {
		r.first++
	}
	part.first = r.first
	for part.first+part.n < end && !needs(part.first+part.n) {
		part.n++
	}
	return part, pageRun{part.first + part.n, end - part.first - part.n}
}

// wholeChunks is the part of r that can be lifted by itself.
func (g *userfault) wholeChunks(r pageRun) pageRun {
	chunk := g.h.Chunk()
	if chunk == 0 {
		return r
	}
	first, end := (r.first+chunk-1)&^(chunk-1), (r.first+r.n)&^(chunk-1)
	if first >= end {
		return pageRun{}
	}
	return pageRun{first, end - first}
}

func (g *userfault) trimRun(r pageRun) (bytes uint64, err error) {
	if r.n == 0 {
		return 0, nil
	}
	if g.armed > 0 {
		if err := g.h.Prepare(r.first, r.n, true); err != nil {
			return 0, err
		}
	}
	if bytes, err = g.a.discard(r); err != nil || r.first*pageSize >= g.populated {
		return bytes, err
	}
	// Where protection passes over pages that are not there, they are there again, as zeros.
	return bytes, g.protector.populate(r.first*pageSize, r.n*pageSize)
}
