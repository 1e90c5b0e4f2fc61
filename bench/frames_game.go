package main

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/cowheap/cowheap/arena"
)

// frameStore keeps a state and its last frames.
type frameStore interface {
	// state is what frames write to.
	state() []byte
	// save keeps the state as one more frame, and forgets the oldest.
	save() error
	// load makes the state what it was so many frames ago, and forgets those after.
	load(back int) error
	// depth is how far back load can go.
	depth() int
	close() error
}

// game writes frames and saves them. A frame number writes the same wherever
// it is played from: the number itself, so that every page tells its age. (What a page
// starts with is less.)
type game struct {
	frameStore
	shape  frameShape
	frame  uint64     // saved last
	writes [][]uint32 // pages, by frame modulo
}

// differentFrames is how many frames write to pages of their own: more than are kept.
const differentFrames = 16

// play makes the frames to come those of a shape.
func (g *game) play(s frameShape) {
	if g.shape == s {
		return
	}
	g.shape, g.writes = s, nil
	pages := len(g.state()) / pageSize
	for seed := range uint64(differentFrames) {
		if s.same {
			seed = 0
		}
		g.writes = append(g.writes, anotherSample(seed, pages, s.written(pages)))
	}
}

// written are the pages that a frame writes.
func (g *game) written(frame uint64) []uint32 { return g.writes[frame%differentFrames] }

// step plays and saves a frame.
func (g *game) step() error {
	g.frame++
	mem := g.state()
	for _, p := range g.written(g.frame) {
		binary.LittleEndian.PutUint64(mem[int(p)*pageSize:], g.frame)
	}
	if err := g.save(); err != nil {
		return fmt.Errorf("saving a frame: %w", err)
	}
	return nil
}

// back goes back some frames.
func (g *game) back(frames int) error {
	if err := g.load(frames); err != nil {
		return fmt.Errorf("going back %d frames: %w", frames, err)
	}
	g.frame -= uint64(frames)
	return nil
}

// check fails if the state holds anything of a frame to come, or lacks
// anything of the last one.
func (g *game) check() error {
	mem := g.state()
	at := func(p uint32) uint64 { return binary.LittleEndian.Uint64(mem[int(p)*pageSize:]) }
	for _, p := range g.written(g.frame) {
		if got := at(p); got != g.frame {
			return fmt.Errorf("page %d holds frame %d, not %d", p, got, g.frame)
		}
	}
	for ahead := range uint64(framesKept) {
		for _, p := range g.written(g.frame + ahead + 1) {
			if got := at(p); got > g.frame {
				return fmt.Errorf("page %d holds frame %d, and the game is at %d", p, got, g.frame)
			}
		}
	}
	return nil
}

// frameSnapshots keeps frames as snapshots of an arena.
type frameSnapshots struct {
	f    *frozenState
	ring []*arena.Snapshot // oldest first
}

func newFrameSnapshots(size int64, guard arena.Guard) (*frameSnapshots, error) {
	// A guard may keep a second copy of everything.
	if err := needMemory(2*size + size/2); err != nil {
		return nil, err
	}
	f, err := newFrozenState(size, arena.Options{
		Guard: guard,
		// Never too little, however much a frame writes, and the allocator's own
		// pages with it; what is not used costs nothing.
		MaxPreserved: (framesKept + 2) * (size + 8*mib),
	})
	if err != nil {
		return nil, err
	}
	return &frameSnapshots{f: f}, nil
}

func (s *frameSnapshots) state() []byte { return s.f.bytes() }
func (s *frameSnapshots) depth() int    { return framesKept - 1 }

func (s *frameSnapshots) save() error {
	snap, err := s.f.a.Snapshot()
	if err != nil {
		return err
	}
	if len(s.ring) == framesKept {
		err = s.ring[0].Close()
		s.ring = s.ring[:copy(s.ring, s.ring[1:])]
	}
	s.ring = append(s.ring, snap)
	return err
}

func (s *frameSnapshots) load(back int) error {
	keep := len(s.ring) - back
	// Nobody else is there to be held.
	err := s.f.a.Rollback(s.ring[keep-1], func() (release func(), err error) { return func() {}, nil })
	if err != nil {
		return err
	}
	for _, snap := range s.ring[keep:] {
		err = errors.Join(err, snap.Close())
	}
	clear(s.ring[keep:])
	s.ring = s.ring[:keep]
	return err
}

func (s *frameSnapshots) close() error {
	var errs []error
	for _, snap := range s.ring {
		errs = append(errs, snap.Close())
	}
	return errors.Join(append(errs, s.f.close())...)
}

// frameCopies keeps frames as whole copies.
type frameCopies struct {
	live   *region
	copies *region
	size   int // bytes of the state
	slots  int
	saved  int // frames
}

// mostCopied is how many bytes of copies are kept, unless two are more. Memory that is
// far larger than the processor's caches takes as long to copy into however large it is.
const mostCopied = 2 * gib

func newFrameCopies(size int64) (_ *frameCopies, err error) {
	s := &frameCopies{size: int(size), slots: int(min(max(mostCopied/size, 2), framesKept))}
	if err := needMemory(size * int64(s.slots+1)); err != nil {
		return nil, err
	}
	if s.live, err = newRegion(sizeInBlocks(size), false); err != nil {
		return nil, err
	}
	if s.copies, err = newRegion(sizeInBlocks(size*int64(s.slots)), false); err != nil {
		return nil, errors.Join(err, s.live.Unmap())
	}
	writePages(s.live.all(), 1)
	writePages(s.copies.all(), 1)
	return s, nil
}

func sizeInBlocks(n int64) int64 { return size(n).blocks() }

// slot is where a frame is kept.
func (s *frameCopies) slot(frame int) []byte {
	return s.copies.Bytes(uint64(frame%s.slots*s.size), uint64(s.size))
}

func (s *frameCopies) state() []byte { return s.live.Bytes(0, uint64(s.size)) }
func (s *frameCopies) depth() int    { return s.slots - 1 }

func (s *frameCopies) save() error {
	s.saved++
	copy(s.slot(s.saved), s.state())
	return nil
}

func (s *frameCopies) load(back int) error {
	s.saved -= back
	copy(s.state(), s.slot(s.saved))
	return nil
}

func (s *frameCopies) close() error { return errors.Join(s.live.Unmap(), s.copies.Unmap()) }
