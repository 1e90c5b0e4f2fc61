package replica

import (
	"context"
	"errors"
	"io"
	"sync"
	"sync/atomic"

	"github.com/cowheap/cowheap/cowheap"
)

// Heap is a cowheap.Heap that can be replaced. Make one by New, and Close it.
type Heap struct {
	opts cowheap.Options
	now  atomic.Pointer[generation]

	replacing sync.Mutex // one Replace or Close at a time
	closed    bool       // under replacing

	position sync.Mutex // guards the words of the root PositionRoot against readers
}

// New makes an empty heap in memory. All that opts say holds for every heap that
// replaces it. Replicas choose one Options.Seed: then maps are looped over in the same order
// on all of them.
func New(opts *cowheap.Options) (*Heap, error) {
	h := new(Heap)
	if opts != nil {
		h.opts = *opts
	}
	first, err := cowheap.New(&h.opts)
	if err != nil {
		return nil, err
	}
	h.now.Store(newGeneration(first))
	return h, nil
}

// with calls do with the heap as it is now, which Replace does not close before do returns. It waits for
// nobody: the gate of a heap that is being closed would have newcomers wait for those inside.
func (h *Heap) with(do func(*cowheap.Heap) error) error {
	for {
		now := h.now.Load()
		if !now.enter() {
			continue // replaced
		}
		if h.now.Load() == now {
			defer now.leave()
			return do(now.Heap)
		}
		now.leave()
	}
}

// Update is cowheap.Heap.Update, for what is not an entry of the log; see UpdateAt.
func (h *Heap) Update(fn func(m *cowheap.Mem) error) error {
	return h.with(func(now *cowheap.Heap) error { return now.Update(fn) })
}

// View is cowheap.Heap.View. Find what you read from its Roots each time: a Ref that was
// kept from one View to the next may be of a heap that has been replaced.
func (h *Heap) View(fn func(m *cowheap.Mem) error) error {
	return h.with(func(now *cowheap.Heap) error { return now.View(fn) })
}

// Snapshot is cowheap.Heap.Snapshot. Replace and Close close it: a WriteTo in flight ends
// with ErrClosed.
func (h *Heap) Snapshot() (s *cowheap.Snapshot, err error) {
	err = h.with(func(now *cowheap.Heap) error {
		s, err = now.Snapshot()
		return err
	})
	return s, err
}

// Replace puts the checkpoint that r is at the start of in the place of everything: what
// cowheap.Snapshot.WriteTo wrote, on whatever replica. It reads and verifies all of it first; an
// error, from there or from r, has changed nothing. Readers go on meanwhile. Then it waits for
// the Updates and Views that run in the old heap. ErrNested inside one, ErrClosed.
func (h *Heap) Replace(r io.Reader) error {
	// It brings in what a lazy heap lacks: nothing here, but it says whether the caller is inside.
	if err := h.now.Load().Populate(context.Background()); err != nil {
		return err
	}
	next, err := cowheap.Restore(r, &h.opts)
	if err != nil {
		return err
	}
	h.replacing.Lock()
	defer h.replacing.Unlock()
	if h.closed {
		return errors.Join(cowheap.ErrClosed, next.Close())
	}
	old := h.now.Swap(newGeneration(next))
	old.leave() // for newGeneration
	<-old.empty
	return old.Heap.Close()
}

// Stats are those of the heap as it is now: counters begin again with each Replace.
func (h *Heap) Stats() cowheap.Stats { return h.now.Load().Stats() }

// Close is cowheap.Heap.Close: it saves nothing.
func (h *Heap) Close() error {
	h.replacing.Lock()
	defer h.replacing.Unlock()
	err := h.now.Load().Close()
	if !errors.Is(err, cowheap.ErrNested) {
		h.closed = true
	}
	return err
}
