package arena

import "math/bits"

// The index answers "which is the lowest page of descriptors that has one of
// class c with room". An index page stands for 256 pages of descriptors, with
// 256 bits for each class. A word in the header for each class says in which
// group of 64 index pages there are bits set, so that a search that starts
// from nothing in an arena of 64 GiB looks at a few dozen words.
//
// Two more rows, after the classes, are about unused slots.
const (
	indexFree1    = numClasses     // pages with an unused slot
	indexFree4    = numClasses + 1 // pages with four in one word
	numIndexed    = numClasses + 2
	indexedStride = 80

	indexGroup = 64 // index pages to a bit of headIndexed
)

// cursor is where the search for a class goes on: no descriptor below id has
// room. If desc is not 0 it is the offset of descriptor id, and that has room.
type cursor struct {
	id   uint32
	desc uint64
}

// classState returns the offset of the word that counts the spans of a class,
// in its upper half, and names the empty span that is kept for reuse by the id
// of its first descriptor, in its lower half; 0 is none. Its highest bit says that
// the class is tight: memory has run out, see reveal.
func classState(c int) uint64 { return headClasses + uint64(c)*8 }

const classTight = 1 << 63

func spansOf(state uint64) uint64 { return state &^ classTight >> 32 }

func (al *allocator) isTight(c int) bool { return al.word(classState(c)).Load()&classTight != 0 }

// indexRow returns the offset of the four words of row x in index page i.
func (al *allocator) indexRow(x int, i uint64) uint64 {
	return al.tablePage(tableIndex, i) + uint64(x)*32
}

// setIndexed sets or clears the bit of a page of descriptors in row x.
func (al *allocator) setIndexed(x int, page uint64, on bool) {
	i := page >> 8
	row := al.indexRow(x, i)
	word, bit := row+page>>6&3*8, uint64(1)<<(page&63)
	old := al.load64(word)
	if old&bit != 0 == on {
		return
	}
	al.put64(word, old^bit)
	group := headIndexed + uint64(x)*8
	groups := al.load64(group)
	groupBit := uint64(1) << (i / indexGroup)
	switch {
	case on:
		if groups&groupBit == 0 {
			al.put64(group, groups|groupBit)
		}
	case !al.groupIndexed(x, i/indexGroup):
		al.put64(group, groups&^groupBit)
	}
}

// groupIndexed reports whether a group of index pages has a bit set in row x.
func (al *allocator) groupIndexed(x int, group uint64) bool {
	for i := group * indexGroup; i < min((group+1)*indexGroup, al.indexPages()); i++ {
		row := al.indexRow(x, i)
		if al.load64(row)|al.load64(row+8)|al.load64(row+16)|al.load64(row+24) != 0 {
			return true
		}
	}
	return false
}

// indexPages returns how many index pages are in use.
func (al *allocator) indexPages() uint64 { return (al.descPages.Load() + 255) >> 8 }

// nextPage returns the lowest page of descriptors from page on that is set in
// row x.
func (al *allocator) nextPage(x int, page uint64) (uint64, bool) {
	groups := al.load64(headIndexed + uint64(x)*8)
	for i, n := page>>8, al.indexPages(); i < n; i++ {
		if i%indexGroup == 0 && groups>>(i/indexGroup)&1 == 0 {
			i += indexGroup - 1
			continue
		}
		row := al.indexRow(x, i)
		mask := ^uint64(0) << (page & 63)
		for w := page >> 6 & 3; w < 4; w++ {
			if set := al.load64(row+w*8) & mask; set != 0 {
				found := i<<8 | w<<6 | uint64(bits.TrailingZeros64(set))
				return found, found < al.descPages.Load()
			}
			mask = ^uint64(0)
		}
		page = 0
	}
	return 0, false
}

// roomIn returns the lowest descriptor of class c with room in a page, from a
// slot on.
func (al *allocator) roomIn(c int, page, slot uint64) (id uint32, desc uint64, ok bool) {
	base := al.tablePage(tableDescs, page)
	mask := ^uint64(0) << (slot & 63)
	for w := slot >> 6; w < 4; w++ {
		room := al.load64(base+descHeadRoom+w*8) & mask
		mask = ^uint64(0)
		for ; room != 0; room &= room - 1 {
			slot := w<<6 | uint64(bits.TrailingZeros64(room))
			desc := base + slot*descSize
			if descInfo(al.load64(desc+8)).class() == c {
				return uint32(page<<8 | slot), desc, true
			}
		}
	}
	return 0, 0, false
}

// seek moves the cursor of class c to the lowest descriptor with room. It
// reports false if there is none.
func (al *allocator) seek(c int) bool {
	cur := &al.cursors[c]
	slot := uint64(cur.id & 0xff)
	for page, ok := al.nextPage(c, uint64(cur.id>>8)); ok; page, ok = al.nextPage(c, page+1) {
		if page != uint64(cur.id>>8) {
			slot = 0
		}
		if id, desc, ok := al.roomIn(c, page, slot); ok {
			*cur = cursor{id, desc}
			return true
		}
	}
	return false
}

// filled is called when the descriptor at the cursor of class c has no room any
// more.
func (al *allocator) filled(c int) {
	cur := &al.cursors[c]
	page, slot := uint64(cur.id>>8), uint64(cur.id&0xff)
	room := al.tablePage(tableDescs, page) + descHeadRoom + slot>>6*8
	al.put64(room, al.load64(room)&^(1<<(slot&63)))
	if slot < 255 {
		if id, desc, ok := al.roomIn(c, page, slot+1); ok {
			*cur = cursor{id, desc}
			return
		}
	}
	al.setIndexed(c, page, false)
	*cur = cursor{id: uint32((page + 1) << 8)}
}

// opened is called when descriptor id of class c has room again.
func (al *allocator) opened(c int, id uint32) {
	page, slot := uint64(id>>8), uint64(id&0xff)
	base := al.tablePage(tableDescs, page)
	room := base + descHeadRoom + slot>>6*8
	al.put64(room, al.load64(room)|1<<(slot&63))
	al.setIndexed(c, page, true)
	if id <= al.cursors[c].id {
		al.cursors[c] = cursor{id, base + slot*descSize}
	}
}

// hasRoom reports whether the index knows of descriptor id.
func (al *allocator) hasRoom(id uint32) bool {
	page, slot := uint64(id>>8), uint64(id&0xff)
	return al.load64(al.tablePage(tableDescs, page)+descHeadRoom+slot>>6*8)>>(slot&63)&1 != 0
}

// closed is called when descriptor id of class c is dropped, or claimed.
func (al *allocator) closed(c int, id uint32) {
	page, slot := uint64(id>>8), uint64(id&0xff)
	room := al.tablePage(tableDescs, page) + descHeadRoom + slot>>6*8
	if word := al.load64(room); word>>(slot&63)&1 != 0 {
		al.put64(room, word&^(1<<(slot&63)))
		if _, _, ok := al.roomIn(c, page, 0); !ok {
			al.setIndexed(c, page, false)
		}
	}
	if al.cursors[c].id == id {
		al.cursors[c].desc = 0
	}
}
