package cowheap

import (
	"context"
	"errors"
	"runtime"
	"sync/atomic"
	"time"

	"github.com/cowheap/cowheap/arena"
	"github.com/cowheap/cowheap/checkpoint"
	"github.com/cowheap/cowheap/internal/block"
	"github.com/cowheap/cowheap/restore"
)

// experience is what the checkpoints of a heap say about the next one, for SaveAuto. The lineage's turn
// guards it.
//
// A live checkpoint is best for writers that leave its passes time to get shorter: each first
// write costs them a tenth of what a fault does. Those that write all over the state at full speed do not, and
// memory that is mostly zero would make a larger file than a snapshot does; both show early. See
// RATIONALE, "When is a checkpoint live?".
type experience struct {
	waiting atomic.Int32 // checkpoints until a live one may be tried again; may be read without the turn
	penalty int32        // so many after the last failure
	busy    bool         // that was the writers', as a snapshot shows, too: only those count that would have settled
	failed  bool         // just now, for the checkpoint that is to be a snapshot therefore
}

const (
	// With less there is nothing to gain, in bytes; with more for each processor there is a pause that can be seen, because
	// what was written is asked of the kernel with writers held, some 0.35 ms a GiB.
	leastLive   = 16 << 20
	mostLive    = 4 << 30
	mostPenalty = 64
	// One page in so many may be written in the time of a checkpoint, and be zero: where arena.Live and
	// checkpoint.SaveLive draw the line.
	livePart = 16
	zeroPart = 32
)

// mayLive: the next checkpoint of a heap with so many bytes in use should be live.
func (e *experience) mayLive(size int64) bool {
	return e.waiting.Load() == 0 && size >= leastLive && size <= mostLive*int64(runtime.GOMAXPROCS(0))
}

// frozen learns from one that was a snapshot.
func (e *experience) frozen(s arena.SnapshotStats, info checkpoint.Info) {
	pages := info.Size / block.PageSize
	calm := s.Ahead == 0 && s.Pages <= pages/livePart && info.Pages >= pages-pages/zeroPart && !info.Incremental
	if !e.failed && (calm || !e.busy) {
		e.waiting.Store(max(e.waiting.Load()-1, 0))
	}
	e.failed = false
}

// settled learns from one that was live, or could not be: err is an ErrUnsettled or ErrNotLive.
func (e *experience) settled(err error) {
	if err == nil {
		e.penalty = 0
		return
	}
	e.failed, e.busy = true, errors.Is(err, arena.ErrBusy)
	e.penalty = min(max(2*e.penalty, 1), mostPenalty)
	e.waiting.Store(e.penalty)
}

// checkpointLive is Checkpoint with SaveLive; not ok if it must be another way, and nothing has happened.
func (h *Heap) checkpointLive(ctx context.Context) (info checkpoint.Info, ok bool, err error) {
	l := h.lineage
	if h.opts.Saving == SaveFrozen || h.opts.Saving == SaveAuto && !l.mayLive(int64(h.a.High())) {
		return info, false, nil
	}
	if err := l.begin(ctx); err != nil {
		return info, false, err
	}
	defer l.end()
	info, err = h.saveLive(ctx)
	if errors.Is(err, arena.ErrUnsettled) || errors.Is(err, checkpoint.ErrNotLive) {
		l.settled(err)
		return checkpoint.Info{}, false, nil
	}
	if err == nil {
		l.settled(nil)
	}
	return info, true, err
}

// saveLive saves the memory as it is at an instant during the call, without a snapshot.
func (h *Heap) saveLive(ctx context.Context) (checkpoint.Info, error) {
	if h.opts.Compression != checkpoint.Uncompressed {
		return checkpoint.Info{}, checkpoint.ErrNotLive
	}
	m, err := h.a.Live()
	if err != nil {
		return checkpoint.Info{}, err
	}
	defer m.Close()
	id, err := h.dir.NewID()
	if err != nil {
		return checkpoint.Info{}, err
	}
	var roots []checkpoint.Root // as they are now: how long the header will be
	if err := h.sp.view(func(*Mem) (err error) {
		h.sp.rootMu.Lock()
		defer h.sp.rootMu.Unlock()
		roots, err = readRoots(h.sp.live(), h.super)
		return err
	}); err != nil {
		return checkpoint.Info{}, err
	}
	info, err := h.dir.SaveLive(ctx, &liveHeap{m, h}, checkpoint.WriteOptions{
		ID: id, Roots: roots, Compression: h.opts.Compression, Progress: h.opts.Progress,
	})
	if err == nil {
		_ = restore.TidyTouched(h.dir.Path()) // as save does
	}
	return info, translate(err)
}

// liveHeap is the heap as a checkpoint.Live.
type liveHeap struct {
	*arena.Live
	h *Heap
}

// Settle fixes the instant, with the roots that there are then.
func (l *liveHeap) Settle(ctx context.Context) (checkpoint.Settled, error) {
	p := &l.h.sp.profile
	p.taking.Lock() // whose tick it is
	defer p.taking.Unlock()
	var now checkpoint.Settled
	s, err := l.Live.Settle(ctx, func() (err error) {
		now.Time = time.Now()
		now.Roots, err = readRoots(l.h.sp.live(), l.h.super)
		return err
	})
	now.Size, now.Pages = s.Size, s.Changed
	return now, err
}
