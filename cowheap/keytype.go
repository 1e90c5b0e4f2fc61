package cowheap

import "reflect"

// keyType is what the code of containers, which is not generic, needs to know of
// their key type.
type keyType struct {
	class   keyClass
	keySize uint64 // bytes of a key in the heap, the same as of K
	parts   []keyPart
}

// keyClass says how keys are hashed and compared.
type keyClass uint8

const (
	keyWord8 keyClass = iota // 8 bytes, as a number
	keyWord4
	keyWord2
	keyWord1
	keyBytes // as many bytes as a key has
	keyText  // a Go string
	keyMixed // a struct or an array with Go strings in it
)

// keyPart is a part of a mixed key: a Go string, or bytes up to the next one.
type keyPart struct {
	off  uint64
	n    uint64
	text bool
}

func (kt *keyType) describeKey(t reflect.Type) {
	kt.keySize = uint64(t.Size())
	if t.Kind() == reflect.String {
		kt.class = keyText
		return
	}
	kt.addParts(t, 0)
	kt.classify()
}

// classify finds the class of a key that is no text by itself, from its parts and its size.
func (kt *keyType) classify() {
	for _, p := range kt.parts {
		if p.text {
			kt.class = keyMixed
			return
		}
	}
	kt.parts = nil
	switch kt.keySize {
	case 8:
		kt.class = keyWord8
	case 4:
		kt.class = keyWord4
	case 2:
		kt.class = keyWord2
	case 1:
		kt.class = keyWord1
	default:
		kt.class = keyBytes
	}
}

// addParts appends the parts of a key of type t at offset off. Bytes next to
// each other are one part. (A tool that has no Go types goes through a layout by
// rootWalk.addKeyParts, to the same parts.)
func (kt *keyType) addParts(t reflect.Type, off uint64) {
	switch {
	case t.Kind() == reflect.String:
		kt.parts = append(kt.parts, keyPart{off: off, n: uint64(t.Size()), text: true})
	case t.Kind() == reflect.Struct:
		for i := range t.NumField() {
			f := t.Field(i)
			kt.addParts(f.Type, off+uint64(f.Offset))
		}
	case t.Kind() == reflect.Array:
		for i := range t.Len() {
			kt.addParts(t.Elem(), off+uint64(i)*uint64(t.Elem().Size()))
		}
	case t.Size() > 0:
		kt.addBytes(off, uint64(t.Size()))
	}
}

// addBytes appends n bytes without text at offset off.
func (kt *keyType) addBytes(off, n uint64) {
	if last := len(kt.parts) - 1; last >= 0 && !kt.parts[last].text {
		kt.parts[last].n += n // keys have no padding
		return
	}
	kt.parts = append(kt.parts, keyPart{off: off, n: n})
}
