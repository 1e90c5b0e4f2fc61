package cowheap

import (
	"encoding/binary"
	"unsafe"
)

// The key of a slot has the size of K. Where K has a Go string, which is two
// words, the slot has a textKey.
//
// A textKey of up to 15 bytes of text holds them itself, followed by zeros and,
// in its last byte, their number. Else it holds the offset of an allocation with
// the text, and the length, with 0xff as its last byte.
type textKey struct {
	lo, hi uint64
}

const (
	maxShortText = 15
	longTextMark = 0xff << 56
)

func (k textKey) long() bool { return k.hi >= longTextMark }

// shortText is the textKey of s.
//
// Preconditions: s has at most maxShortText bytes.
func shortText(s string) textKey {
	n := len(s)
	p := unsafe.Pointer(unsafe.StringData(s))
	k := textKey{hi: uint64(n) << 56}
	switch {
	case n >= 8: // two words that overlap
		k.lo = read64(p, 0)
		k.hi |= read64(p, n-8) >> (8 * (16 - n))
	case n >= 4:
		k.lo = read32(p, 0) | read32(p, n-4)<<(8*(n-4))
	case n > 0:
		k.lo = uint64(s[0]) | uint64(s[n>>1])<<(8*(n>>1)) | uint64(s[n-1])<<(8*(n-1))
	}
	return k
}

// textOf is the text of the textKey at p, without a copy.
func (m *Mem) textOf(p unsafe.Pointer) string {
	k := (*textKey)(p)
	if k.long() {
		return m.text(k.lo, k.hi&^longTextMark)
	}
	return unsafe.String((*byte)(p), int(k.hi>>56))
}

// textIs reports whether the textKey at p is s.
func (m *Mem) textIs(p unsafe.Pointer, s string) bool {
	k := (*textKey)(p)
	if len(s) <= maxShortText {
		return *k == shortText(s)
	}
	return k.hi == longTextMark|uint64(len(s)) && m.text(k.lo, uint64(len(s))) == s
}

// keepText makes a textKey of s, with an allocation if it is long.
func (m *Mem) keepText(s string) (textKey, error) {
	if len(s) <= maxShortText {
		return shortText(s), nil
	}
	off, err := m.alloc(uint64(len(s)), 1)
	if err != nil {
		return textKey{}, err
	}
	copy(m.bytes(off, uint64(len(s))), s)
	return textKey{lo: off, hi: longTextMark | uint64(len(s))}, nil
}

// goText is the Go string at p, in a K.
func goText(p unsafe.Pointer) string { return *(*string)(p) }

// rawText is n bytes at p as a string.
func rawText(p unsafe.Pointer, n uint64) string { return unsafe.String((*byte)(p), n) }

// loadWord is the number at p, of the size of a word class.
func loadWord(class keyClass, p unsafe.Pointer) uint64 {
	switch class {
	case keyWord8:
		return *(*uint64)(p)
	case keyWord4:
		return uint64(*(*uint32)(p))
	case keyWord2:
		return uint64(*(*uint16)(p))
	}
	return uint64(*(*uint8)(p))
}

// hashKey hashes the K at k.
func (kt *keyType) hashKey(m *Mem, k unsafe.Pointer) uint64 {
	switch kt.class {
	case keyText:
		return m.secrets.bytes(m.s0, goText(k))
	case keyBytes:
		return m.secrets.bytes(m.s0, rawText(k, kt.keySize))
	case keyMixed:
		h := m.s0
		for _, p := range kt.parts {
			if at := unsafe.Add(k, p.off); p.text {
				h = m.secrets.bytes(h, goText(at))
			} else {
				h = m.secrets.bytes(h, rawText(at, p.n))
			}
		}
		return h
	}
	return m.word(loadWord(kt.class, k))
}

// hashStored hashes the key in a slot: the same as hashKey of the key.
func (kt *keyType) hashStored(m *Mem, slot unsafe.Pointer) uint64 {
	switch kt.class {
	case keyText:
		return m.secrets.bytes(m.s0, m.textOf(slot))
	case keyBytes:
		return m.secrets.bytes(m.s0, rawText(slot, kt.keySize))
	case keyMixed:
		h := m.s0
		for _, p := range kt.parts {
			if at := unsafe.Add(slot, p.off); p.text {
				h = m.secrets.bytes(h, m.textOf(at))
			} else {
				h = m.secrets.bytes(h, rawText(at, p.n))
			}
		}
		return h
	}
	return m.word(loadWord(kt.class, slot))
}

// isMixed reports whether the mixed key in a slot is the K at k.
func (kt *keyType) isMixed(m *Mem, slot, k unsafe.Pointer) bool {
	for _, p := range kt.parts {
		a, b := unsafe.Add(slot, p.off), unsafe.Add(k, p.off)
		if p.text && !m.textIs(a, goText(b)) || !p.text && rawText(a, p.n) != rawText(b, p.n) {
			return false
		}
	}
	return true
}

// allocates reports whether keys hold text, which may need allocations.
func (kt *keyType) allocates() bool { return kt.class >= keyText }

// keepKey makes what a slot holds for the K at k, at kept. If that fails, for want
// of memory, nothing has been allocated.
//
// Preconditions: allocates; kept has room for keySize bytes.
func (kt *keyType) keepKey(m *Mem, kept, k unsafe.Pointer) error {
	if kt.class == keyText {
		text, err := m.keepText(goText(k))
		*(*textKey)(kept) = text
		return err
	}
	for i, p := range kt.parts {
		at, from := unsafe.Add(kept, p.off), unsafe.Add(k, p.off)
		if !p.text {
			copy(unsafe.Slice((*byte)(at), p.n), rawText(from, p.n))
			continue
		}
		text, err := m.keepText(goText(from))
		if err != nil {
			kt.freeTexts(m, kept, kt.parts[:i])
			return err
		}
		*(*textKey)(at) = text
	}
	return nil
}

// freeKey frees what the key in a slot holds.
func (kt *keyType) freeKey(m *Mem, slot unsafe.Pointer) {
	switch kt.class {
	case keyText:
		if k := (*textKey)(slot); k.long() {
			m.release(k.lo)
		}
	case keyMixed:
		kt.freeTexts(m, slot, kt.parts)
	}
}

func (kt *keyType) freeTexts(m *Mem, slot unsafe.Pointer, parts []keyPart) {
	for _, p := range parts {
		if k := (*textKey)(unsafe.Add(slot, p.off)); p.text && k.long() {
			m.release(k.lo)
		}
	}
}

// loadKey puts the key of a slot into the K at k, which is zero. Strings in it
// alias the heap. Words that the collector takes for pointers are written as
// strings only: what a slot has in their place would look like a bad pointer.
func (kt *keyType) loadKey(m *Mem, slot, k unsafe.Pointer) {
	switch kt.class {
	case keyText:
		*(*string)(k) = m.textOf(slot)
	case keyMixed:
		for _, p := range kt.parts {
			at, from := unsafe.Add(k, p.off), unsafe.Add(slot, p.off)
			if p.text {
				*(*string)(at) = m.textOf(from)
			} else {
				copy(unsafe.Slice((*byte)(at), p.n), rawText(from, p.n))
			}
		}
	default:
		copy(unsafe.Slice((*byte)(k), kt.keySize), rawText(slot, kt.keySize))
	}
}

// appendIdentity appends what identifies the entry in a slot among those that the map
// has at this time: the slot's bytes, texts by their offsets.
func (kt *keyType) appendIdentity(b []byte, slot unsafe.Pointer) []byte {
	if kt.class == keyWord8 {
		return binary.LittleEndian.AppendUint64(b, *(*uint64)(slot))
	}
	return append(b, rawText(slot, kt.keySize)...)
}
