// The allocator.
//
// Words. A *page* is 4096 bytes; a *run* is pages one after the other. A *span*
// is a run cut into objects of one size class (class.go); larger objects are a
// run each. A *descriptor* is 16 bytes of metadata for up to 64 objects of a
// span. A *chunk* is 1024 pages, the unit of the page tables. *top* is the
// first page that was never given out, *high* the end of the last byte that was
// ever touched: the end of a fresh span is below top, but not yet below high.
//
// Where things are. The header is page 0 (alloc_header.go) and names the
// segments of five tables. Three are about pages: what begins on each page
// (chunk.go), which pages are taken, and how long the free runs are
// (chunk_runs.go). Two are about objects: the descriptors, packed together
// whatever their class (alloc_desc.go), and the index, which finds the lowest
// descriptor of a class that has room (alloc_index.go).
//
// Rules.
//
//  1. Everything that decides where the next object goes lies in the arena.
//     The Go struct holds the reservation's limits, copies of header words and
//     cursors, and reload makes them again from the header. So a rolled-back,
//     forked or restored arena goes on exactly where it was.
//  2. An object goes to the lowest descriptor of its class that the index knows to
//     have room (alloc_room.go), at the lowest place, or to the one that a cache has claimed; a run goes to the lowest address where it fits. Allocation
//     so fills the holes of a fragmented heap one neighbourhood after the
//     other, and its metadata with it: 252 descriptors share a page, which
//     stand for 16 MiB of 64 KiB spans. A snapshot pays for each page that is
//     written, so this is what matters here, more than an instruction less.
//     (Rejected: lists of spans with room, LIFO as in most allocators. Their
//     order is that of the frees, and after random frees each span allocated
//     from has its metadata on another page.)
//  3. Objects hold no metadata, so that a free touches none of their pages:
//     bitmaps, no free lists through the objects.
//  4. Memory from top on was never touched and is zero. A span remembers how
//     far its objects were ever given out, and only below that are objects
//     cleared when they are allocated.
//  5. What can fail happens before what cannot be undone. Words written while
//     a span or a run is made are recorded with their old values
//     (alloc_journal.go) and put back when memory runs out half-way.
//  6. An emptied span goes back to the page tables, but each class keeps one,
//     the lowest, so that one object allocated and freed in turn does not make
//     and unmake a span each time. When the arena is full these are taken back
//     before ErrFull is returned, and so is what idle caches have claimed.
//
// One mutex guards it all, but for what caches do without it: see cache.go. find and
// clearObject may run beside anything.

package arena

import (
	"errors"
	"math/bits"
	"sync"
	"sync/atomic"
)

// allocator gives out the bytes of one arena by offset. All methods may be
// called by many goroutines at once, except for format and attach, which go
// first or, for attach, while nobody else calls anything.
type allocator struct {
	memory
	limit  uint64                  // bytes; a multiple of the page size
	ensure func(high uint64) error // makes [0, high) accessible
	used   atomic.Uint64           // copy of headHigh, for high without mu

	// Copies of header words, so that a stray write to these leads nowhere. They
	// are written under mu, and read without it by find.
	top        atomic.Uint64
	chunks     atomic.Uint64
	descPages  atomic.Uint64
	descSpace  atomic.Uint64
	cacheTable atomic.Uint64
	segments   [numTables][maxSegments]atomic.Uint64 // less the pages before the segment: see tablePage

	epoch  atomic.Uint64 // grows with each reload
	caches [numCaches]Cache

	mu sync.Mutex
	// Guarded by mu: what can be found out anew.
	cursors [numIndexed]cursor
	journal journal
	inside  *Cache // whose user has mu
	seized  []*Cache
}

// extents are the copies that an attempt may change.
type extents struct{ top, chunks, descPages, descSpace, cacheTable uint64 }

func (al *allocator) extents() extents {
	return extents{al.top.Load(), al.chunks.Load(), al.descPages.Load(), al.descSpace.Load(), al.cacheTable.Load()}
}

func (al *allocator) setExtents(e extents) {
	al.top.Store(e.top)
	al.chunks.Store(e.chunks)
	al.descPages.Store(e.descPages)
	al.descSpace.Store(e.descSpace)
	al.cacheTable.Store(e.cacheTable)
}

// format makes a fresh arena: the reservation holds zeros.
func (al *allocator) format() error {
	al.mu.Lock()
	defer al.mu.Unlock()
	if al.limit < firstTop*runPageSize {
		return ErrFull
	}
	if err := al.ensure(firstTop * runPageSize); err != nil {
		return err
	}
	al.store64(headMagic, allocMagic)
	al.store64(headVersion, allocVersion)
	al.store64(headHigh, firstTop*runPageSize)
	al.store64(headTop, firstTop)
	al.store64(headChunks, 1)
	al.store64(headDescPages, 1)
	al.store64(headDescSpace, 1)
	for t := range numTables {
		al.store64(segmentOff(t, 0), uint64(1+t)<<runPageShift)
	}
	al.reload()
	al.markRun(0, firstTop)
	al.initDescPage(0)
	return nil
}

// attach takes over an arena that was restored or rolled back. It is
// ErrCorrupt if the header is not that of an arena that fits here; what lies
// behind it is not read (check does).
func (al *allocator) attach() error {
	al.mu.Lock()
	defer al.mu.Unlock()
	if al.limit < firstTop*runPageSize {
		return ErrFull
	}
	if err := al.ensure(runPageSize); err != nil {
		return err
	}
	var err error
	al.checkHeader(func(off uint64, format string, args ...any) {
		if err == nil {
			err = corruptAt(off, format, args...)
		}
	})
	if err != nil {
		return err
	}
	if err := al.ensure(al.load64(headHigh)); err != nil {
		return err
	}
	al.reload()
	return nil
}

// alloc returns the offset of size zeroed bytes at a multiple of align, a power
// of two of at most a page (0: 16). Size 0 gets an object too. ErrFull changes
// nothing.
func (al *allocator) alloc(size, align uint64) (uint64, error) {
	if align > runPageSize || align&(align-1) != 0 {
		return 0, &AlignError{align}
	}
	if size > maxSmall {
		return al.allocRun(size, nil)
	}
	var c int
	if align <= minAlign {
		c = classOfSize(size)
	} else {
		c = classFor(size, align)
	}
	al.mu.Lock()
	off, stale, err := al.allocObject(c)
	al.mu.Unlock()
	if stale {
		// Nobody else knows of the object yet: no need to hold mu.
		al.clearStale(off, uint64(classSizes[c]))
	}
	return off, err
}

// allocObject takes an object of class c. stale: it was in use before.
func (al *allocator) allocObject(c int) (off uint64, stale bool, err error) {
	if err := al.findRoom(c); err != nil {
		return 0, false, err
	}
	cur := &al.cursors[c]
	d := cur.desc
	taken, info := al.word(d).Load(), descInfo(al.load64(d+8))
	place := uint64(bits.TrailingZeros64(^taken))
	if place == 64 || info.class() != c || info.claim() != 0 {
		return 0, false, corruptAt(d, "descriptor %#x has no room for class %d", cur.id, c)
	}
	size := uint64(classSizes[c])
	off = info.start() + (info.part()*64+place)*size
	if off+size > al.used.Load() {
		if err := al.raise(off + size); err != nil {
			return 0, false, err
		}
	}
	if stale = place < info.stale(); !stale {
		al.store64(d+8, uint64(info.withStale(place+1)))
	}
	taken = al.word(d).Or(1<<place) | 1<<place
	al.occupied(c, cur.id-uint32(info.part()))
	al.store64(headBytes, al.load64(headBytes)+size)
	al.store64(headObjects, al.load64(headObjects)+1)
	if taken == ^uint64(0) {
		al.filled(c)
	}
	return off, stale, nil
}

// findRoom puts the cursor of class c on a descriptor with room, of a new span
// if there is none.
func (al *allocator) findRoom(c int) error {
	if al.cursors[c].desc != 0 || al.seek(c) {
		return nil
	}
	return al.makeRoom(c)
}

// makeRoom is findRoom where none is known of.
func (al *allocator) makeRoom(c int) error {
	err := al.addSpan(c)
	if errors.Is(err, ErrFull) && al.reveal(c) {
		return nil
	}
	return err
}

// free gives back what alloc returned. Anything else is a *FreeError and
// changes nothing.
func (al *allocator) free(off uint64) error {
	al.mu.Lock()
	defer al.mu.Unlock()
	o, err := al.find(off)
	if err != nil {
		return err
	}
	if o.desc != 0 {
		var settle bool
		if settle, err = al.clearObject(off, o); settle {
			al.settle(o.id)
		}
	} else {
		err = al.releaseRun(off>>runPageShift, o.size>>runPageShift)
	}
	if err == nil {
		al.store64(headBytes, al.load64(headBytes)-o.size)
		al.store64(headObjects, al.load64(headObjects)-1)
	}
	return err
}

// clearObject takes an object of a span out of its descriptor, with or without mu,
// and reports whether settle must be called for this, under mu.
func (al *allocator) clearObject(off uint64, o object) (settle bool, err error) {
	w, bit := al.word(o.desc), uint64(1)<<o.place
	var left uint64
	for {
		was := w.Load()
		if was&bit == 0 {
			return false, &FreeError{off, FreeNotAllocated} // somebody else was faster
		}
		if left = was &^ bit; w.CompareAndSwap(was, left) {
			break
		}
	}
	switch room := bits.OnesCount64(^left); {
	case left == o.info.shape().emptyBits(o.info.part()), room == o.info.reopensAt():
	case room == 1 && al.isTight(o.info.class()):
	default:
		return false, nil
	}
	// Only now: whoever drops a claim looks at the word afterwards.
	return descInfo(al.word(o.desc+8).Load()).claim() == 0, nil
}

// sizeOf returns the bytes usable at off: what was asked for, rounded up to the
// size class or to whole pages. *FreeError as free.
func (al *allocator) sizeOf(off uint64) (uint64, error) {
	o, err := al.find(off)
	return o.size, err
}

// high returns the end of the used part: a multiple of the page size that only
// grows. Everything from there on is zero.
func (al *allocator) high() uint64 { return al.used.Load() }

// root returns the word that setRoot left, 0 at first.
func (al *allocator) root() uint64 {
	al.mu.Lock()
	defer al.mu.Unlock()
	return al.load64(headRoot)
}

func (al *allocator) setRoot(word uint64) {
	al.mu.Lock()
	defer al.mu.Unlock()
	al.store64(headRoot, word)
}

// inUse returns how many objects are allocated and the sum of their sizeOf.
func (al *allocator) inUse() (bytes, objects uint64) {
	al.mu.Lock()
	defer al.mu.Unlock()
	bytes, objects = al.counted()
	if int64(bytes|objects) < 0 {
		return 0, 0 // read while something was allocated here and freed there
	}
	return bytes, objects
}

// counted is the sum of what was counted with the lock and in each cache.
//
// Preconditions: mu is held.
func (al *allocator) counted() (bytes, objects uint64) {
	bytes, objects = al.load64(headBytes), al.load64(headObjects)
	for i := range al.caches {
		bytes += al.word(al.caches[i].counts + countBytes).Load()
		objects += al.word(al.caches[i].counts + countObjects).Load()
	}
	return bytes, objects
}

// raise makes sure that [0, end) is accessible and counted as used.
func (al *allocator) raise(end uint64) error {
	if end <= al.used.Load() {
		return nil
	}
	if end > al.top.Load()<<runPageShift {
		return corruptAt(end, "an object ends beyond the %d pages given out", al.top.Load())
	}
	// A span may reach beyond the limit if the arena was made with a higher one.
	end = (end + runPageSize - 1) &^ (runPageSize - 1)
	if end > al.limit {
		return ErrFull
	}
	if err := al.ensure(end); err != nil {
		return err
	}
	al.put64(headHigh, end)
	al.used.Store(end)
	return nil
}
