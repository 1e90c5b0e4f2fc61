// Caches: allocation without the lock.
//
// A *cache* has claimed, for each class that it was asked for, one descriptor: up
// to 64 places in one neighbourhood. Its user takes places in there by one
// atomic instruction, without the allocator's lock, which is taken when
// none is left. There are 24 caches, whatever the machine. Each is used by one
// goroutine at a time, which leases it; whoever finds none free goes by the lock.
//
// Rules, on top of those in alloc.go.
//
//  1. What a cache has claimed is recorded in the arena: in the descriptor itself,
//     and in the table of caches. So a snapshot needs nothing of the caches, at any
//     instant at which nobody allocates; and a rolled-back, forked or restored
//     arena goes on in the same descriptors. The Go struct holds copies, which the
//     next lease after a reload drops.
//  2. Who leases cache 0 each time leaves the same bytes behind on every machine.
//     The other caches go to whom they go, as addresses do when several allocate at
//     once.
//  3. The bits of a claimed descriptor are set by the cache's user alone, those of any
//     other descriptor under the lock. Anybody may clear a bit, at any
//     time: so bits change by atomic instructions only.
//  4. The second word of a claimed descriptor is written by the cache's user alone.
//     To claim, and to drop a claim, takes the lock as well.
//  5. A claimed descriptor is not in the index, as if it were full, and its span is
//     not given back, as if it were not empty. Nobody needs the lock to free in it.
//  6. Whoever frees clears the bit first and looks for a claim then; whoever drops a
//     claim writes that first and looks at the bits then. So one of them sees that the
//     descriptor has room again (Dekker), and settles that under the lock.
//  7. A full descriptor stays claimed until another place is wanted: until then
//     some may have been freed.
//  8. The figures of what is in use are kept by cache, since a word that all
//     processors write to costs more than all of the rest. Only their sum means
//     anything: what one cache allocates another one frees.
//  9. Where memory runs out claims are dropped, but for those of caches that
//     somebody else is using at that moment.
//
// (Rejected: magazines of free objects, as Bonwick has them. An object in one would
// be neither free nor allocated, in Go memory that no snapshot holds. Rejected as well:
// an arena of spans for each processor. Bytes would depend on the scheduler.)

package arena

import (
	"errors"
	"math/bits"
	"sync/atomic"
)

const (
	numCaches  = 24
	cacheSize  = 320 // bytes in the table, cache lines of its own: [numClasses]u32: id of the claimed descriptor, 0: none
	cacheEnd   = numClasses * 4
	cachePages = (numCaches*cacheSize + runPageSize - 1) / runPageSize

	// What is counted is in the header, a cache line each: how much is in use is known of a
	// lazily restored arena without bringing anything in.
	countSize    = 64
	countBytes   = 0 // of what was allocated here less what was freed here
	countObjects = 8

	_ = uint(cacheSize - cacheEnd)
	_ = uint(62 - numCaches) // descInfo has 6 bits for it
)

// Cache allocates and frees like the Arena that it belongs to, and faster, for one
// goroutine at a time. See Arena.Lease.
type Cache struct {
	_      [64]byte // the neighbours are other processors'
	leased atomic.Bool

	al    *allocator
	arena *Arena
	n     int

	// The user's own, less what a lease finds out of date.
	epoch  uint64
	words  uint64 // offset in the table; 0: there is none yet
	counts uint64 // offset in the header
	claims *[numClasses]claim
	_      [64]byte
}

// claim is the copy of a claimed descriptor.
type claim struct {
	desc  uint64 // offset; 0: none, as far as is known here
	start uint64 // offset of the first of its objects
	id    uint32
	stale uint32
}

// Lease gives out a cache for one goroutine, which allocates and frees by it until
// Release. Leases that are taken one after the other with the same n give the same cache, and who
// uses cache 0 alone leaves the same bytes behind on every machine. It is nil
// where those for n are in use: then allocate and free by the Arena.
//
// Snapshots, Rollback, Check and Trim belong to moments at which nobody has one.
func (a *Arena) Lease(n int) *Cache {
	c := a.al.lease(n)
	if c != nil {
		c.arena = a
	}
	return c
}

func (al *allocator) lease(n int) *Cache {
	if n == 0 {
		return al.caches[0].lease()
	}
	const tries = 4
	for i := range tries {
		if c := al.caches[1+(n-1+i)%(numCaches-1)].lease(); c != nil {
			return c
		}
	}
	return nil
}

func (c *Cache) lease() *Cache {
	if c.leased.Load() || !c.leased.CompareAndSwap(false, true) {
		return nil
	}
	if epoch := c.al.epoch.Load(); c.epoch != epoch || c.words == 0 {
		c.forget()
		c.epoch = epoch
	}
	return c
}

// Release ends a lease.
func (c *Cache) Release() { c.leased.Store(false) }

// forget drops what is known of the arena.
func (c *Cache) forget() {
	if c.claims == nil {
		c.claims = new([numClasses]claim)
	}
	clear(c.claims[:])
	c.words = 0
	if table := c.al.cacheTable.Load(); table != 0 {
		c.words = table + uint64(c.n)*cacheSize
	}
}

// Alloc is Arena.Alloc.
func (c *Cache) Alloc(size, align uint64) (off uint64, err error) {
	if c.arena.closed.Load() {
		return 0, ErrClosed
	}
	return c.alloc(size, align)
}

// Free is Arena.Free.
func (c *Cache) Free(off uint64) error {
	if c.arena.closed.Load() {
		return ErrClosed
	}
	return c.free(off)
}

func (c *Cache) alloc(size, align uint64) (uint64, error) {
	al := c.al
	if align > runPageSize || align&(align-1) != 0 {
		return 0, &AlignError{align}
	}
	if size > maxSmall {
		return al.allocRun(size, c)
	}
	var class int
	if align <= minAlign {
		class = classOfSize(size)
	} else {
		class = classFor(size, align)
	}
	cl := &c.claims[class]
	for {
		if cl.desc != 0 {
			taken := al.word(cl.desc)
			if place := uint64(bits.TrailingZeros64(^taken.Load())); place < 64 {
				return c.take(cl, taken, place, uint64(classSizes[class]))
			}
		}
		if c.words == 0 && !c.makeTable() {
			return al.alloc(size, align)
		}
		if err := c.refill(class); err != nil {
			return 0, err
		}
	}
}

// take allocates a free place of a claimed descriptor.
func (c *Cache) take(cl *claim, taken *atomic.Uint64, place, size uint64) (uint64, error) {
	al := c.al
	off := cl.start + place*size
	if off+size > al.used.Load() {
		al.mu.Lock()
		err := al.raise(off + size)
		al.mu.Unlock()
		if err != nil {
			return 0, err
		}
	}
	taken.Or(1 << place)
	c.count(size, 1)
	if place < uint64(cl.stale) {
		al.clearStale(off, size)
		return off, nil
	}
	cl.stale = uint32(place + 1)
	info := al.word(cl.desc + 8)
	info.Store(uint64(descInfo(info.Load()).withStale(place + 1)))
	return off, nil
}

func (c *Cache) count(bytes, objects uint64) {
	al := c.al
	al.store64(c.counts+countBytes, al.load64(c.counts+countBytes)+bytes)
	al.store64(c.counts+countObjects, al.load64(c.counts+countObjects)+objects)
}

func (c *Cache) free(off uint64) error {
	al := c.al
	if c.words == 0 {
		return al.free(off)
	}
	o, err := al.find(off)
	if err != nil {
		return err
	}
	if o.desc == 0 {
		return al.free(off)
	}
	settle, err := al.clearObject(off, o)
	if err != nil {
		return err
	}
	c.count(-o.size, ^uint64(0))
	if settle {
		al.mu.Lock()
		al.settle(o.id)
		al.mu.Unlock()
	}
	return nil
}

// refill claims the lowest descriptor of a class with room, in place of the one that is full.
func (c *Cache) refill(class int) error {
	al := c.al
	al.mu.Lock()
	defer al.mu.Unlock()
	al.inside = c
	defer func() { al.inside = nil }()
	at := claimAt(c.words, class)
	if c.claims[class].desc == 0 {
		// Perhaps there is one, and it is not known here.
		if id := al.load32(at); id != 0 && al.claimedBy(id, class) == c.n {
			c.adopt(class, id)
			return nil
		}
	}
	id, err := c.findRoom(class)
	if err != nil {
		return err
	}
	desc := al.descOff(id)
	info := descInfo(al.load64(desc + 8))
	if info.class() != class || info.claim() != 0 {
		return corruptAt(desc, "descriptor %#x cannot be claimed for class %d: %#x", id, class, uint64(info))
	}
	old := al.load32(at) // findRoom may have dropped it
	al.closed(class, id)
	al.occupied(class, id-uint32(info.part()))
	al.word(desc + 8).Store(uint64(info.withClaim(uint64(c.n) + 1)))
	al.put32(at, id)
	c.adopt(class, id)
	if old != 0 && al.claimedBy(old, class) == c.n {
		al.unclaim(old)
	}
	return nil
}

// findRoom returns a descriptor of a class with room: the lowest, unless that has a
// place in a cache line with what another cache has claimed, or had. Two processors
// that write to one line wait for each other each time.
func (c *Cache) findRoom(class int) (id uint32, err error) {
	al := c.al
	if cur := &al.cursors[class]; cur.desc != 0 || al.seek(class) {
		if id, ok := c.choose(class); ok {
			return id, nil
		}
		if err := al.addSpan(class); err == nil {
			id, *cur = cur.id, cursor{} // there are lower ones with room
			return id, nil
		} else if !errors.Is(err, ErrFull) {
			return 0, err
		}
	}
	if err := al.findRoom(class); err != nil {
		return 0, err
	}
	return al.cursors[class].id, nil
}

// choose looks at the lowest descriptors of a class with room. The first that was this
// cache's before, or nobody's, is the best; the next best is the first that has no part
// in a line with what another cache has claimed.
//
// Preconditions: the cursor is on the lowest.
func (c *Cache) choose(class int) (id uint32, ok bool) {
	const most = numCaches
	al := c.al
	at := al.cursors[class]
	for range most {
		if home := descInfo(al.load64(at.desc + 8)).home(); home == 0 || home == uint64(c.n)+1 {
			return at.id, true
		}
		if !ok && !al.isShared(at.desc, c.n) {
			id, ok = at.id, true
		}
		next, more := al.after(class, at.id)
		if !more {
			break
		}
		at = next
	}
	return id, ok
}

// after returns the next descriptor of class c with room.
func (al *allocator) after(c int, id uint32) (cursor, bool) {
	page, slot := uint64(id>>8), uint64(id&0xff)+1
	for {
		if slot < 256 {
			if id, desc, ok := al.roomIn(c, page, slot); ok {
				return cursor{id, desc}, true
			}
		}
		var ok bool
		if page, ok = al.nextPage(c, page+1); !ok {
			return cursor{}, false
		}
		slot = 0
	}
}

// isShared reports whether a cache other than n has claimed a descriptor in the cache
// line of one.
func (al *allocator) isShared(desc uint64, n int) bool {
	return al.inLine(desc, func(info descInfo) bool {
		return info.claim() != 0 && info.claim() != uint64(n)+1
	})
}

// isForeign reports whether one in its line was claimed by another cache at last.
func (al *allocator) isForeign(desc uint64, n int) bool {
	return al.inLine(desc, func(info descInfo) bool {
		return info.home() != 0 && info.home() != uint64(n)+1
	})
}

func (al *allocator) inLine(desc uint64, is func(descInfo) bool) bool {
	for at := desc &^ 63; at < desc&^63+64; at += descSize { // the head of a page is a line of its own
		if is(descInfo(al.load64(at + 8))) {
			return true
		}
	}
	return false
}

// adopt makes the copy of a claim.
func (c *Cache) adopt(class int, id uint32) {
	desc := c.al.descOff(id)
	info := descInfo(c.al.load64(desc + 8))
	c.claims[class] = claim{
		desc:  desc,
		start: info.start() + info.part()*64*uint64(classSizes[class]),
		id:    id,
		stale: uint32(info.stale()),
	}
}

// claimAt returns the offset of the word that names what the cache with that part of the
// table has claimed for a class.
func claimAt(words uint64, class int) uint64 { return words + uint64(class)*4 }

// claimedBy returns the number of the cache that has claimed id, a descriptor of
// a class; -1 if that is not so, whatever id is.
func (al *allocator) claimedBy(id uint32, class int) int {
	if !al.isDesc(id) || !al.isTakenDesc(id) {
		return -1
	}
	if info := descInfo(al.load64(al.descOff(id) + 8)); info.class() == class {
		return int(info.claim()) - 1
	}
	return -1
}

// unclaim drops a claim on descriptor id.
func (al *allocator) unclaim(id uint32) {
	at := al.descOff(id) + 8
	info := descInfo(al.load64(at)).withClaim(0)
	if al.journal.recording {
		al.put64(at, uint64(info))
	}
	al.word(at).Store(uint64(info))
	al.settle(id) // looks at the bits only now: rule 6
}

// makeTable makes the table of caches. It reports false if there is no room.
func (c *Cache) makeTable() bool {
	al := c.al
	al.mu.Lock()
	defer al.mu.Unlock()
	if al.cacheTable.Load() == 0 {
		err := al.attempt(func() error {
			page, fresh, err := al.takeRun(cachePages)
			if err != nil {
				return err
			}
			if err := al.raise((page + cachePages) << runPageShift); err != nil {
				return err
			}
			if page < fresh {
				al.clearStale(page<<runPageShift, (min(fresh, page+cachePages)-page)<<runPageShift)
			}
			al.put64(headCaches, page<<runPageShift)
			al.put64(headVersion, allocVersion)
			al.cacheTable.Store(page << runPageShift)
			return nil
		})
		if err != nil {
			return false
		}
	}
	c.words = al.cacheTable.Load() + uint64(c.n)*cacheSize
	return true
}

// seizeCaches leases the caches that nobody uses, for releaseClaims, until release is
// called.
//
// Preconditions: mu is held.
func (al *allocator) seizeCaches() (release func()) {
	for i := range al.caches {
		if c := &al.caches[i]; c.leased.CompareAndSwap(false, true) {
			al.seized = append(al.seized, c)
		}
	}
	return func() {
		for _, c := range al.seized {
			c.epoch = 0 // the next lease looks anew
			c.Release()
		}
		al.seized = al.seized[:0]
		if al.inside != nil {
			al.inside.forget()
		}
	}
}

// releaseClaims drops what seized caches have claimed, and the one that is inside.
func (al *allocator) releaseClaims() {
	table := al.cacheTable.Load()
	if table == 0 {
		return
	}
	release := func(c *Cache) {
		for class := range numClasses {
			at := claimAt(table+uint64(c.n)*cacheSize, class)
			if id := al.load32(at); id != 0 && al.claimedBy(id, class) == c.n {
				al.put32(at, 0)
				al.unclaim(id)
			}
		}
	}
	for _, c := range al.seized {
		release(c)
	}
	if al.inside != nil {
		release(al.inside)
	}
}
