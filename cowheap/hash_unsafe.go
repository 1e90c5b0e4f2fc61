package cowheap

import (
	"encoding/binary"
	"math/bits"
	"unsafe"
)

// The hash of map keys is part of the format: a table in a checkpoint is laid
// out by it, and game peers compare their tables' bytes. So it is written out
// here rather than taken from hash/maphash, whose seed and algorithm belong to
// one process. It follows the scheme of wyhash (Wang Yi, public domain): words
// of the key are mixed by a multiplication of 64 by 64 to 128 bits whose halves
// are folded together. The constants are the odd ones among
// the first initial values of SHA-512. Vectors are in the tests.
//
// It keeps out keys that were chosen to collide for as long as the seed is
// secret. Whoever fixes Options.Seed gives that up, and maps then only promise
// to stay correct and within their memory bound.
const (
	hashK0 = 0xbb67ae8584caa73b
	hashK1 = 0x3c6ef372fe94f82b
	hashK2 = 0xa54ff53a5f1d36f1
	hashK3 = 0x510e527fade682d1
)

// secrets are what a heap's seed is stretched to.
type secrets struct {
	s0, s1 uint64 // s1 is odd
}

func newSecrets(seed uint64) secrets {
	a := splitmix(seed + hashK0)
	return secrets{s0: a, s1: splitmix(a+hashK1) | 1}
}

// splitmix is the output function of SplitMix64 (Steele, Lea, Flood 2014).
func splitmix(x uint64) uint64 {
	x ^= x >> 30
	x *= 0xbf58476d1ce4e5b9
	x ^= x >> 27
	x *= 0x94d049bb133111eb
	return x ^ x>>31
}

func fold(a, b uint64) uint64 {
	hi, lo := bits.Mul64(a, b)
	return hi ^ lo
}

// word hashes a key of 1, 2, 4 or 8 bytes, extended with zeros to x.
func (s secrets) word(x uint64) uint64 {
	return fold(fold(x^s.s0, s.s1)^hashK0, hashK1)
}

// bytes hashes a string of bytes. from is s.s0 for a key that is one string; in a
// key of several parts it is what the part before has hashed to.
func (s secrets) bytes(from uint64, key string) uint64 {
	n := len(key)
	p := unsafe.Pointer(unsafe.StringData(key))
	var a, b uint64
	switch {
	case n > 16:
		i := n
		if i > 48 {
			x, y, z := from, from^hashK2, from^hashK3
			for ; i > 48; i -= 48 {
				x = fold(read64(p, 0)^s.s1, read64(p, 8)^x)
				y = fold(read64(p, 16)^hashK2, read64(p, 24)^y)
				z = fold(read64(p, 32)^hashK3, read64(p, 40)^z)
				p = unsafe.Add(p, 48)
			}
			from = x ^ y ^ z
		}
		for ; i > 16; i -= 16 {
			from = fold(read64(p, 0)^s.s1, read64(p, 8)^from)
			p = unsafe.Add(p, 16)
		}
		a, b = read64(p, i-16), read64(p, i-8) // the last 16 bytes, some of them again
	case n >= 4:
		mid := n >> 3 << 2 // 0 up to 7 bytes, 4 up to 15, 8 for 16
		a = read32(p, 0)<<32 | read32(p, mid)
		b = read32(p, n-4)<<32 | read32(p, n-4-mid)
	case n > 0:
		a = uint64(key[0])<<16 | uint64(key[n>>1])<<8 | uint64(key[n-1])
	}
	hi, lo := bits.Mul64(a^s.s1, b^from)
	return fold(lo^hashK0^uint64(n), hi^hashK1)
}

// Preconditions: the key has at least off+8 bytes.
func read64(p unsafe.Pointer, off int) uint64 {
	return binary.LittleEndian.Uint64((*[8]byte)(unsafe.Add(p, off))[:])
}

// Preconditions: the key has at least off+4 bytes.
func read32(p unsafe.Pointer, off int) uint64 {
	return uint64(binary.LittleEndian.Uint32((*[4]byte)(unsafe.Add(p, off))[:]))
}
