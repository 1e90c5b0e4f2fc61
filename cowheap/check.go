package cowheap

import (
	"errors"
	"fmt"
	"iter"

	"github.com/cowheap/cowheap/arena"
)

// InvariantError is one thing that is wrong with what a heap holds, as Check finds
// it: a stray write, a container that was copied, a reference that outlived what it
// referred to, or damage to the file it was restored from. It is an ErrCorrupt.
type InvariantError struct {
	Root string // its name
	// Path leads to the place, as in a FieldError. Where a type leads to itself it
	// is the shortest way to one like it: List.Head-> stands for every node.
	Path string
	Off  uint64 // of what is wrong, in bytes from the beginning of the arena
	What string
}

func (e *InvariantError) Error() string {
	return fmt.Sprintf("%v: root %q: %s at %#x: %s", ErrCorrupt, e.Root, e.Path, e.Off, e.What)
}

// Unwrap returns ErrCorrupt.
func (e *InvariantError) Unwrap() error { return ErrCorrupt }

// Check yields every violated invariant: of the allocator (*arena.InvariantError),
// of the directory of roots, and of all that is reached from the roots
// (*InvariantError): references that lead to freed memory, out of the heap or into
// the middle of something, memory with two owners, containers whose counts, shape,
// order, hashes or unused room are not what they should be. A healthy heap yields
// nothing. Damage is reported, never followed. It ends when the consumer stops.
//
// The roots are walked by the layouts that the heap holds, so also those that this
// program has not opened. For two things the layout alone is not enough: the order of
// a BTreeFunc is checked if the program has opened the root, and so are Maps and
// trees whose entries hold an array of length 0, the alignment of which is not
// recorded.
//
// Updates are held off from the beginning to the end of the loop, which takes about
// 0.2 us for an allocation or an entry (BenchmarkCheck). To check a heap that must go on being
// written, check a fork of a snapshot. Inside the loop the heap's gated methods answer
// ErrNested. Check takes some 50 bytes of Go memory an allocation, and 24 for each Ref that
// waits to be looked at: all of a Vec of Refs at once. What a
// lazy restore has not brought in comes in. Errors: ErrNested, ErrClosed.
func (h *Heap) Check() iter.Seq[error] {
	return func(yield func(error) bool) {
		if _, err := h.sp.gate.close(gateNoUpdates); err != nil {
			if errors.Is(err, ErrNested) {
				err = h.sp.nested()
			}
			yield(err)
			return
		}
		defer h.sp.gate.open()
		// Inside, so that what the consumer calls answers ErrNested, and does not wait
		// for the end of the loop that it is in.
		err := h.sp.view(func(m *Mem) error {
			for err := range h.a.Check() {
				if !yield(err) {
					return nil
				}
			}
			c := checker{m: m, yield: yield, claims: map[uint64]claim{}}
			c.heap()
			return nil
		})
		if err != nil {
			yield(err)
		}
	}
}

// checker is one walk over a heap.
//
// Everything that is read lies in an allocation that was claimed for it: offsets
// and counts are compared with the allocator's before they are followed. An
// allocation is claimed once, so that the walk comes to an end whatever it finds.
type checker struct {
	m       *Mem
	yield   func(error) bool
	stopped bool

	claims map[uint64]claim // by offset
	places []*place
	rest   *place // stands for places beyond maxPlaces

	owned []found // to be looked at: what containers hold, where they nest deep
	refs  []found // and Refs
	depth int
	bad   []bool // slots of a table, or entries of a node, whose key cannot be read
}

// claim is what an allocation was found to be: the number of the place that it belongs
// to or is referred to from.
type claim uint32

const (
	claimRef  claim = 1 << 31 // a Ref leads there, and it belongs to nobody
	claimRoot claim = 1 << 30 // a Ref may lead there, too
	claimMask       = claimRoot - 1
)

// found is a row of values to be looked at.
type found struct {
	off, n uint64
	at     *place // of each
}

// maxCheckDepth is how deep containers in containers are looked at by recursion.
const maxCheckDepth = 100

// heap walks over everything.
func (c *checker) heap() {
	s := c.m.space
	s.rootMu.Lock()
	defer s.rootMu.Unlock()
	if high := s.arena.High(); s.arena.Root() != 0 && s.arena.Root() <= high {
		c.claims[s.arena.Root()] = c.newPlace(&place{label: "superblock", root: &rootWalk{}}).owner()
	}
	var walks []*place
	for r := range s.directory(c.say) {
		if c.stopped {
			return
		}
		w := &rootWalk{name: r.name}
		at := c.newPlace(&place{root: w, label: "root record"})
		c.claim(r.off, recordHead+uint64(len(r.name)), at, "the record")
		c.claim(r.layoutOff, r.layoutLen, at, "the layout")
		l, err := r.layout(s.live())
		if err != nil {
			c.say(err)
			continue
		}
		w.use(l, s.openedAs(r.name, l))
		at = c.newPlace(&place{root: w, label: w.title(), typ: 0})
		if c.claim(r.target, uint64(l[0].Size), at, "the value") {
			c.claims[r.target] |= claimRoot
			at.off = r.target
			walks = append(walks, at)
		}
	}
	// Roots first: a Ref to one is none to nobody's memory.
	for _, at := range walks {
		c.value(at.root, 0, at.off, at)
	}
	c.later()
}

// later looks at what waits: first at what is owned, so that a Ref that leads to what
// a container has is found where the Ref is.
func (c *checker) later() {
	for !c.stopped {
		switch {
		case len(c.owned) > 0:
			f := c.owned[len(c.owned)-1]
			c.owned = c.owned[:len(c.owned)-1]
			c.row(f)
		case len(c.refs) > 0:
			f := c.refs[len(c.refs)-1]
			c.refs = c.refs[:len(c.refs)-1]
			c.ref(f.off, f.at)
		default:
			return
		}
	}
}

// row looks at a row of values.
func (c *checker) row(f found) {
	w := f.at.root
	size := uint64(w.types[f.at.typ].Size)
	for i := uint64(0); i < f.n && !c.stopped; i++ {
		c.value(w, f.at.typ, f.off+i*size, f.at)
	}
}

// inside looks at a row of values that a container holds, now or, where containers
// nest deep, later.
func (c *checker) inside(off, n uint64, at *place) {
	if !at.root.types[at.typ].walks {
		return
	}
	if c.depth >= maxCheckDepth {
		c.owned = append(c.owned, found{off, n, at})
		return
	}
	c.depth++
	c.row(found{off, n, at})
	c.depth--
}

// say yields an error unless the consumer has stopped.
func (c *checker) say(err error) bool {
	c.stopped = c.stopped || !c.yield(err)
	return !c.stopped
}

// report says what is wrong at offset off.
func (c *checker) report(at *place, off uint64, format string, args ...any) {
	if !c.stopped {
		c.say(&InvariantError{Root: at.root.name, Path: at.path(), Off: off, What: at.kind() + fmt.Sprintf(format, args...)})
	}
}

// allocated returns what is wrong with n bytes at off as an allocation: "" if
// nothing is.
func (c *checker) allocated(off, n uint64) string {
	size, err := c.m.space.arena.SizeOf(off)
	if err != nil {
		where := err.Error()
		if e, ok := errors.AsType[*arena.FreeError](err); ok {
			switch e.Reason {
			case arena.FreeNotAllocated:
				where = "memory that was freed, or never allocated"
			case arena.FreeInterior:
				where = "the middle of an allocation, or between two"
			case arena.FreeMetadata:
				where = "the allocator's own memory"
			case arena.FreeBeyond:
				where = fmt.Sprintf("out of the heap of %#x bytes", c.m.space.arena.High())
			}
		}
		return fmt.Sprintf("offset %#x leads to %s", off, where)
	}
	if size < n {
		return fmt.Sprintf("%d bytes at offset %#x, where %d are allocated", n, off, size)
	}
	if high := c.m.space.arena.High(); off > high || n > high-off {
		return fmt.Sprintf("%d bytes at offset %#x end behind the heap of %#x bytes", n, off, high)
	}
	return ""
}

// claim makes the allocation of n bytes at off belong to a place. It reports why
// that cannot be, and returns false then.
func (c *checker) claim(off, n uint64, at *place, what string) bool {
	if wrong := c.allocated(off, n); wrong != "" {
		c.report(at, off, "%s: %s", what, wrong)
		return false
	}
	if had, ok := c.claims[off]; ok {
		other := c.places[had&claimMask]
		verb := "belongs to"
		if had&claimRef != 0 {
			verb = "is referred to, as if it were nobody's, from"
		}
		c.report(at, off, "%s: has two owners: the memory at %#x %s root %q: %s too", what, off, verb, other.root.name, other.path())
		return false
	}
	c.claims[off] = at.owner()
	return true
}

// zeros reports whether n bytes at off are zero. Room that is not in use is, so
// that a heap's bytes depend on what was done last, not on what was there before.
func (c *checker) zeros(off, n uint64) bool {
	b := c.m.bytes(off, n)
	for len(b) > 0 && len(b)%32 != 0 {
		if b[len(b)-1] != 0 {
			return false
		}
		b = b[:len(b)-1]
	}
	return isZero(b)
}
