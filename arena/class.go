package arena

import "math/bits"

// Size classes. Objects of up to maxSmall bytes are rounded up to one of
// numClasses sizes: every 16 bytes up to 128, then eight steps a doubling. So
// an object of more than 128 bytes wastes at most one part in nine, and every
// size is a multiple of 16. Larger objects take whole pages, which wastes at
// most one part in nine as well.
const (
	minAlign   = 16
	maxSmall   = 32 << 10
	numClasses = 8 + 8*8

	// maxDescs is how many descriptors the span with the most objects needs:
	// 256 objects of 16 bytes, 64 to a descriptor.
	maxDescs = 4

	// numOrders is the number of span sizes of a class. See spanShape.
	numOrders = 4
)

// classSizes holds the object size of each class in bytes.
var classSizes = func() (sizes [numClasses]uint32) {
	for i := range 8 {
		sizes[i] = uint32(16 * (i + 1))
	}
	for i := 8; i < numClasses; i++ {
		doubling, step := (i-8)/8, (i-8)%8
		sizes[i] = uint32(128<<doubling + (step+1)*(16<<doubling))
	}
	return sizes
}()

// classOfSize returns the smallest class whose objects hold size bytes.
// Preconditions: size <= maxSmall.
func classOfSize(size uint64) int {
	if size <= 128 {
		return int((max(size, 1) - 1) / 16)
	}
	doubling := bits.Len64(size-1) - 8 // 0 for 129..256
	return 8 + doubling*8 + int((size-1)>>(doubling+4)) - 8
}

// classFor returns the smallest class whose objects hold size bytes and begin
// at multiples of align. Spans begin at pages, so an object is aligned to
// whatever divides both a page and its size.
//
// Preconditions: size <= maxSmall; align is a power of two, at most a page.
func classFor(size, align uint64) int {
	c := classOfSize(max(size, align))
	for uint64(classSizes[c])&(align-1) != 0 {
		c++ // ends at a power of two at the latest
	}
	return c
}

// spanShape says how a span of a class and order is cut.
type spanShape struct {
	pages   uint32
	objects uint32
	descs   uint32
	size    uint32 // of an object, in bytes
	// reciprocal is ceil(2^32/size), to divide an offset inside the span by size
	// with a multiplication. Exact for every offset in a span, which the tests
	// go through one by one.
	reciprocal uint64
	// padding holds, for the last descriptor, a set bit for each of its 64
	// places that no object stands for.
	padding uint64
}

// spanShapes: a class's first span is of order 0, the second of order 1, and
// from the fourth on of order 3. A heap that holds three objects of a class
// takes little room, one that holds millions has few, large spans with little
// left over at the end: up to 64 KiB, or four objects. Objects below 64 bytes
// have one-page spans of several descriptors.
var spanShapes = func() (shapes [numClasses][numOrders]spanShape) {
	for c := range shapes {
		size := uint64(classSizes[c])
		for order := range uint64(numOrders) {
			least := (min(uint64(2)<<order, 4)*size + runPageSize - 1) / runPageSize
			pages := min(uint64(8)<<order*size, uint64(16<<10)<<order, 64<<10) / runPageSize
			pages = max(pages, least)
			// A little smaller, if less is left over then.
			best := pages
			for p := pages; p >= max(least, pages-pages/4); p-- {
				if (p*runPageSize%size)*best < (best*runPageSize%size)*p {
					best = p
				}
			}
			shapes[c][order] = newSpanShape(best, size)
		}
	}
	return shapes
}()

func newSpanShape(pages, size uint64) spanShape {
	objects := pages * runPageSize / size
	descs := (objects + 63) / 64
	s := spanShape{
		pages:      uint32(pages),
		objects:    uint32(objects),
		descs:      uint32(descs),
		size:       uint32(size),
		reciprocal: (1<<32 + size - 1) / size,
	}
	if rest := objects % 64; rest != 0 {
		s.padding = ^uint64(0) << rest
	}
	return s
}

// emptyBits is the taken word of a descriptor that no object is allocated in.
func (s *spanShape) emptyBits(part uint64) uint64 {
	if part == uint64(s.descs)-1 {
		return s.padding
	}
	return 0
}
