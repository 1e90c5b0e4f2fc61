//go:build invariants

package cowheap

import (
	"errors"
	"fmt"
	"reflect"
	"sync"
	"unsafe"

	"github.com/cowheap/cowheap/arena"
)

// siteTable knows where memory was allocated and freed. It begins empty with every
// heap, also a restored one or a fork, and is emptied by a rollback: of what it does not know it
// says only whether that is allocated and large enough.
type siteTable struct {
	inside insiders

	mu    sync.Mutex
	sites map[uint64]*site // by offset
	// The last allocation that something was found in, until something is freed.
	start, end uint64
	// differ holds pairs of types whose values are, or are not, the same.
	differ map[[2]*typeInfo]bool
}

// site is what is known of one allocation.
type site struct {
	typ          *typeInfo // of Alloc; nil: what a container has, or a root
	size         uint64
	isRoot       bool
	alloc, freed stack // freed is zero while it is allocated
	before       *site // what was there before
}

// poison is what freed memory is full of. As an offset it leads out of every heap.
const poison = 0xdb

// poisoned is a word of poison.
const poisoned = 0xdbdbdbdbdbdbdbdb

// allocated notes an allocation.
func (t *siteTable) allocated(off, size uint64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.sites == nil {
		t.sites = make(map[uint64]*site)
	}
	before := t.sites[off]
	if before != nil {
		before.before = nil
	}
	t.sites[off] = &site{size: size, alloc: here(), before: before}
}

// extended notes that an allocation has grown where it is.
func (t *siteTable) extended(off, size uint64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.end = 0
	if s := t.sites[off]; s != nil {
		s.size = size
	}
}

// typed notes that an allocation is one of Alloc.
func (t *siteTable) typed(off uint64, ti *typeInfo) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if s := t.sites[off]; s != nil {
		s.typ, s.alloc = ti, here()
	}
}

// root notes that an allocation is a root, which programs open by types that agree.
func (t *siteTable) root(off uint64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if s := t.sites[off]; s != nil {
		s.isRoot, s.alloc = true, here()
	}
}

// forget is called when memory was put back.
func (t *siteTable) forget() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.sites, t.end = nil, 0
}

// freeing notes that an allocation is about to be freed, and poisons it.
// The allocator clears what it gives out again.
func (s *space) freeing(off uint64) {
	size, err := s.arena.SizeOf(off)
	if err != nil {
		return // Free says so
	}
	b := unsafe.Slice((*byte)(unsafe.Add(s.base, off)), size)
	for i := range b {
		b[i] = poison
	}
	t := &s.sites
	t.mu.Lock()
	defer t.mu.Unlock()
	t.end = 0
	if t.sites == nil {
		t.sites = make(map[uint64]*site)
	}
	was := t.sites[off]
	if was == nil {
		was = &site{}
		t.sites[off] = was
	}
	was.size, was.freed = size, here()
}

// story says what is known of an offset, after a colon.
func (t *siteTable) story(off uint64) string {
	t.mu.Lock()
	defer t.mu.Unlock()
	// Allocations begin at multiples of 16.
	for start, steps := off&^15, 0; start > 0 && steps < 1<<16; start, steps = start-16, steps+1 {
		s := t.sites[start]
		if s == nil || off-start >= max(s.size, 16) {
			continue
		}
		if s.freed == (stack{}) && s.before != nil {
			return fmt.Sprintf(": %s is there now, where %s was", s, s.before)
		}
		return ": " + s.String()
	}
	return ""
}

func (s *site) String() string {
	what := "memory of a container"
	switch {
	case s.isRoot:
		what = "a root"
	case s.typ != nil:
		what = "a " + s.typ.typ.String()
	}
	what += fmt.Sprintf(", allocated at %v", s.alloc)
	if s.freed != (stack{}) {
		what += fmt.Sprintf(" and freed at %v", s.freed)
	}
	return what
}

// mustRefer panics unless there is a T at off, as far as is known.
func (m *Mem) mustRefer(off uint64, of func() *typeInfo) {
	m.mustBeInside()
	ti, sites := of(), &m.space.sites
	bad := func(why string) {
		panic(fmt.Sprintf("cowheap: Ref.Ptr of a %v at offset %#x: %s%s", ti.typ, off, why, sites.story(off)))
	}
	if off == poisoned {
		bad("the Ref was read from memory that was freed")
	}
	if high := m.space.arena.High(); off >= high || ti.size > high-off {
		bad(fmt.Sprintf("a Ref of another heap, or damaged: %#x bytes are in use here", high))
	}
	size, err := m.space.arena.SizeOf(off)
	if err != nil {
		bad(whyFreed(err))
	}
	sites.mu.Lock()
	s := sites.sites[off]
	wrong := s != nil && !s.isRoot && s.freed == (stack{}) && s.typ != ti && (s.typ == nil || sites.differs(s.typ, ti))
	sites.mu.Unlock()
	switch {
	case wrong:
		bad("something else is there")
	case size < ti.size:
		bad(fmt.Sprintf("%d bytes are allocated there, it has %d", size, ti.size))
	}
}

// differs reports whether two types may not stand for each other. Types that were
// recorded alike may: of a root that is opened by two of them.
//
// Preconditions: mu is held.
func (t *siteTable) differs(a, b *typeInfo) bool {
	if d, ok := t.differ[[2]*typeInfo{a, b}]; ok {
		return d
	}
	alike := func(x, y reflect.Type) bool {
		differences, _ := compareLayouts(layoutOf(x), layoutOf(y), "")
		return len(differences) == 0
	}
	d := !alike(a.typ, b.typ) && !alike(b.typ, a.typ)
	if t.differ == nil {
		t.differ = make(map[[2]*typeInfo]bool)
	}
	t.differ[[2]*typeInfo{a, b}] = d
	return d
}

// holder is an arena; the memory that some tests use instead is not.
type holder interface {
	Holding(off uint64) (start, size uint64, err error)
}

// notLive returns why nothing is allocated that holds off, and nil if something is.
func (s *space) notLive(off uint64) error {
	h, ok := s.arena.(holder)
	if !ok {
		return nil
	}
	t := &s.sites
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.start <= off && off < t.end {
		return nil
	}
	start, size, err := h.Holding(off)
	if err == nil {
		t.start, t.end = start, start+size
	}
	return err
}

// mustOwn panics if off, in or at the end of what a container has, was freed behind
// the container's back.
func (m *Mem) mustOwn(off uint64, what string) {
	if off == 0 {
		return // of nothing
	}
	if off == poisoned {
		panic("cowheap: " + what + " lies in memory that was freed")
	}
	if err := m.space.notLive(off); err != nil && m.space.notLive(off-1) != nil {
		panic(fmt.Sprintf("cowheap: %s refers to offset %#x: %s%s", what, off, whyFreed(err), m.space.sites.story(off)))
	}
}

// mustLive panics if p lies in memory that was freed.
//
// Preconditions: p lies in the heap.
func (m *Mem) mustLive(p unsafe.Pointer, op string) {
	off := uint64(uintptr(p)) - uint64(uintptr(m.base))
	if err := m.space.notLive(off); err != nil {
		panic(fmt.Sprintf("cowheap: %s of a container at offset %#x: %s%s", op, off, whyFreed(err), m.space.sites.story(off)))
	}
}

// whyFreed says what the allocator has answered.
func whyFreed(err error) string {
	if e, ok := errors.AsType[*arena.FreeError](err); ok {
		switch e.Reason {
		case arena.FreeNotAllocated:
			return "the memory was freed"
		case arena.FreeInterior:
			return "this is no beginning of an allocation"
		}
		return "offset " + e.Reason.String()
	}
	return err.Error()
}
