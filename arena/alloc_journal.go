package arena

import "errors"

// journal remembers the old values of the words that are written while a span
// or a run is made, so that they can be put back.
type journal struct {
	recording bool
	old       []oldWord
}

type oldWord struct{ off, value uint64 }

// maxIdleJournal is how many entries are kept allocated for next time: enough
// for any span. A run of many GiB may need millions.
const maxIdleJournal = 4096

// put64 writes a word, remembering the old value if a journal is being kept.
func (al *allocator) put64(off, v uint64) {
	if al.journal.recording {
		al.journal.old = append(al.journal.old, oldWord{off, al.load64(off)})
	}
	al.store64(off, v)
}

// put32 writes the half of a word.
func (al *allocator) put32(off uint64, v uint32) {
	word, shift := off&^7, off&4*8
	al.put64(word, al.load64(word)&^(0xffffffff<<shift)|uint64(v)<<shift)
}

// attempt runs build, which takes memory. If it fails, everything is as before.
// If the arena is full it is tried once more without the empty spans that are
// kept for reuse, and without what caches have claimed, but for those that other
// Updates are using at the moment.
//
// Preconditions: build writes metadata by put64 and put32 alone, until nothing
// in it can fail any more.
func (al *allocator) attempt(build func() error) error {
	err := al.try(build)
	if errors.Is(err, ErrFull) && (al.keepsSpans() || al.cacheTable.Load() != 0) {
		release := al.seizeCaches()
		again := al.try(func() error {
			al.releaseClaims()
			al.releaseKept()
			return build()
		})
		release()
		if again == nil {
			return nil
		}
	}
	return err
}

func (al *allocator) try(build func() error) error {
	used, was := al.used.Load(), al.extents()
	al.journal.recording = true
	err := build()
	al.journal.recording = false
	if err != nil {
		for i := len(al.journal.old) - 1; i >= 0; i-- {
			w := al.journal.old[i]
			al.store64(w.off, w.value)
		}
		al.used.Store(used)
		al.setExtents(was) // segments beyond them are not looked at
		al.cursors = [numIndexed]cursor{}
	}
	if cap(al.journal.old) > maxIdleJournal {
		al.journal.old = nil
	}
	al.journal.old = al.journal.old[:0]
	return err
}
