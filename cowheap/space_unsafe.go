package cowheap

import (
	"sync"
	"sync/atomic"
	"unsafe"

	"github.com/cowheap/cowheap/arena"
)

// backing is what the typed layer stands on: an arena, or in tests something
// simpler. All methods may be called from many goroutines.
type backing interface {
	Base() unsafe.Pointer
	High() uint64 // bytes [0, High) are in use; never less than before while Updates run
	Alloc(size, align uint64) (off uint64, err error)
	Free(off uint64) error
	SizeOf(off uint64) (uint64, error)
	Root() uint64
	SetRoot(off uint64)
	PrepareRead(off, n uint64) error
	Pin(off, n uint64) (unpin func(), err error)
}

// space is a heap's memory as typed data: what all Mems of the heap share. Call
// format or attach before anything else.
type space struct {
	arena  backing
	leaser *arena.Arena // arena, if it is one: then Mems have caches of the allocator
	frozen *atomic.Bool // leaser's, or one that is never set
	base   unsafe.Pointer
	size   uint64 // bytes of address space from base on
	gate   *gate
	mems   []Mem // by slot
	secrets

	pinMu  sync.Mutex // guards Mem.pinned
	walkMu sync.Mutex // guards walks
	// walks are the loops in Updates over trees whose keys hold text; walking is
	// how many.
	walks   []*treeWalk
	walking atomic.Int32
	rootMu  sync.Mutex // held while the directory of roots is walked or changed
	// known holds the roots that were compared already. Maps are not changed
	// once they are in here.
	known   atomic.Pointer[map[rootKey]uint64]
	profile profiler
	sites   siteTable // with the invariants tag only
}

// newSpace makes a space of the size bytes of address space that memory manages.
func newSpace(memory backing, size uint64) *space {
	s := &space{arena: memory, base: memory.Base(), size: size, gate: newGate()}
	s.frozen = new(atomic.Bool)
	if s.leaser, _ = memory.(*arena.Arena); s.leaser != nil {
		s.frozen = s.leaser.Frozen()
	}
	s.profile.rate = int64(ProfileRate)
	s.mems = make([]Mem, s.gate.slots())
	for i := range s.mems {
		s.mems[i] = s.newMem(i)
	}
	return s
}

func (s *space) newMem(slot int) Mem {
	return Mem{base: s.base, size: s.size, secrets: s.secrets, space: s, slot: slot, frozen: s.frozen, unsampled: s.profile.next()}
}

// setSeed makes the hash of map keys that of seed.
//
// Preconditions: nobody is inside the gate.
func (s *space) setSeed(seed uint64) {
	s.secrets = newSecrets(seed)
	for i := range s.mems {
		s.mems[i].secrets = s.secrets
	}
}

// update runs fn as an Update. See Heap.Update.
func (s *space) update(fn func(m *Mem) error) error {
	m, err := s.enter(passUpdate)
	if err != nil {
		return err
	}
	defer s.leave(m) // also if fn panics
	return fn(m)
}

// view runs fn as a View. See Heap.View.
func (s *space) view(fn func(m *Mem) error) error {
	m, err := s.enter(passView)
	if err != nil {
		return err
	}
	defer s.leave(m)
	return fn(m)
}

func (s *space) enter(kind passage) (*Mem, error) {
	slot, err := s.gate.enter(kind)
	if err != nil {
		if invariants && err == ErrNested {
			err = s.nested()
		}
		return nil, err
	}
	if slot == spillSlot || invariants {
		m := s.newMem(slot)
		m.view = kind == passView
		if invariants {
			s.entered(&m)
		}
		return &m, nil
	}
	m := &s.mems[slot]
	m.view = kind == passView
	return m, nil
}

func (s *space) leave(m *Mem) {
	if invariants {
		s.left(m)
	}
	if m.pinned != nil {
		m.unpin()
	}
	if m.cache != nil {
		m.unlease()
	}
	s.gate.leave(m.slot)
}
