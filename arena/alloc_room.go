package arena

import "math/bits"

// A descriptor that was full goes back to the index when so many of its objects
// have been freed that the next visit pays: one in sixteen. Until then its free
// places are passed over. So of four frees from full descriptors of 64 three need no
// lock and write to one word, and whoever claims a descriptor finds several
// places in it. What it costs is at most a sixteenth of the memory of a class,
// and only while there is other memory: see reveal.
const reopenPart = 16

// reopensAt is how many of the descriptor's objects must be free.
func (i descInfo) reopensAt() int {
	return max(1, bits.OnesCount64(^i.shape().emptyBits(i.part()))/reopenPart)
}

// settle brings the index, and the span, in line with what is allocated in
// descriptor id. It may be called for any id at any time: those who free
// without the lock come too late for some.
func (al *allocator) settle(id uint32) {
	if !al.isDesc(id) || !al.isTakenDesc(id) {
		return
	}
	desc := al.descOff(id)
	info := descInfo(al.load64(desc + 8))
	if uint(info.class()) >= numClasses || info.claim() != 0 {
		return
	}
	left := al.word(desc).Load()
	room := bits.OnesCount64(^left)
	if (room >= info.reopensAt() || room > 0 && al.isTight(info.class())) && !al.hasRoom(id) {
		al.opened(info.class(), id)
	}
	if left == info.shape().emptyBits(info.part()) {
		al.emptied(info, id)
	}
}

// isTakenDesc reports whether a slot holds a descriptor.
//
// Preconditions: isDesc.
func (al *allocator) isTakenDesc(id uint32) bool {
	slot := uint64(id & 0xff)
	return al.load64(al.tablePage(tableDescs, uint64(id>>8))+descHeadTaken+slot>>6*8)>>(slot&63)&1 != 0
}

// reveal is called where there is no memory for a span of class c. It puts every
// descriptor with room into the index and makes the class tight: until one of its
// spans is given back (other than in an attempt) each free does so at once. It reports false, and has changed
// nothing, if none has room.
func (al *allocator) reveal(c int) bool {
	state := al.word(classState(c))
	if state.Load()&classTight != 0 {
		return false
	}
	state.Or(classTight) // before looking: who frees from now on settles it
	for page := range al.descPages.Load() {
		for slot := uint32(descHeadSlots); slot < 256; slot++ {
			id := uint32(page<<8) | slot
			if descInfo(al.load64(al.descOff(id)+8)).class() == c {
				al.settle(id)
			}
		}
	}
	if al.seek(c) {
		return true
	}
	state.And(^uint64(classTight))
	return false
}
