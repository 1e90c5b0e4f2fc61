package cowheap

import (
	"encoding/binary"
	"math/bits"
)

const sumPageSize = 4096 // what is summed up at a time, whatever the system's pages are

// pageSum is the checksum of a page by its place and content: the same on every
// machine, and 0 for a page of zeros wherever it is, so that memory that was
// never written does not count. p has sumPageSize bytes.
//
// It is multiply and fold, the construction of wyhash (Wang Yi, "wyhash final
// 4", public domain) and of Go's own memhash fallback: two words of input, each
// xored with a constant, are multiplied to 128 bits, of which both halves are
// xored. Four chains side by side keep the multiplier busy. Equal sums of pages
// that differ come about as with a random function of 64 bits, unless somebody
// looks for them: it finds desyncs and bugs, not forgers.
func pageSum(page uint64, p []byte) uint64 {
	if isZero(p) {
		return 0
	}
	// The first secrets of wyhash.
	const (
		k0 = 0xa0761d6478bd642f
		k1 = 0xe7037ed1a0b428db
		k2 = 0x8ebc6af09c88c6e3
		k3 = 0x589965cc75374cc3
	)
	seed := fold(page^k0, k1)
	a, b, c, d := seed, seed, seed, seed
	for p := p[:sumPageSize]; len(p) >= 64; p = p[64:] {
		w := p[:64:64]
		a = fold(word(w, 0)^k0, word(w, 8)^a)
		b = fold(word(w, 16)^k1, word(w, 24)^b)
		c = fold(word(w, 32)^k2, word(w, 40)^c)
		d = fold(word(w, 48)^k3, word(w, 56)^d)
	}
	return fold(fold(a^k1, bits.RotateLeft64(b, 17)^k2)^c, bits.RotateLeft64(d, 31)^k3^page)
}

func word(p []byte, at int) uint64 { return binary.LittleEndian.Uint64(p[at:]) }

// isZero is quick where something stands in the beginning, as it mostly does.
func isZero(p []byte) bool {
	for ; len(p) >= 32; p = p[32:] {
		if word(p, 0)|word(p, 8)|word(p, 16)|word(p, 24) != 0 {
			return false
		}
	}
	return true
}
