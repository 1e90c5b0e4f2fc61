package cowheap

import (
	"fmt"
	"sync/atomic"
	"unsafe"

	"github.com/cowheap/cowheap/arena"
)

// Mem is the way to a heap's memory from inside Update or View, and valid until
// the function that it was passed to returns.
//
// Goroutines that the function waits for may use it too: to read, to write
// through pointers that they share out among themselves, and one at a time to
// Alloc, to Free and to change containers.
type Mem struct {
	base    unsafe.Pointer // of the arena's reservation
	size    uint64         // bytes of the reservation
	secrets                // of the hash of map keys

	space  *space
	slot   int  // in the gate
	view   bool // inside View: nothing may be changed
	gone   bool // the function has returned; set with the invariants tag only
	origin memOrigin

	frozen    *atomic.Bool // whether to touch what is written, see arena.Arena.Frozen
	unsampled int64        // bytes to allocate before one is sampled for the profile
	pinned    []func()     // what PrepareWrite has pinned, to be undone on leaving
	cache     *arena.Cache // leased by the first Alloc or Free, until leaving; nil: none

	_ memPadding // up to two cache lines: the neighbours belong to other processors
}

// at is the address of offset off.
//
// Preconditions: off was handed out by the arena, so it is below m.size.
func (m *Mem) at(off uint64) unsafe.Pointer {
	if invariants {
		m.mustOwn(off, "a container")
	}
	return unsafe.Add(m.base, off)
}

// bytes are the n bytes from offset off on.
//
// Preconditions: they belong to one allocation.
func (m *Mem) bytes(off, n uint64) []byte {
	return unsafe.Slice((*byte)(m.at(off)), n)
}

// text is the n bytes from offset off on as a string, without a copy.
//
// Preconditions: they belong to one allocation and do not change while the
// string is used.
func (m *Mem) text(off, n uint64) string {
	return unsafe.String((*byte)(m.at(off)), n)
}

// holds reports whether p points into m's reservation.
func (m *Mem) holds(p unsafe.Pointer) bool {
	return uint64(uintptr(p))-uint64(uintptr(m.base)) < m.size
}

// alloc allocates zeroed memory.
func (m *Mem) alloc(size, align uint64) (off uint64, err error) {
	if invariants {
		m.mustBeInside()
	}
	if m.view {
		return 0, ErrReadOnly
	}
	if m.cache != nil || m.lease() {
		off, err = m.cache.Alloc(size, align)
	} else {
		off, err = m.space.arena.Alloc(size, align)
	}
	if invariants && err == nil {
		m.space.sites.allocated(off, size)
	}
	if m.unsampled -= int64(size); m.unsampled < 0 && err == nil {
		m.sampled(off, size)
	}
	return off, err
}

// extend makes the allocation at off at least size bytes long where it is, if it can.
func (m *Mem) extend(off, size uint64) bool {
	if off == 0 || m.space.leaser == nil || !m.space.leaser.Extend(off, size) {
		return false
	}
	if invariants {
		m.space.sites.extended(off, size)
	}
	return true
}

// free frees what was allocated at off.
//
// Preconditions: m comes from an Update.
func (m *Mem) free(off uint64) error {
	if invariants {
		m.space.freeing(off)
	}
	m.space.profile.freeing(off)
	if m.cache == nil && !m.lease() {
		return m.space.arena.Free(off)
	}
	return m.cache.Free(off)
}

// lease gets m a cache of the allocator: by its slot, so that one Update at a time
// always has the same one.
func (m *Mem) lease() bool {
	if m.space.leaser == nil || m.slot == spillSlot {
		return false
	}
	m.cache = m.space.leaser.Lease(m.slot)
	return m.cache != nil
}

// unlease gives the cache back.
func (m *Mem) unlease() {
	m.cache.Release()
	m.cache = nil
}

// release frees what a container or a root holds. That fails only if somebody
// freed it behind the container's back or wrote over it, and then every further
// step makes it worse.
func (m *Mem) release(off uint64) {
	if err := m.free(off); err != nil {
		panic(fmt.Sprintf("cowheap: memory of a container is damaged, or was freed through a stale Ref: %v", err))
	}
}

// mustChange panics unless m may change the container at p, which is to say
// that p is in m's heap and m comes from Update. op names the method.
func (m *Mem) mustChange(p unsafe.Pointer, op string) {
	if m.view {
		panic("cowheap: " + op + " inside View: use Update")
	}
	m.mustHold(p, op)
}

// mustHold panics unless p is in m's heap.
func (m *Mem) mustHold(p unsafe.Pointer, op string) {
	if !m.holds(p) {
		foreignReceiver(op)
	}
	if invariants {
		m.mustBeInside()
		m.mustLive(p, op)
	}
}

// foreignReceiver is apart so that mustHold stays small where it is inlined.
//
//go:noinline
func foreignReceiver(op string) {
	panic("cowheap: " + op + " of a container that is not in this Mem's heap: containers live in the heap's memory, where Alloc and Root put them, and must not be copied")
}
