package arena

import "math/bits"

// A descriptor is two words: a bit for each of 64 objects, set if it is
// allocated (or if there is none, at the end of the span), and a descInfo. A
// span of more than 64 objects has several descriptors one after the other.
// A descriptor's id is its page in the table times 256 plus its slot there.
// Each page begins with a head as large as four slots: a bit for each slot
// that is known to have room for an object (alloc_room.go), and a bit for each slot that is a descriptor.
const (
	descSize      = 16
	descHeadSlots = 4
	descHeadRoom  = 0  // [4]u64: descriptors with a place free
	descHeadTaken = 32 // [4]u64: slots that are descriptors, or the head's
	maxDescPages  = 1 << 20
)

// descInfo is the second word of a descriptor.
//
//	bits  0..29  first page of the span
//	bits 30..31  order, see spanShapes
//	bits 32..39  class + 1
//	bits 40..47  stale: this many of the 64 objects were given out before
//	bits 48..49  part: which 64 objects of the span
//	bits 50..55  home: the cache that claimed it last + 1, or 0: see cache.go
//	bits 56..63  the cache that has claimed it + 1, or 0
type descInfo uint64

func makeDescInfo(page uint64, c int, order, part, stale uint64) descInfo {
	return descInfo(page | order<<30 | uint64(c+1)<<32 | stale<<40 | part<<48)
}

func (i descInfo) page() uint64  { return uint64(i) & (1<<30 - 1) }
func (i descInfo) start() uint64 { return i.page() << runPageShift }
func (i descInfo) class() int    { return int(i>>32&0xff) - 1 }
func (i descInfo) stale() uint64 { return uint64(i) >> 40 & 0xff }
func (i descInfo) part() uint64  { return uint64(i) >> 48 & 3 }
func (i descInfo) home() uint64  { return uint64(i) >> 50 & 0x3f }
func (i descInfo) claim() uint64 { return uint64(i) >> 56 }

func (i descInfo) withStale(n uint64) descInfo {
	return i&^(0xff<<40) | descInfo(n<<40)
}

func (i descInfo) withPart(n uint64) descInfo {
	return i&^(3<<48) | descInfo(n<<48)
}

// withClaim is i claimed by cache n-1, or if n is 0 by none.
func (i descInfo) withClaim(n uint64) descInfo {
	if n != 0 {
		i = i&^(0x3f<<50) | descInfo(n<<50)
	}
	return i&^(0xff<<56) | descInfo(n<<56)
}

// fixed is i without what changes while the span lives.
func (i descInfo) fixed() descInfo { return i &^ (0xff<<40 | 0xff<<56 | 0x3f<<50) }

// shape returns how the span is cut.
//
// Preconditions: class() is a class.
func (i descInfo) shape() *spanShape {
	return &spanShapes[i.class()][i>>30&3]
}

// descOff returns the offset of the descriptor id.
func (al *allocator) descOff(id uint32) uint64 {
	return al.tablePage(tableDescs, uint64(id>>8)) + uint64(id&0xff)*descSize
}

// isDesc reports whether id can be a descriptor's.
func (al *allocator) isDesc(id uint32) bool {
	return uint64(id>>8) < al.descPages.Load() && id&0xff >= descHeadSlots
}

// spanInfo returns what the first descriptor of a span says. It reports false
// if id, which may be any number, is not one: then shape is still that of a
// class, but nothing else holds.
func (al *allocator) spanInfo(id uint32) (info descInfo, ok bool) {
	if al.isDesc(id) {
		info = descInfo(al.word(al.descOff(id) + 8).Load())
	}
	if uint(info.class()) >= numClasses {
		return makeDescInfo(0, 0, 0, 0, 0), false
	}
	shape := info.shape()
	return info, info.part() == 0 && id&0xff+shape.descs <= 256 && info.page()+uint64(shape.pages) <= al.top.Load()
}

func (al *allocator) initDescPage(page uint64) {
	al.put64(al.tablePage(tableDescs, page)+descHeadTaken, 1<<descHeadSlots-1)
	al.setIndexed(indexFree1, page, true)
	al.setIndexed(indexFree4, page, true)
}

// takeDescs takes n unused slots one after the other, in the lowest page that
// has as many, and returns the id of the first. Nothing may fail after it.
//
// Preconditions: n <= maxDescs.
func (al *allocator) takeDescs(n uint64) (uint32, error) {
	x := indexFree1
	if n > 1 {
		x = indexFree4
	}
	page, ok := al.nextPage(x, uint64(al.cursors[x].id>>8))
	if !ok {
		page = al.descPages.Load()
		if page == al.descSpace.Load() {
			if err := al.growDescs(); err != nil {
				return 0, err
			}
		}
		al.put64(headDescPages, page+1)
		al.descPages.Store(page + 1)
		al.initDescPage(page)
	}
	al.cursors[x].id = uint32(page << 8)

	at := al.tablePage(tableDescs, page) + descHeadTaken
	for w := range uint64(4) {
		taken := al.load64(at + w*8)
		// Bit i of runs: n slots from i on are unused.
		runs := ^taken
		for i := range n - 1 {
			runs &= ^taken >> (i + 1)
		}
		if runs == 0 {
			continue
		}
		slot := uint64(bits.TrailingZeros64(runs))
		for r := runs; al.inside != nil && r != 0; r &= r - 1 {
			i := uint64(bits.TrailingZeros64(r))
			if !al.isForeign(al.tablePage(tableDescs, page)+(w*64+i)*descSize, al.inside.n) {
				slot = i
				break
			}
		}
		al.put64(at+w*8, taken|(1<<n-1)<<slot)
		al.indexFree(page)
		return uint32(page<<8 | w*64 + slot), nil
	}
	return 0, corruptAt(at, "no %d unused descriptors where the index says", n)
}

// indexFree brings the index up to date with the unused slots of a page.
func (al *allocator) indexFree(page uint64) {
	at := al.tablePage(tableDescs, page) + descHeadTaken
	var one, four bool
	for w := range uint64(4) {
		free := ^al.load64(at + w*8)
		one = one || free != 0
		four = four || free&(free>>1)&(free>>2)&(free>>3) != 0
	}
	al.setIndexed(indexFree1, page, one)
	al.setIndexed(indexFree4, page, four)
}

// dropDescs gives n slots back. They are closed already.
func (al *allocator) dropDescs(id uint32, n uint64) {
	page, slot := uint64(id>>8), uint64(id&0xff)
	taken := al.tablePage(tableDescs, page) + descHeadTaken + slot/64*8
	al.put64(taken, al.load64(taken)&^((1<<n-1)<<(slot&63)))
	for i := range n {
		al.put64(al.descOff(id)+i*descSize, 0)
		al.put64(al.descOff(id)+i*descSize+8, 0)
	}
	al.indexFree(page)
	for _, x := range [...]int{indexFree1, indexFree4} {
		al.cursors[x].id = min(al.cursors[x].id, uint32(page<<8))
	}
}

// growDescs doubles the room for descriptor pages, and that of the index.
// Nothing may fail after it: memory that was used before is cleared.
func (al *allocator) growDescs() error {
	space := al.descSpace.Load()
	if space == maxDescPages {
		return ErrFull
	}
	tables := []int{tableDescs, tableIndex}
	var n uint64
	for _, t := range tables {
		n += tableSize(t, 0, space*2) - tableSize(t, 0, space)
	}
	page, fresh, err := al.takeRun(n)
	if err != nil {
		return err
	}
	if err := al.raise((page + n) << runPageShift); err != nil {
		return err
	}
	if page < fresh {
		al.clearStale(page<<runPageShift, (min(fresh, page+n)-page)<<runPageShift)
	}
	al.addSegments(tables, page<<runPageShift, 0, space, 0, space*2)
	al.put64(headDescSpace, space*2)
	al.descSpace.Store(space * 2)
	return nil
}
