package cowheap

import (
	"math/bits"
	"runtime"
	"sync"
	"sync/atomic"

	"github.com/cowheap/cowheap/internal/gid"
)

// The gate lets Updates and Views in, many at once, and lets a closer wait until
// the Updates, or both, are out. Entering must cost little on one processor and
// must not become dearer with the number of processors, so there is no counter
// that everybody changes: whoever comes in writes its goroutine's identity into
// a slot of its own.
//
// Words. A *slot* is one word: 0, or the identity of the goroutine inside, with
// the kind of its passage in the lowest bit. A *window* is a cache line of eight
// slots. A goroutine's identity hashes to its *home* window.
//
//  1. An Update takes slot 0 if that is free, else a slot in its home window; a
//     View takes one in its home window. So one Update at a time always has
//     slot 0, whoever runs it, and what is cached by slot stays deterministic.
//  2. Where the home window is full the goroutine goes to the *spill*, a map under
//     a mutex. So nobody ever waits for a slot, and Updates that wait for one
//     another's locks cannot starve each other of slots.
//  3. A goroutine that is inside is in slot 0, in its home window or in the spill.
//     Looking there finds nesting at the price of one or two cache lines.
//  4. Entering is: write the slot, then read the state. Closing is: write the
//     state, then read the slots. Both by sequentially consistent atomics, so at
//     least one sees the other (Dekker): either the entrant sees the gate closed
//     and steps back, or the closer sees the slot taken and waits for it.
//  5. Leaving is: clear the slot, then read the state, and wake the closer if
//     there is one. The closer reads the slot again after every waking, and a
//     waking is kept until it is received. So none is lost.
//  6. Whoever was held up when the gate opens is *owed* an entry: the next closer
//     first lets those in, and only those, and then closes. So closers one after
//     another cannot keep anybody out, and cost one entry each at most.
//
// (A sync.RWMutex fails on 1, a cache line that all readers write, and on 3: a
// nested RLock with a writer waiting hangs.)
type gate struct {
	_ [64]byte // what every entrant reads lies apart from what some write

	state   atomic.Uint32 // a gateState; written by closers only
	shift   uint8         // 64 - log2(len(windows))
	spilled atomic.Int32  // len(spill)
	windows []window
	_       [64]byte

	first atomic.Uintptr // slot 0
	_     [64]byte

	closers sync.Mutex    // held from close to open: one closer at a time
	left    chan struct{} // of capacity 1: somebody left, look again

	mu       sync.Mutex
	spill    map[uintptr]uintptr // identity -> slot word
	waiting  int                 // held up until the gate opens
	owed     int                 // were held up until the gate opened and are not yet inside
	openings uint64              // times the gate has opened, or was shut
	opened   sync.Cond           // openings has grown
	settled  sync.Cond           // owed is 0
}

// window is eight slots in one cache line of a 64-bit processor.
type window struct {
	slots [windowSlots]atomic.Uintptr
}

const windowSlots = 8

// passage is a kind of entrant.
type passage uintptr

const (
	passUpdate passage = 0
	passView   passage = 1
)

// gateState says who may come in. The order matters: a state holds up whoever
// the states below it hold up.
type gateState uint32

const (
	gateOpen      gateState = iota
	gateNoUpdates           // Views may come in: a snapshot is being taken
	gateNobody              // neither
	gateShut                // neither, and for good

	// gateOwing is added while a closer lets in those who are owed an entry.
	gateOwing gateState = 0x80
)

func (s gateState) admits(kind passage, owed bool) bool {
	return s == gateOpen || s&gateOwing != 0 && owed || s&^gateOwing == gateNoUpdates && kind == passView
}

// spillSlot stands for the spill where a slot's number is expected.
const spillSlot = -1

func newGate() *gate {
	// Twice as many windows as processors, so that two goroutines that run at
	// the same time seldom share one.
	n := bits.Len(uint(min(max(2*runtime.GOMAXPROCS(0), 8), 128) - 1))
	g := &gate{
		windows: make([]window, 1<<n),
		shift:   uint8(64 - n),
		left:    make(chan struct{}, 1),
		spill:   make(map[uintptr]uintptr),
	}
	g.opened.L = &g.mu
	g.settled.L = &g.mu
	return g
}

// slots is how many slots there are: enter returns a number below it, or
// spillSlot.
func (g *gate) slots() int { return 1 + windowSlots*len(g.windows) }

// enter lets the calling goroutine in, at once or when the gate opens, and
// returns the number of its slot. It fails with ErrNested if the goroutine is
// inside already, also when the gate is closed, and with ErrClosed after shut.
// The caller must call leave from the same goroutine.
func (g *gate) enter(kind passage) (slot int, err error) {
	id := gid.Current()
	home := g.home(id)
	if g.inside(id, home) {
		return 0, ErrNested
	}
	owed := false
	for {
		slot := g.claim(id, home, kind)
		state := gateState(g.state.Load())
		if state.admits(kind, owed) {
			if owed {
				g.settle()
			}
			return slot, nil
		}
		g.leave(slot)
		if state == gateShut {
			return 0, ErrClosed
		}
		owed = g.await(kind)
	}
}

// leave gives back the slot that enter returned.
func (g *gate) leave(slot int) {
	switch {
	case slot == 0:
		g.first.Store(0)
	case slot > 0:
		g.windows[(slot-1)/windowSlots].slots[(slot-1)%windowSlots].Store(0)
	default:
		g.mu.Lock()
		delete(g.spill, gid.Current())
		g.spilled.Store(int32(len(g.spill)))
		g.mu.Unlock()
	}
	if g.state.Load() != uint32(gateOpen) {
		g.wake()
	}
}

// home is the number of the window that id hashes to.
func (g *gate) home(id uintptr) int {
	return int(uint64(id) * 0x9e3779b97f4a7c15 >> g.shift)
}

// inside reports whether goroutine id is inside. Only id itself may ask: what
// others write meanwhile is never its own identity.
func (g *gate) inside(id uintptr, home int) bool {
	if g.first.Load() == id {
		return true
	}
	w := &g.windows[home]
	for i := range w.slots {
		if w.slots[i].Load()&^1 == id {
			return true
		}
	}
	if g.spilled.Load() == 0 {
		return false
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.spill[id] != 0
}

// claim takes a slot, whatever the gate's state.
func (g *gate) claim(id uintptr, home int, kind passage) (slot int) {
	if kind == passUpdate && g.first.Load() == 0 && g.first.CompareAndSwap(0, id) {
		return 0
	}
	w := &g.windows[home]
	for i := range w.slots {
		s := &w.slots[i]
		if s.Load() == 0 && s.CompareAndSwap(0, id|uintptr(kind)) {
			return 1 + home*windowSlots + i
		}
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.spill[id] = id | uintptr(kind)
	g.spilled.Store(int32(len(g.spill)))
	return spillSlot
}

// await waits until the gate opens. It reports whether the caller is owed an
// entry now, and must call settle when it is inside.
func (g *gate) await(kind passage) (owed bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	state := gateState(g.state.Load())
	if state.admits(kind, false) || state == gateShut {
		return false
	}
	g.waiting++
	for now := g.openings; now == g.openings; {
		g.opened.Wait()
	}
	return gateState(g.state.Load()) != gateShut
}

// settle tells the closer that somebody who was owed an entry is inside now.
func (g *gate) settle() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.owed--; g.owed == 0 {
		g.settled.Signal()
	}
}
