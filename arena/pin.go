package arena

import (
	"slices"
	"sync"
)

// pins are the ranges that must not be protected while writers go on: a system
// call is about to write there, to which a protected page is EFAULT.
type pins struct {
	mu     sync.Mutex
	ranges []*pinned
}

// pinned is [off, end), whole pages.
type pinned struct{ off, end uint64 }

// pin keeps the pages of [off, off+n) from being protected from now on.
func (p *pins) pin(off, n uint64) (unpin func()) {
	r := &pinned{off &^ (pageSize - 1), (off + n + pageSize - 1) &^ (pageSize - 1)}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ranges = append(p.ranges, r)
	return func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		if i := slices.Index(p.ranges, r); i >= 0 {
			p.ranges = slices.Delete(p.ranges, i, i+1)
		}
	}
}

// around calls do for the parts of [off, off+n) that are not pinned, and skip for
// those that are. Nothing is pinned meanwhile. It ends at the first error.
func (p *pins) around(off, n uint64, do func(off, n uint64) error, skip func(off, n uint64)) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	for end := off + n; off < end; {
		next := pinned{end, end} // the first one from off on
		for _, r := range p.ranges {
			if from := max(r.off, off); from < next.off && r.end > off {
				next = pinned{from, min(r.end, end)}
			}
		}
		if next.off > off {
			if err := do(off, next.off-off); err != nil {
				return err
			}
		}
		if next.end > next.off {
			skip(next.off, next.end-next.off)
		}
		off = next.end
	}
	return nil
}
