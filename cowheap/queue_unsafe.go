package cowheap

import (
	"iter"
	"unsafe"
)

// Queue is a row of T that grows at one end, shrinks at the other (first in,
// first out), and lives in a heap. The zero Queue is empty. It must not be copied,
// and its methods panic unless it is in the heap of the Mem that they are given.
//
// Many goroutines may read a Queue at once; a goroutine that changes it must be
// alone with it. Two that are there at once panic, if they are found.
//
// Push and Pop take constant time, Push amortized: a ring that is full is copied to one
// of twice the size. The room is kept, up to 4 KiB when the Queue becomes empty, else
// until Clear.
type Queue[T any] struct {
	_ noCopy
	_ [0]*T // Queue[A] does not convert to Queue[B]
	queueHeader
}

// queueHeader is a Queue without its type.
type queueHeader struct {
	off  uint64 // of the ring; 0 where there is none
	room uint64 // elements that fit in the ring: a power of two
	// first is how many elements were taken out so far. Element i, counted from
	// the front, is at first + i, modulo room, of the ring.
	first uint64
	n     uint64 // elements
	flag  writerFlag
	_     uint32
}

const (
	queueName = "Queue"
	// keptRing is the largest ring that an empty Queue keeps, in bytes.
	keptRing = 4096
	// leastRing is about the size of the smallest ring, in bytes.
	leastRing = 128
)

// Push adds v at the back. Strings in it belong to the Queue from then on. It
// fails with ErrFull, and with ErrReadOnly inside View; then nothing has been
// changed.
//
// It panics if v holds a container other than String that is not empty, which
// would be a copy: use Slot and fill it in the heap.
func (q *Queue[T]) Push(m *Mem, v T) error {
	m.mustHold(unsafe.Pointer(q), "Queue.Push")
	if m.view {
		return ErrReadOnly
	}
	ti := typeInfoOf[T]()
	if ti.fixed {
		ti.mustBeEmpty(unsafe.Pointer(&v), "Queue.Push")
	}
	q.flag.begin(queueName)
	p, err := q.push(m, ti)
	if err == nil {
		*(*T)(p) = v
		ti.clearGaps(p)
	}
	q.flag.end(queueName)
	return err
}

// Slot adds a zero T at the back and returns it, to be filled in. The pointer is
// valid until the Update that m belongs to returns, or the Queue is changed by a
// method. It fails as Push does.
func (q *Queue[T]) Slot(m *Mem) (*T, error) {
	m.mustHold(unsafe.Pointer(q), "Queue.Slot")
	if m.view {
		return nil, ErrReadOnly
	}
	q.flag.begin(queueName)
	p, err := q.push(m, typeInfoOf[T]())
	q.flag.end(queueName)
	return (*T)(p), err
}

// Pop takes the element at the front out and returns it, and whether there was
// one. What containers in it hold is freed: in the T that is returned they are
// empty. Peek at it before. Pop panics inside View.
func (q *Queue[T]) Pop(m *Mem) (v T, ok bool) {
	m.mustChange(unsafe.Pointer(q), "Queue.Pop")
	if q.n == 0 {
		q.flag.check(queueName)
		return v, false
	}
	ti := typeInfoOf[T]()
	q.flag.begin(queueName)
	p := q.at(m, ti, q.first)
	v = *(*T)(p)
	ti.forgetOwned(unsafe.Pointer(&v))
	m.freeOwned(ti, p)
	m.touch(p, ti.size)
	clear(unsafe.Slice((*byte)(p), ti.size))
	q.first++
	q.n--
	if q.n == 0 && q.room*ti.size > keptRing {
		m.release(q.off)
		q.off, q.room = 0, 0
	}
	q.flag.end(queueName)
	return v, true
}

// Peek returns a pointer to the element at the front, and nil if there is none. It
// is valid until the Update or View that m belongs to returns, or the Queue is
// changed by a method.
func (q *Queue[T]) Peek(m *Mem) *T {
	m.mustHold(unsafe.Pointer(q), "Queue.Peek")
	q.flag.check(queueName)
	if q.n == 0 {
		return nil
	}
	return (*T)(q.at(m, typeInfoOf[T](), q.first))
}

// Len returns the number of elements.
func (q *Queue[T]) Len() int { return int(q.n) }

// Clear takes everything out and frees the memory, with what containers in the
// elements hold. It panics inside View.
func (q *Queue[T]) Clear(m *Mem) {
	m.mustChange(unsafe.Pointer(q), "Queue.Clear")
	q.flag.begin(queueName)
	q.free(m, typeInfoOf[T]())
	q.off, q.room, q.first, q.n = 0, 0, q.first+q.n, 0
	q.flag.end(queueName)
}

// All goes through the elements from front to back. The Queue may be changed
// meanwhile: elements that are pushed are produced, those that are popped before
// the loop gets to them are not.
func (q *Queue[T]) All(m *Mem) iter.Seq[*T] {
	return func(yield func(*T) bool) {
		m.mustHold(unsafe.Pointer(q), "Queue.All")
		ti := typeInfoOf[T]()
		q.flag.check(queueName)
		for i := q.first; i < q.first+q.n; {
			if !yield((*T)(q.at(m, ti, i))) {
				return
			}
			q.flag.check(queueName)
			i = max(i+1, q.first)
		}
	}
}

// at is the address of the element with number i, counted from the first that
// ever was.
func (q *queueHeader) at(m *Mem, ti *typeInfo, i uint64) unsafe.Pointer {
	if ti.size == 0 {
		return m.at(0) // any address does
	}
	return m.at(q.off + i&(q.room-1)*ti.size)
}

// push adds an element of zeros.
func (q *queueHeader) push(m *Mem, ti *typeInfo) (unsafe.Pointer, error) {
	if q.n == q.room && ti.size > 0 {
		if err := q.grow(m, ti); err != nil {
			return nil, err
		}
	}
	p := q.at(m, ti, q.first+q.n)
	m.touch(p, ti.size)
	q.n++
	return p, nil
}

// grow moves a full ring to one of twice the size.
func (q *queueHeader) grow(m *Mem, ti *typeInfo) error {
	room := max(2*q.room, 1)
	for room*ti.size < leastRing {
		room *= 2
	}
	off, err := m.alloc(room*ti.size, ti.align)
	if err != nil {
		return err
	}
	for i := q.first; i < q.first+q.n; { // in two runs at most, or four
		run := min(q.first+q.n-i, q.room-i&(q.room-1), room-i&(room-1))
		moveBytes(m.at(off+i&(room-1)*ti.size), q.at(m, ti, i), run*ti.size)
		i += run
	}
	if q.off != 0 {
		m.release(q.off)
	}
	q.off, q.room = off, room
	return nil
}

// free frees everything and leaves the header as it is.
func (q *queueHeader) free(m *Mem, ti *typeInfo) {
	if ti.owned != nil {
		for i := range q.n {
			m.freeOwned(ti, q.at(m, ti, q.first+i))
		}
	}
	if q.off != 0 {
		m.release(q.off)
	}
}

// asQueue is the Queue at p.
//
// Preconditions: there is one.
func asQueue(p unsafe.Pointer) *queueHeader { return (*queueHeader)(p) }
