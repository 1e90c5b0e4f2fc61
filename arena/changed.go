package arena

import (
	"iter"
	"runtime"
)

// comparer is a frozen that knows what was written after it.
type comparer interface {
	// changed gives the pages written between it and newer, in ascending order, or
	// false if that is not known. Both are open; called under Arena.mu.
	changed(newer frozen) ([]pageRun, bool)
	// written gives at least the pages of it written from its instant until now of which
	// the guard would not tell the watches any more, in any order. It is open and
	// intact; called under Arena.mu.
	written() []pageRun
}

// pageRun is the pages [first, first+n).
type pageRun struct{ first, n uint64 }

// appendPage appends a page that comes after all that runs have.
func appendPage(runs []pageRun, page uint64) []pageRun {
	if k := len(runs); k > 0 && runs[k-1].first+runs[k-1].n == page && runs[k-1].n < blockSize/pageSize {
		runs[k-1].n++
		return runs
	}
	return append(runs, pageRun{page, 1})
}

// Changed gives the pages in which s may differ from an older snapshot of the same arena,
// as ranges [off, off+n) of bytes, ascending: those written in between, and
// those by which the arena has grown. ok is false if that is not known: the guard
// notes no first writes, one of the two has been closed or given up, or they are no such pair.
func (s *Snapshot) Changed(older *Snapshot) (pages iter.Seq2[int64, int64], ok bool) {
	defer runtime.KeepAlive(s)
	defer runtime.KeepAlive(older)
	a := s.h.a
	if older.h.a != a || older.h.seq >= s.h.seq {
		return nil, false
	}
	a.mu.Lock()
	defer a.unlock()
	s.h.mu.RLock()
	defer s.h.mu.RUnlock()
	older.h.mu.RLock()
	defer older.h.mu.RUnlock()
	d, knows := older.h.f.(comparer)
	if !knows || s.h.f == nil || older.h.f.intact() != nil || s.h.f.intact() != nil {
		return nil, false
	}
	runs, ok := d.changed(s.h.f)
	if !ok {
		return nil, false
	}
	return func(yield func(off, n int64) bool) {
		for _, r := range runs {
			if !yield(int64(r.first*pageSize), int64(r.n*pageSize)) {
				return
			}
		}
		if grown := s.Size() - older.Size(); grown > 0 {
			yield(older.Size(), grown)
		}
	}, true
}
