package replica

import (
	"sync/atomic"

	"github.com/cowheap/cowheap/cowheap"
)

// generation is a heap between two replacements, and how many use it.
type generation struct {
	*cowheap.Heap
	users atomic.Int64  // and one for being the newest; 0: nobody will use it again
	empty chan struct{} // closed then
}

func newGeneration(h *cowheap.Heap) *generation {
	g := &generation{Heap: h, empty: make(chan struct{})}
	g.users.Store(1)
	return g
}

// enter counts somebody, unless all have left. Whoever enters calls leave, and looks in between
// whether it still is the newest.
func (g *generation) enter() bool {
	for {
		n := g.users.Load()
		if n == 0 {
			return false
		}
		if g.users.CompareAndSwap(n, n+1) {
			return true
		}
	}
}

func (g *generation) leave() {
	if g.users.Add(-1) == 0 {
		close(g.empty)
	}
}
