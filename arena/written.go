package arena

import (
	"iter"
	"runtime"
)

// writeLog is what a frozen may implement whose guard knows which pages are written.
type writeLog interface {
	// written yields the ranges that may have been written between the instant before
	// this one and this one; an instant is a snapshot that was taken, or a rollback. What
	// is left out has not been written; ranges are of whole pages, and none comes
	// twice. ok is false if the guard does not know, or not any more. Called
	// while the snapshot cannot be closed, by any goroutine, under no lock of the arena's.
	written() (ranges iter.Seq2[uint64, uint64], ok bool)
}

// Written yields the ranges, offset and length in bytes, in which s may differ from since:
// whole pages, each once, the last one cut off at s.Size(). ok is false where that is not known and everything has
// to be compared: the guard keeps no log of writes (copy), or since is not the instant that s
// came after, because another snapshot was taken, or rolled back to, in between.
// since may be closed; s must be open.
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
	all, ok := log.written()
	if !ok {
		return nil, false
	}
	type span struct{ off, n int64 }
	var found []span
	for off, n := range all {
		if off := int64(off); off < s.Size() {
			found = append(found, span{off, min(int64(n), s.Size()-off)})
		}
	}
	return func(yield func(off, n int64) bool) {
		for _, f := range found {
			if !yield(f.off, f.n) {
				return
			}
		}
	}, true
}
