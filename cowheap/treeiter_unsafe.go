package cowheap

import "unsafe"

// A loop over a tree goes on at its place as long as no entry was put in or taken
// out (mods), and else searches for the key that it has produced last. So it keeps
// that key, with a copy of its text if an Update may free it.

// heldKey is the key that was produced last.
type heldKey[K any] struct {
	k    K
	text []byte // of the strings in k
}

// hold makes k the held key.
func (h *heldKey[K]) hold(m *Mem, tt *treeType, k K) {
	h.k = k
	if tt.allocates() && !m.view {
		h.text = tt.ownTexts(unsafe.Pointer(&h.k), h.text[:0])
	}
}

// ownTexts makes the strings in the K at k copies that lie in room, or in a
// larger piece of Go memory, which it returns.
func (kt *keyType) ownTexts(k unsafe.Pointer, room []byte) []byte {
	parts := kt.parts
	if kt.class == keyText {
		parts = []keyPart{{text: true}}
	}
	need := 0
	for _, p := range parts {
		if p.text {
			need += len(goText(unsafe.Add(k, p.off)))
		}
	}
	if cap(room) < need {
		room = make([]byte, 0, 2*need)
	}
	for _, p := range parts {
		if p.text {
			at := (*string)(unsafe.Add(k, p.off))
			from := len(room)
			room = append(room, *at...)
			*at = unsafe.String(unsafe.SliceData(room[from:]), len(room)-from)
		}
	}
	return room
}

// walkLeaf goes through the entries of a leaf from a place on, for as long as the
// tree is not changed, and then on to the next entry, which may be in another node. It
// returns that entry's level, and false if the loop has ended. last is the
// key that was produced last; no text is copied for it.
func walkLeaf[K, V any](h *treeHeader, m *Mem, tt *treeType, path *treePath, back bool, name string, last *K, yield func(K, *V) bool) (level uint32, more bool) {
	node, i := h.entryAt(m, path, 0)
	mods, n := h.mods, node.n
	for {
		*last = loadTreeKey[K](m, tt, node, i)
		if !yield(*last, (*V)(tt.value(m, node, i))) {
			return 0, false
		}
		h.flag.check(name)
		if h.mods != mods {
			return 0, true
		}
		if back {
			if i == 0 {
				break
			}
			i--
		} else if i++; i == n {
			break
		}
	}
	path.at[0] = i
	if back {
		return h.prev(m, tt, path, 0), true
	}
	return h.settle(m, path), true
}

// step goes from an entry to its neighbour.
func (h *treeHeader) step(m *Mem, tt *treeType, path *treePath, level uint32, back bool) uint32 {
	if back {
		return h.prev(m, tt, path, level)
	}
	return h.next(m, tt, path, level)
}

// resume goes on from where a search for the last key has ended.
func (h *treeHeader) resume(m *Mem, tt *treeType, path *treePath, level uint32, found, back bool) uint32 {
	if back || found {
		return h.step(m, tt, path, level, back)
	}
	return h.settle(m, path)
}

// treeEntry is the entry at a place, if there is one.
func treeEntry[K, V any](h *treeHeader, m *Mem, tt *treeType, path *treePath, level uint32) (k K, v *V, ok bool) {
	if level >= h.height {
		return k, nil, false
	}
	node, i := h.entryAt(m, path, level)
	return loadTreeKey[K](m, tt, node, i), (*V)(tt.value(m, node, i)), true
}
