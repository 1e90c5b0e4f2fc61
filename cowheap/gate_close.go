package cowheap

import (
	"runtime"
	"sync/atomic"
	"time"

	"github.com/cowheap/cowheap/internal/gid"
)

// spins is how often a closer looks at a slot before it parks: about a
// microsecond, as long as a short Update takes. To be woken takes longer.
const spins = 1000

// close holds up those whom state does not admit, waits until the last of them
// is out, and returns how long that took. Then the caller owns the gate and must
// call open, or shut. Closers come one after another, in the order of a mutex.
//
// It fails with ErrNested, at once, if the calling goroutine is inside: it would
// wait for itself. And with ErrClosed after shut.
//
// Preconditions: state is gateNoUpdates or gateNobody.
func (g *gate) close(state gateState) (waited time.Duration, err error) {
	if id := gid.Current(); g.inside(id, g.home(id)) {
		return 0, ErrNested
	}
	g.closers.Lock()
	select {
	case <-g.left: // a waking that was meant for the closer before
	default:
	}

	g.mu.Lock()
	if gateState(g.state.Load()) == gateShut {
		g.mu.Unlock()
		g.closers.Unlock()
		return 0, ErrClosed
	}
	if g.owed > 0 {
		g.state.Store(uint32(state | gateOwing))
		for g.owed > 0 {
			g.settled.Wait()
		}
	}
	g.state.Store(uint32(state))
	g.mu.Unlock()

	began := time.Now()
	g.drain(state)
	return time.Since(began), nil
}

// open lets everybody in again.
//
// Preconditions: the caller has closed the gate.
func (g *gate) open() {
	g.reopen(gateOpen)
}

// shut is open for the last time: from now on everybody gets ErrClosed.
//
// Preconditions: the caller has closed the gate, with gateNobody.
func (g *gate) shut() {
	g.reopen(gateShut)
}

func (g *gate) reopen(state gateState) {
	g.mu.Lock()
	if state == gateOpen {
		g.owed += g.waiting
	}
	g.state.Store(uint32(state))
	g.waiting = 0
	g.openings++
	g.opened.Broadcast()
	g.mu.Unlock()
	g.closers.Unlock()
}

// drain waits until nobody is inside whom state does not admit. One pass is
// enough: a slot that was seen free after the state was written may be taken
// again, but only by an entrant that will see the state and step back.
func (g *gate) drain(state gateState) {
	g.drainSlot(&g.first, state)
	for w := range g.windows {
		for i := range g.windows[w].slots {
			g.drainSlot(&g.windows[w].slots[i], state)
		}
	}
	for g.spillHolds(state) {
		<-g.left
	}
}

func (g *gate) drainSlot(slot *atomic.Uintptr, state gateState) {
	holds := func() bool {
		word := slot.Load()
		return word != 0 && !state.admits(passage(word&1), false)
	}
	if !holds() {
		return
	}
	if runtime.NumCPU() > 1 {
		for range spins {
			if !holds() {
				return
			}
		}
	}
	for holds() {
		<-g.left
	}
}

func (g *gate) spillHolds(state gateState) bool {
	if g.spilled.Load() == 0 {
		return false
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, word := range g.spill {
		if !state.admits(passage(word&1), false) {
			return true
		}
	}
	return false
}

// wake has the closer look again.
func (g *gate) wake() {
	select {
	case g.left <- struct{}{}:
	default: // it has not received the last waking yet
	}
}
