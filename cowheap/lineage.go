package cowheap

import (
	"bytes"
	"context"
	"fmt"
	"iter"

	"github.com/google/uuid"

	"github.com/cowheap/cowheap/arena"
	"github.com/cowheap/cowheap/checkpoint"
)

// lineage is what the next checkpoint in a heap's directory may be incremental to: the newest
// one that the heap has saved, or was opened from, and which pages have been
// written since. Nothing of the state then is kept in memory.
type lineage struct {
	turn  chan struct{} // holds a token while nobody saves; guards what follows
	id    uuid.UUID
	size  int64 // bytes of the state then
	watch *arena.Watch
	experience
}

// defaultMaxChain is Options.MaxChain's default.
const defaultMaxChain = 16

// maxChain is MaxChain with its default, as a store has it.
func (o *Options) maxChain() int {
	if o.MaxChain == 0 {
		return defaultMaxChain
	}
	return max(o.MaxChain, 1)
}

// smallIncrement is what an increment may always hold, in bytes.
const smallIncrement = 1 << 20

func newLineage() *lineage {
	l := &lineage{turn: make(chan struct{}, 1)}
	l.turn <- struct{}{}
	return l
}

// begin waits until nobody else saves. end must be called after it.
func (l *lineage) begin(ctx context.Context) error {
	select {
	case <-l.turn:
		return nil
	case <-ctx.Done():
	}
	err := ctx.Err()
	if cause := context.Cause(ctx); cause != err {
		err = fmt.Errorf("%w: %w", err, cause)
	}
	return fmt.Errorf("waiting for another checkpoint: %w", err)
}

func (l *lineage) end() { l.turn <- struct{}{} }

// changed gives what s may differ in from the checkpoint with l's ID, if a
// checkpoint of s should be incremental to it.
func (l *lineage) changed(s *Snapshot) (pages iter.Seq2[int64, int64], ok bool) {
	if l.watch == nil || !l.before(s) {
		return nil, false
	}
	if pages, ok = l.watch.Changed(s.s); !ok {
		return nil, false
	}
	// Of what is mostly new all is written at once, instead of being folded afterwards.
	sum := int64(0)
	for _, n := range pages {
		sum += n
	}
	return pages, sum <= max(s.Size()/2, smallIncrement)
}

// before: s is newer than the checkpoint, by its instant and by its ID. (Two that are taken at
// once may have IDs in the other order.)
func (l *lineage) before(s *Snapshot) bool {
	return l.watch == nil || l.watch.Before(s.s) && bytes.Compare(l.id[:], s.id[:]) < 0
}

// follow makes info the checkpoint to be incremental to, since which w has watched.
func (l *lineage) follow(info checkpoint.Info, w *arena.Watch) {
	if l.watch != nil {
		l.watch.Close()
	}
	l.id, l.size, l.watch = info.ID, info.Size, w
}

// descend makes the checkpoint that the heap was opened from the one to be incremental to.
// Nobody has written since. What stands in the way only makes the next checkpoint a full one.
func (h *Heap) descend() {
	if !h.opts.Track || h.opts.maxChain() < 2 || h.lazy != nil {
		return
	}
	s, err := h.a.Snapshot()
	if err != nil {
		return
	}
	defer s.Close()
	w, err := s.Watch()
	if err != nil {
		return
	}
	h.lineage.follow(h.origin, w)
}

// saveInLine saves s into the directory, incremental if that is known to be right and
// worth it. With release what has been written is not needed any more.
func (s *Snapshot) saveInLine(ctx context.Context, release bool, o checkpoint.WriteOptions) (checkpoint.Info, error) {
	l := s.h.lineage
	if err := l.begin(ctx); err != nil {
		return checkpoint.Info{}, err
	}
	defer l.end()
	var w *arena.Watch
	if tracks := s.h.opts.Track || s.h.a.Guard() == arena.GuardShadow; tracks && s.h.opts.maxChain() > 1 {
		if pages, ok := l.changed(s); ok {
			o.Parent, o.ParentSize, o.Changed = l.id, l.size, pages
		}
		if l.before(s) {
			// Now, because what is released while it is written is not known afterwards.
			w, _ = s.s.Watch() // if that is an error so is reading it, or the next one is full
		}
	}
	stream := s.s.Stream(ctx)
	defer stream.Stop()
	var src checkpoint.Source = stream
	if !release {
		src = readOnly{stream}
	}
	info, err := s.h.dir.Save(ctx, src, o)
	if err == nil {
		l.frozen(s.s.Stats(), info)
	}
	switch {
	case w == nil:
	case err != nil:
		w.Close()
	default:
		l.follow(info, w)
	}
	return info, err
}
