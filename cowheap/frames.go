package cowheap

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// ErrNoFrame: Frames does not have this frame, not yet or not any more. The message
// names those that it has.
var ErrNoFrame = errors.New("no such frame")

// Frames are the last few states of a heap by frame number: what a game with
// rollback saves before each step of its simulation, and loads when an input turns
// out to have been another. Save and Load are the way to write what GGPO calls
// SaveGameState and LoadGameState:
//
//	frames, err := cowheap.NewFrames(h, 10) // GGPO: a window of 8, a ring of 10
//	sum, err := frames.Save(frame)          // costs what was written since the frame before
//	err = frames.Load(frame - 5)            // costs what was written since that frame
//
// Save answers a checksum of the state. It depends on the bytes of the heap alone,
// so it is the same on all peers whose simulations did the same, one Update at a
// time, in heaps made with the same Options.Seed, whatever their guards. Comparing
// it frame by frame finds the first frame in which peers differ, and Pages the page.
// It is no defence against somebody who wants to hide a difference.
//
// Frame numbers ascend: Save and Load of a frame drop those with a higher number,
// which belong to a future that is given up. Of more than n frames the oldest is
// dropped.
//
// Each frame is a Snapshot of the heap, and Options.MaxPreserved has to have room
// for what n frames write; the default is room for one whole copy of the state.
// Other snapshots may be open beside them. Load closes those that are newer than the
// frame, as Heap.Rollback does; a Heap.Rollback to one of them closes the frames that
// are newer than that.
//
// One goroutine at a time may use Frames, and not inside Update or View of the heap.
type Frames struct {
	h      *Heap
	n      int
	ring   []frame // in order of number and of time
	closed bool

	// What the heap held when it was last saved or loaded.
	sums  []uint64  // of each page
	sum   uint64    // of all of them
	as    *Snapshot // the instant; nil before the first
	spare []change  // the room of a frame that was dropped
	buf   []byte
}

// frame is one state in the ring.
type frame struct {
	number int
	s      *Snapshot
	sum    uint64
	// undo makes the sums of this frame those of the one before, last first.
	undo []change
}

// change is a page whose sum was another before.
type change struct{ page, old uint64 }

// NewFrames makes an empty ring of the last n frames of h.
func NewFrames(h *Heap, n int) (*Frames, error) {
	if n < 1 {
		return nil, fmt.Errorf("a ring of %d frames: want at least 1", n)
	}
	return &Frames{h: h, n: n, buf: make([]byte, 16*sumPageSize)}, nil
}

// Save keeps the heap as it is now as frame number, in the place of the one of this
// number and of those with a higher one, and returns the checksum. Writers are held
// off for as long as Heap.Snapshot holds them. Then what was written since the last
// Save or Load is hashed, or everything, at memory speed, where the guard does not
// know that (copy). Errors are those of Heap.Snapshot and Snapshot.ReadAt; the frames
// are as before then.
func (f *Frames) Save(number int) (checksum uint64, err error) {
	if f.closed {
		return 0, ErrClosed
	}
	s, err := f.h.Snapshot()
	if err != nil {
		return 0, fmt.Errorf("saving frame %d: %w", number, err)
	}
	undo := f.spare[:0]
	f.spare = nil
	if err := f.rehash(s, &undo); err != nil {
		f.take(undo)
		_ = s.Close()
		return 0, fmt.Errorf("saving frame %d: computing its checksum: %w", number, err)
	}
	var dropped []change
	first := f.from(number)
	for _, old := range f.ring[first:] {
		_ = old.s.Close()
		dropped = append(dropped, old.undo...)
	}
	f.ring = f.ring[:first]
	if dropped != nil {
		undo = append(dropped, undo...)
	}
	if len(f.ring) == f.n {
		_ = f.ring[0].s.Close()
		f.spare = f.ring[0].undo
		f.ring = append(f.ring[:0], f.ring[1:]...)
	}
	f.ring = append(f.ring, frame{number: number, s: s, sum: f.sum, undo: undo})
	f.as = s
	return f.sum, nil
}

// Load makes the heap what it was when frame number was saved, by Heap.Rollback: it
// waits for the Updates and Views that run. The frame stays; those with a higher
// number are dropped. Errors: ErrNoFrame, ErrClosed, and those of Heap.Rollback;
// nothing has changed then.
func (f *Frames) Load(number int) error {
	i, err := f.find(number)
	if err != nil {
		return err
	}
	if err := f.h.Rollback(f.ring[i].s); err != nil {
		return fmt.Errorf("loading frame %d: %w", number, err)
	}
	for last := len(f.ring) - 1; last > i; last-- {
		f.take(f.ring[last].undo)
		_ = f.ring[last].s.Close() // the rollback has closed it already
		f.ring[last] = frame{}
	}
	f.ring = f.ring[:i+1]
	f.as = f.ring[i].s
	return nil
}

// Snapshot lends the snapshot of a frame, to read it, to write it to a stream or to
// fork it. It is closed when the frame is dropped; do not close it. Errors:
// ErrNoFrame, ErrClosed.
func (f *Frames) Snapshot(number int) (*Snapshot, error) {
	i, err := f.find(number)
	if err != nil {
		return nil, err
	}
	return f.ring[i].s, nil
}

// Pages returns a checksum for each 4096 bytes of a frame. Their sum modulo 2^64 is
// the frame's checksum; where two peers differ they say in which page. Zeros have the
// checksum 0, and what lies beyond the last page is zeros. It costs 8 bytes a page,
// and no look at the memory. Errors: ErrNoFrame, ErrClosed.
func (f *Frames) Pages(number int) ([]uint64, error) {
	i, err := f.find(number)
	if err != nil {
		return nil, err
	}
	pages := slices.Clone(f.sums)
	for _, later := range slices.Backward(f.ring[i+1:]) {
		for _, c := range slices.Backward(later.undo) {
			pages[c.page] = c.old
		}
	}
	return pages, nil
}

// Close drops all frames. It is idempotent. The heap stays as it is, and open.
func (f *Frames) Close() error {
	f.closed = true
	var errs []error
	for _, old := range f.ring {
		errs = append(errs, old.s.Close())
	}
	f.ring, f.sums, f.as, f.spare = nil, nil, nil, nil
	return errors.Join(errs...)
}

// from is the place of the first frame that does not come before number.
func (f *Frames) from(number int) int {
	i, _ := slices.BinarySearchFunc(f.ring, number, func(a frame, b int) int { return cmp.Compare(a.number, b) })
	return i
}

// find is the place of frame number.
func (f *Frames) find(number int) (int, error) {
	if f.closed {
		return 0, ErrClosed
	}
	if i := f.from(number); i < len(f.ring) && f.ring[i].number == number {
		return i, nil
	}
	have := "none has been saved"
	if len(f.ring) > 0 {
		var b strings.Builder
		for _, r := range f.ring {
			fmt.Fprintf(&b, " %d", r.number)
		}
		have = "the ring has" + b.String()
	}
	return 0, fmt.Errorf("%w: %d, %s", ErrNoFrame, number, have)
}

// rehash brings the sums to what s holds, and adds to undo what takes that back.
func (f *Frames) rehash(s *Snapshot, undo *[]change) error {
	if n := (s.Size() + sumPageSize - 1) / sumPageSize; int64(len(f.sums)) < n {
		f.sums = append(f.sums, make([]uint64, n-int64(len(f.sums)))...)
	}
	if f.as != nil {
		if ranges, ok := s.s.Changed(f.as.s); ok {
			for off, n := range ranges {
				if err := f.rehashRange(s, off, n, undo); err != nil {
					return err
				}
			}
			return nil
		}
	}
	// Everything: also what lies beyond its end after a rollback that was not Load's.
	for page := (s.Size() + sumPageSize - 1) / sumPageSize; page < int64(len(f.sums)); page++ {
		f.set(uint64(page), 0, undo)
	}
	return f.rehashRange(s, 0, s.Size(), undo)
}

// rehashRange is rehash of n bytes from off on, whole pages but for the last of s.
func (f *Frames) rehashRange(s *Snapshot, off, n int64, undo *[]change) error {
	for end := off + n; off < end; off += int64(len(f.buf)) {
		b := f.buf[:min(end-off, int64(len(f.buf)))]
		if _, err := s.ReadAt(b, off); err != nil {
			return err
		}
		if rest := len(b) % sumPageSize; rest > 0 {
			whole := f.buf[:len(b)-rest+sumPageSize]
			clear(whole[len(b):])
			b = whole
		}
		for at := 0; at < len(b); at += sumPageSize {
			page := uint64(off+int64(at)) / sumPageSize
			f.set(page, pageSum(page, b[at:at+sumPageSize]), undo)
		}
	}
	return nil
}

// set makes sum that of page.
func (f *Frames) set(page, sum uint64, undo *[]change) {
	if old := f.sums[page]; old != sum {
		*undo = append(*undo, change{page, old})
		f.sums[page] = sum
		f.sum += sum - old
	}
}

// take takes changes back.
func (f *Frames) take(undo []change) {
	for _, c := range slices.Backward(undo) {
		f.sum += c.old - f.sums[c.page]
		f.sums[c.page] = c.old
	}
}
