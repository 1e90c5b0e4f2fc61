package arena

import (
	"iter"
	"runtime"
)

// writeLog is what a frozen may implement whose guard knows which pages are written.
type writeLog interface {
	// written calls note with the ranges that may have been written between the instant
	// before this one and this one; an instant is a snapshot that was taken, or a
	// rollback. What is left out has not been written; ranges are of whole pages, and
	// none comes twice. known is false if the guard does not know, or not any more; what
	// was noted is worth nothing then. It is called while this snapshot cannot be closed
	// (others can, the one before it too), by any goroutine, without Arena.mu. note
	// takes no lock.
	written(note func(off, n uint64)) (known bool)
}

// Written yields the ranges, offset and length in bytes, in which s may differ from
// since: whole pages, each once, the last one cut off at s.Size(). ok is false where
// that is not known and everything has to be compared: the guard keeps no log of
// writes (copy), or since is not the instant that s came after, because another
// snapshot was taken, or rolled back to, in between. since may be closed; s must be
// open.
func (s *Snapshot) Written(since *Snapshot) (ranges iter.Seq2[int64, int64], ok bool) {
	defer runtime.KeepAlive(s)
	if since == nil || since.h.a != s.h.a || since.h.seq != s.h.after {
		return nil, false
	}
	// Collected, so that nobody reads the snapshot, or keeps Close waiting, in the
	// middle of it.
	s.h.mu.RLock()
	defer s.h.mu.RUnlock()
	log, ok := s.h.f.(writeLog)
	if !ok {
		return nil, false
	}
	type span struct{ off, n int64 }
	var found []span
	if !log.written(func(off, n uint64) {
		if off := int64(off); off < s.Size() {
			found = append(found, span{off, min(int64(n), s.Size()-off)})
		}
	}) {
		return nil, false
	}
	return func(yield func(off, n int64) bool) {
		for _, f := range found {
			if !yield(f.off, f.n) {
				return
			}
		}
	}, true
}
