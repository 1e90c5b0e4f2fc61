package block

import "encoding/binary"

// Zero reports whether page 0 <= i < RegionPages has become zero since the
// parent. Only incremental checkpoints have such pages.
func (h Header) Zero(i int) bool { return h[ZeroOff+i/8]>>(i%8)&1 != 0 }

// HasZeros reports whether there are pages for which Zero is true.
func (h Header) HasZeros() bool { return !IsZero(h[ZeroOff : ZeroOff+BitmapSize]) }

// SetZero records that page 0 <= i < RegionPages has become zero.
func (h Header) SetZero(i int) { h[ZeroOff+i/8] |= 1 << (i % 8) }

// ZeroPages is the set of pages that have become zero.
func (h Header) ZeroPages() (p Pages) {
	for w := range p {
		p[w] = h.zeroWord(w)
	}
	return p
}

// zeroWord is bits 64*w to 64*w+63 of the bitmap of zeros.
func (h Header) zeroWord(w int) uint64 { return binary.LittleEndian.Uint64(h[ZeroOff+8*w:]) }
