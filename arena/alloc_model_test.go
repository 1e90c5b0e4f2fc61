package arena

import (
	"bytes"
	"errors"
	"testing"

	"pgregory.net/rapid"
)

// modelAllocator drives an allocator and its twin with the same operations,
// next to a plain model of what should be allocated. The twin is from time to
// time replaced by one that is attached to a copy of the bytes.
type modelAllocator struct {
	t     *rapid.T
	main  *testAllocator
	twin  *testAllocator
	live  []modelObject
	freed []uint64
	saved *modelSave
	fill  byte
	// caches that are used now
	caches []int
}

type modelObject struct {
	off, size uint64 // size as sizeOf says
	fill      byte
}

// modelSave is a state to roll back to.
type modelSave struct {
	image []byte
	live  []modelObject
	freed []uint64
}

const modelLimit = 12 << 20

func (m *modelAllocator) size() uint64 {
	return rapid.OneOf(
		rapid.Uint64Range(0, 200),
		rapid.Uint64Range(0, 200),
		rapid.Uint64Range(0, maxSmall),
		rapid.Custom(func(t *rapid.T) uint64 {
			return uint64(classSizes[rapid.IntRange(0, numClasses-1).Draw(t, "class")])
		}),
		rapid.Uint64Range(maxSmall, 300<<10),
		rapid.Uint64Range(2<<20, 6<<20),
	).Draw(m.t, "size")
}

// by is the cache that the next operation goes by.
func (m *modelAllocator) by() int { return rapid.SampledFrom(m.caches).Draw(m.t, "by") }

// choose changes which caches are drawn from.
func (m *modelAllocator) choose(t *rapid.T) {
	m.caches = rapid.SampledFrom([][]int{{0}, {noCache}, {noCache, 0}, {0, 1, 2}, {noCache, 0, 5, numCaches - 1}}).Draw(t, "caches")
}

func (m *modelAllocator) alloc(t *rapid.T) {
	m.t = t
	size := m.size()
	align := uint64(0)
	if size <= maxSmall && rapid.IntRange(0, 3).Draw(t, "aligned") == 0 {
		align = 1 << rapid.IntRange(0, 12).Draw(t, "align")
	}
	for range rapid.SampledFrom([]int{1, 1, 1, 10, 100}).Draw(t, "times") {
		if m.fill++; m.fill == 0 {
			m.fill++
		}
		by := m.by()
		off, err := m.main.allocBy(by, size, align)
		if errors.Is(err, ErrFull) {
			if !m.main.equal(m.twin) {
				t.Fatalf("alloc(%d, %d) was ErrFull, and changed something", size, align)
			}
		} else if err != nil {
			t.Fatalf("alloc(%d, %d): %v", size, align, err)
		}
		if off2, err2 := m.twin.allocBy(by, size, align); off2 != off || !errors.Is(err2, err) {
			t.Fatalf("alloc(%d, %d): %#x %v, and %#x %v in the twin", size, align, off, err, off2, err2)
		}
		if err != nil {
			return
		}
		m.add(off, size, align)
	}
}

// add checks a new object and fills it.
func (m *modelAllocator) add(off, size, align uint64) {
	if off == 0 || off%max(align, minAlign) != 0 {
		m.t.Fatalf("alloc(%d, %d) at %#x", size, align, off)
	}
	room, err := m.main.sizeOf(off)
	if err != nil || room < size || off+room > m.main.high() {
		m.t.Fatalf("alloc(%d, %d) at %#x: sizeOf is %d, %v; high %#x", size, align, off, room, err, m.main.high())
	}
	for _, o := range m.live {
		if off < o.off+o.size && o.off < off+room {
			m.t.Fatalf("alloc(%d, %d) at %#x lies over %d bytes at %#x", size, align, off, o.size, o.off)
		}
	}
	o := modelObject{off, room, m.fill}
	for _, ta := range []*testAllocator{m.main, m.twin} {
		b := ta.mapping.Bytes(off, room)
		if i := notZero(b); i >= 0 {
			m.t.Fatalf("alloc(%d, %d) at %#x: byte %d is not zero", size, align, off, i)
		}
		b[0], b[len(b)-1] = o.fill, o.fill
		if len(b) <= maxSmall {
			for i := range b {
				b[i] = o.fill
			}
		}
	}
	m.live = append(m.live, o)
}

func (m *modelAllocator) checkFill(o modelObject) {
	b := m.main.mapping.Bytes(o.off, o.size)
	if o.size > maxSmall {
		if b[0] != o.fill || b[len(b)-1] != o.fill {
			m.t.Fatalf("%d bytes at %#x were written over", o.size, o.off)
		}
	} else if n := bytes.Count(b, []byte{o.fill}); n != len(b) {
		m.t.Fatalf("%d bytes at %#x: %d were written over", o.size, o.off, len(b)-n)
	}
}

func (m *modelAllocator) freeAt(i int) {
	o := m.live[i]
	m.checkFill(o)
	by := m.by()
	for _, ta := range []*testAllocator{m.main, m.twin} {
		if err := ta.freeBy(by, o.off); err != nil {
			m.t.Fatalf("free(%#x) of %d bytes: %v", o.off, o.size, err)
		}
	}
	m.live[i] = m.live[len(m.live)-1]
	m.live = m.live[:len(m.live)-1]
	m.freed = append(m.freed, o.off)
}

func (m *modelAllocator) free(t *rapid.T) {
	m.t = t
	for range rapid.SampledFrom([]int{1, 10, 100, 1000}).Draw(t, "times") {
		if len(m.live) == 0 {
			return
		}
		m.freeAt(rapid.IntRange(0, len(m.live)-1).Draw(t, "which"))
	}
}

func (m *modelAllocator) freeAll(t *rapid.T) {
	m.t = t
	for len(m.live) > 0 {
		m.freeAt(len(m.live) - 1)
	}
}

// extend makes an object longer, in place, or leaves it as it is.
func (m *modelAllocator) extend(t *rapid.T) {
	m.t = t
	if len(m.live) == 0 {
		return
	}
	o := &m.live[rapid.IntRange(0, len(m.live)-1).Draw(t, "which")]
	for i := range m.live { // seldom one of the few that are runs
		if m.live[i].size > maxSmall && o.size <= maxSmall {
			o = &m.live[i]
		}
	}
	m.checkFill(*o)
	size := o.size + rapid.Uint64Range(1, 100<<10).Draw(t, "by")
	before := m.main.image(t)
	grown := m.main.extend(o.off, size)
	if m.twin.extend(o.off, size) != grown {
		t.Fatalf("extend(%#x, %d) is %v, and not in the twin", o.off, size, grown)
	}
	room, err := m.main.sizeOf(o.off)
	if err != nil || grown && room < size || !grown && (room != o.size || !bytes.Equal(before, m.main.image(t))) {
		t.Fatalf("extend(%#x, %d) from %d is %v: sizeOf is %d, %v", o.off, size, o.size, grown, room, err)
	}
	for _, ta := range []*testAllocator{m.main, m.twin} {
		b := ta.mapping.Bytes(o.off, room)
		if i := notZero(b[o.size:]); i >= 0 {
			t.Fatalf("extend(%#x, %d): byte %d of what was added is not zero", o.off, size, i)
		}
		b[room-1] = o.fill
	}
	for _, other := range m.live {
		if other.off != o.off && o.off < other.off+other.size && other.off < o.off+room {
			t.Fatalf("extend(%#x, %d) lies over %d bytes at %#x", o.off, size, other.size, other.off)
		}
	}
	o.size = room
}

// freeWrong frees what is not the beginning of an allocation.
func (m *modelAllocator) freeWrong(t *rapid.T) {
	m.t = t
	var off uint64
	switch kind := rapid.IntRange(0, 2).Draw(t, "kind"); {
	case kind == 0 && len(m.live) > 0:
		o := m.live[rapid.IntRange(0, len(m.live)-1).Draw(t, "in")]
		off = o.off + rapid.Uint64Range(1, o.size-1).Draw(t, "by")
	case kind == 1 && len(m.freed) > 0:
		off = m.freed[rapid.IntRange(0, len(m.freed)-1).Draw(t, "again")]
	default:
		off = rapid.Uint64Range(0, modelLimit+100).Draw(t, "off")
	}
	for _, o := range m.live {
		if o.off == off {
			return
		}
	}
	before := m.main.image(t)
	var want *FreeError
	if err := m.main.freeBy(m.by(), off); !errors.As(err, &want) || want.Off != off {
		t.Fatalf("free(%#x): %v", off, err)
	}
	if _, err := m.main.sizeOf(off); !errors.As(err, &want) || want.Off != off {
		t.Fatalf("sizeOf(%#x): %v", off, err)
	}
	if !bytes.Equal(before, m.main.image(t)) {
		t.Fatalf("free(%#x) failed, and changed something", off)
	}
}

// move lets the twin go on from a copy of the bytes, at another address.
func (m *modelAllocator) move(t *rapid.T) {
	m.t = t
	twin, err := restore(t, m.main.image(t), modelLimit)
	if err != nil {
		t.Fatal(err)
	}
	m.twin.unmap()
	m.twin = twin
}

func (m *modelAllocator) setRoot(t *rapid.T) {
	word := rapid.Uint64().Draw(t, "root")
	m.main.setRoot(word)
	m.twin.setRoot(word)
	if m.main.root() != word {
		t.Fatalf("root is %#x, not %#x", m.main.root(), word)
	}
}

func (m *modelAllocator) save(t *rapid.T) {
	m.saved = &modelSave{m.main.image(t), append([]modelObject(nil), m.live...), append([]uint64(nil), m.freed...)}
}

// rollback puts the saved bytes back, zeros beyond, as an arena does.
func (m *modelAllocator) rollback(t *rapid.T) {
	if m.saved == nil {
		return
	}
	for _, ta := range []*testAllocator{m.main, m.twin} {
		b := ta.mapping.Bytes(0, ta.committed)
		clear(b[copy(b, m.saved.image):])
		if err := ta.attach(); err != nil {
			t.Fatal(err)
		}
	}
	m.live = append([]modelObject(nil), m.saved.live...)
	m.freed = append([]uint64(nil), m.saved.freed...)
}

func (m *modelAllocator) check(t *rapid.T) {
	wantClean(t, m.main)
	var sum uint64
	for _, o := range m.live {
		sum += o.size
	}
	if b, n := m.main.inUse(); b != sum || n != uint64(len(m.live)) {
		t.Fatalf("in use: %d bytes in %d objects, should be %d in %d", b, n, sum, len(m.live))
	}
	if !m.main.equal(m.twin) {
		t.Fatal("the same operations left other bytes in the twin")
	}
}

func TestAllocatorAgainstModel(t *testing.T) {
	reserved(t, modelLimit).unmap() // skips where there is no memory to test on
	rapid.Check(t, func(t *rapid.T) {
		m := &modelAllocator{t: t, caches: []int{0, noCache}, main: reserved(t, modelLimit), twin: reserved(t, modelLimit)}
		defer func() {
			m.main.unmap()
			m.twin.unmap()
		}()
		if err := errors.Join(m.main.format(), m.twin.format()); err != nil {
			t.Fatal(err)
		}
		t.Repeat(map[string]func(*rapid.T){
			"alloc":     m.alloc,
			"allocMore": m.alloc,
			"free":      m.free,
			"freeAll":   m.freeAll,
			"extend":    m.extend,
			"freeWrong": m.freeWrong,
			"move":      m.move,
			"choose":    m.choose,
			"setRoot":   m.setRoot,
			"save":      m.save,
			"rollback":  m.rollback,
			"":          m.check,
		})
		m.t = t
		for _, o := range m.live {
			m.checkFill(o)
		}
	})
}
