package cowheap

import (
	"slices"
	"unsafe"
)

// A loop over a tree goes on at its place as long as no entry was put in or taken
// out (mods), and else searches for the key that it has produced last. So it keeps
// that key. Text in it may be freed by an Update with the entry: whoever does that
// copies it before for the loops that are at it, which are listed in the space. (A
// copy for each entry brings in memory that a loop over values has no use for: it
// made a loop over 1e6 keys of 20 bytes several times slower.)

// treeWalk is a loop in an Update over a tree whose keys hold text.
type treeWalk struct {
	h  *treeHeader
	tt *treeType
	// The key that was produced last: k is the K, or nil where keys are one text each. Then key
	// is what the node has for it, and nothing is copied for an entry.
	k     unsafe.Pointer
	key   textKey
	text  []byte // what strings in it are copied to
	owned bool   // all are
}

// beginWalk lists a loop over a tree whose keys are one text each.
func (m *Mem) beginWalk(h *treeHeader, tt *treeType) *treeWalk {
	w := &treeWalk{h: h, tt: tt, owned: true}
	m.space.beginWalk(w)
	return w
}

// last is the text that was produced last, valid until the next is.
func (w *treeWalk) last(m *Mem) string {
	if w.owned {
		return unsafe.String(unsafe.SliceData(w.text), len(w.text))
	}
	return m.textOf(unsafe.Pointer(&w.key))
}

// heldKey is the key that was produced last, a K of several parts.
type heldKey[K any] struct {
	treeWalk
	k K
}

// begin lists the loop.
func (w *heldKey[K]) begin(h *treeHeader, m *Mem, tt *treeType) {
	w.treeWalk = treeWalk{h: h, tt: tt, k: unsafe.Pointer(&w.k), owned: true}
	m.space.beginWalk(&w.treeWalk)
}

// end takes the loop off the list.
func (w *heldKey[K]) end(m *Mem) {
	m.space.endWalk(&w.treeWalk)
}

// hold makes k the held key. Text that lies in a node is copied at once: nodes
// change.
func (w *heldKey[K]) hold(k K) {
	w.k = k
	w.text = w.tt.ownTexts(w.treeWalk.k, w.text[:0], maxShortText)
	w.owned = false
}

func (s *space) beginWalk(w *treeWalk) {
	s.walkMu.Lock()
	s.walks = append(s.walks, w)
	s.walking.Store(int32(len(s.walks)))
	s.walkMu.Unlock()
}

func (s *space) endWalk(w *treeWalk) {
	s.walkMu.Lock()
	if i := slices.Index(s.walks, w); i >= 0 {
		s.walks = slices.Delete(s.walks, i, i+1)
	}
	s.walking.Store(int32(len(s.walks)))
	s.walkMu.Unlock()
}

// holdWalks has loops over h keep the text of their keys, before any is freed.
func (m *Mem) holdWalks(h *treeHeader) {
	s := m.space
	if s.walking.Load() == 0 {
		return
	}
	s.walkMu.Lock()
	defer s.walkMu.Unlock()
	for _, w := range s.walks {
		switch {
		case w.h != h || w.owned:
			continue
		case w.k == nil:
			w.text = append(w.text[:0], w.last(m)...)
		default:
			w.text = w.tt.ownTexts(w.k, nil, ^uint64(0))
		}
		w.owned = true
	}
}

// ownTexts makes strings in the K at k copies, if they have at most that many
// bytes. They lie in room or in a larger piece of Go memory, which it returns.
func (kt *keyType) ownTexts(k unsafe.Pointer, room []byte, most uint64) []byte {
	if kt.class == keyText {
		return ownText(k, room, most)
	}
	for _, p := range kt.parts {
		if p.text {
			room = ownText(unsafe.Add(k, p.off), room, most)
		}
	}
	return room
}

// ownText is ownTexts for the string at p. Strings in a room that has become too
// small stay where they are.
func ownText(p unsafe.Pointer, room []byte, most uint64) []byte {
	s := (*string)(p)
	n := len(*s)
	if uint64(n) > most {
		return room
	}
	if cap(room)-len(room) < n {
		room = make([]byte, 0, 2*n+maxShortText)
	}
	from := len(room)
	room = append(room, *s...)
	*s = unsafe.String(unsafe.SliceData(room[from:]), n)
	return room
}

// walkLeaf goes through the entries of a leaf from a place on, for as long as the
// tree is not changed, and then on to the next entry, which may be in another node. It
// returns that entry's level, and false if the loop has ended. If the tree was changed,
// last is the key that was produced last, unless w is not nil and has it.
func walkLeaf[K, V any](h *treeHeader, m *Mem, tt *treeType, path *treePath, back bool, name string, w *treeWalk, last *K, yield func(K, *V) bool) (level uint32, more bool) {
	node, i := h.entryAt(m, path, 0)
	mods, left := h.mods, node.n-i // entries to be produced
	key, kept := tt.key(node, i), tt.kept(node, i)
	keySize, valSize := uintptr(tt.keySize), uintptr(tt.valSize)
	if back {
		left, keySize, valSize = i+1, -keySize, -valSize
	}
	for {
		var k K
		switch {
		case tt.class == keyText:
			*(*string)(unsafe.Pointer(&k)) = m.textOf(key)
			if w != nil {
				w.key, w.owned = *(*textKey)(key), false
			}
		case tt.class == keyMixed:
			tt.loadKey(m, key, unsafe.Pointer(&k))
		default:
			k = *(*K)(key)
		}
		val := kept
		if tt.apart {
			val = m.at(*(*uint64)(kept))
		}
		if !yield(k, (*V)(val)) {
			return 0, false
		}
		h.flag.check(name)
		if h.mods != mods {
			*last = k
			return 0, true
		}
		if left--; left == 0 {
			break
		}
		key, kept = unsafe.Add(key, keySize), unsafe.Add(kept, valSize)
	}
	if back {
		path.at[0] = 0
		return h.prev(m, tt, path, 0), true
	}
	path.at[0] = node.n
	return h.settle(m, path), true
}

// step goes from an entry to its neighbour.
func (h *treeHeader) step(m *Mem, tt *treeType, path *treePath, level uint32, back bool) uint32 {
	if back {
		return h.prev(m, tt, path, level)
	}
	return h.next(m, tt, path, level)
}

// treeEntry is the entry at a place, if there is one.
func treeEntry[K, V any](h *treeHeader, m *Mem, tt *treeType, path *treePath, level uint32) (k K, v *V, ok bool) {
	if level >= h.height {
		return k, nil, false
	}
	node, i := h.entryAt(m, path, level)
	return loadTreeKey[K](m, tt, node, i), (*V)(tt.value(m, node, i)), true
}
