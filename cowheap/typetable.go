package cowheap

import (
	"sync"
	"sync/atomic"
)

// typeTable finds what is known of a Go type in a few loads, by the
// type's word (see typeWord). Container methods ask it on every call, which is
// why it is no sync.Map. It only grows: types are never unloaded.
type typeTable[I any] struct {
	mu  sync.Mutex // held to add
	now atomic.Pointer[typeSlots[I]]
	// front has a slot for each of so many hashes of words, the first that get has
	// found: what quick looks at.
	front [1 << frontBits]atomic.Pointer[typeSlot[I]]
}

const frontBits = 8

// typeSlots is open addressing with at most half of the slots taken. It is not
// changed once it is published.
type typeSlots[I any] struct {
	shift uint8 // 64 - log2(len(slots))
	used  int
	slots []typeSlot[I]
}

type typeSlot[I any] struct {
	word uintptr
	info *I
}

// quick is get where it is compiled in, and may return nil for a word that was
// added.
func (t *typeTable[I]) quick(word uintptr) *I {
	if s := t.front[frontOf(word)].Load(); s != nil && s.word == word {
		return s.info
	}
	return nil
}

func frontOf(word uintptr) uintptr { return word >> 5 % (1 << frontBits) } // types are aligned

// get returns nil if word was not added. Any number of goroutines may call it.
func (t *typeTable[I]) get(word uintptr) *I {
	s := t.now.Load()
	if s == nil {
		return nil
	}
	for i := s.home(word); ; i++ {
		slot := &s.slots[i&(len(s.slots)-1)]
		if slot.word == word {
			if front := &t.front[frontOf(word)]; front.Load() == nil {
				front.Store(slot)
			}
			return slot.info
		}
		if slot.word == 0 {
			return nil
		}
	}
}

// add makes get find info, unless there is one for word already: then that one
// is returned and stays.
func (t *typeTable[I]) add(word uintptr, info *I) *I {
	t.mu.Lock()
	defer t.mu.Unlock()
	if had := t.get(word); had != nil {
		return had
	}
	old := t.now.Load()
	if old == nil {
		old = &typeSlots[I]{}
	}
	n, shift := max(len(old.slots), 64), uint8(64-6)
	if old.slots != nil {
		shift = old.shift
	}
	if old.used+1 > n/2 {
		n, shift = 2*n, shift-1
	}
	grown := &typeSlots[I]{shift: shift, slots: make([]typeSlot[I], n)}
	for _, slot := range old.slots {
		if slot.word != 0 {
			grown.put(slot)
		}
	}
	grown.put(typeSlot[I]{word, info})
	t.now.Store(grown)
	return info
}

func (s *typeSlots[I]) home(word uintptr) int {
	return int(uint64(word) * 0x9e3779b97f4a7c15 >> s.shift)
}

func (s *typeSlots[I]) put(slot typeSlot[I]) {
	i := s.home(slot.word)
	for s.slots[i&(len(s.slots)-1)].word != 0 {
		i++
	}
	s.slots[i&(len(s.slots)-1)] = slot
	s.used++
}
