package restore

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"github.com/cowheap/cowheap/internal/block"
)

// A touched set is where a lazy restore was first touched: the numbers of the pages that faulted, in the
// order in which they did. The next lazy restore brings them in first. It is a hint: whatever it holds, what
// comes in is verified as ever.
//
// Its file has, all little-endian,
//
//	0  8 bytes  "CWTOUCH1"
//	8  u32      number of pages, at most maxTouched
//	12 u32 ...  the pages
//	.. u32      CRC32-C of all before
const (
	touchedMagic = "CWTOUCH1"
	touchedHead  = len(touchedMagic) + 4
	maxTouched   = 1 << 17 // faults; a file of 512 KiB
)

// ErrTouched: a touched set that is damaged, or never was one. It is not used.
var ErrTouched = errors.New("damaged set of touched pages: it is ignored, and replaced after the next lazy restore")

func encodeTouched(pages []uint32) []byte {
	b := binary.LittleEndian.AppendUint32([]byte(touchedMagic), uint32(len(pages)))
	for _, p := range pages {
		b = binary.LittleEndian.AppendUint32(b, p)
	}
	return binary.LittleEndian.AppendUint32(b, block.CRC(b))
}

// touchedSize is the length of a file of n pages.
func touchedSize(n int) int { return touchedHead + 4*n + 4 }

// decodeTouched is the inverse of encodeTouched for bytes of any origin. ErrTouched.
func decodeTouched(b []byte) ([]uint32, error) {
	if len(b) < touchedSize(0) || !bytes.HasPrefix(b, []byte(touchedMagic)) {
		return nil, fmt.Errorf("%w: no header in %d bytes", ErrTouched, len(b))
	}
	n := int64(binary.LittleEndian.Uint32(b[len(touchedMagic):]))
	if n > maxTouched || len(b) != touchedSize(int(n)) {
		return nil, fmt.Errorf("%w: %d pages in %d bytes", ErrTouched, n, len(b))
	}
	end := len(b) - 4
	if got, want := block.CRC(b[:end]), binary.LittleEndian.Uint32(b[end:]); got != want {
		return nil, fmt.Errorf("%w: checksum is %08x, recorded is %08x", ErrTouched, got, want)
	}
	pages := make([]uint32, n)
	for i := range pages {
		pages[i] = binary.LittleEndian.Uint32(b[touchedHead+4*i:])
	}
	return pages, nil
}

// uniteTouched is fresh, followed by what old has beyond it, each page once, as far as there is room: what
// was not touched again for long falls out at the end. (Of a page of old nobody can
// tell: it came in before it was touched.)
func uniteTouched(fresh, old []uint32) []uint32 {
	has := make(map[uint32]bool, len(fresh)+len(old))
	all := make([]uint32, 0, min(len(fresh)+len(old), maxTouched))
	for _, p := range slices.Concat(fresh, old) {
		if len(all) < maxTouched && !has[p] {
			has[p] = true
			all = append(all, p)
		}
	}
	return all
}
