package main

import (
	"fmt"
	"time"

	"github.com/cowheap/cowheap/cowheap"
)

// game is the simulation with its past: it is saved before every frame, and taken
// back to the first frame that was simulated with a wrong guess.
type game struct {
	heap    *cowheap.Heap
	frames  *cowheap.Frames
	inputs  *inputs
	history history
	now     int // the frame that comes next
	spoiled int // the frame whose state has a bit flipped; -1: none

	cost costs
}

const (
	window     = 8 // frames that may be guessed ahead; then the game waits
	ring       = window + 2
	inputDelay = 2 // frames between a button and what it does, which saves rollbacks
)

func newGame(s settings) (*game, error) {
	h, err := newHeap(s.guard, s.peers)
	if err != nil {
		return nil, fmt.Errorf("making a heap: %w", err)
	}
	f, err := cowheap.NewFrames(h, ring)
	if err != nil {
		_ = h.Close()
		return nil, err
	}
	return &game{heap: h, frames: f, inputs: newInputs(s.peers, inputDelay), spoiled: -1}, nil
}

func (g *game) close() error {
	err := g.frames.Close()
	if closeErr := g.heap.Close(); err == nil {
		err = closeErr
	}
	return err
}

// save saves the state before frame now.
func (g *game) save() (uint64, error) {
	began := time.Now()
	sum, err := g.frames.Save(g.now)
	g.cost.save(time.Since(began))
	return sum, err
}

// load goes back to the state before a frame.
func (g *game) load(frame int) error {
	began := time.Now()
	if err := g.frames.Load(frame); err != nil {
		return err
	}
	g.cost.load(time.Since(began))
	g.cost.rollback(g.now - frame)
	g.now = frame
	return nil
}

// simulate simulates frame now.
func (g *game) simulate() error {
	began := time.Now()
	inputs := g.inputs.use(g.now)
	if err := g.heap.Update(func(m *cowheap.Mem) error {
		if err := step(m, inputs); err != nil || g.now+1 != g.spoiled {
			return err
		}
		return spoil(m)
	}); err != nil {
		return fmt.Errorf("simulating frame %d: %w", g.now, err)
	}
	g.cost.step(time.Since(began))
	g.now++
	return nil
}

// correct simulates again what was simulated with a wrong guess.
func (g *game) correct() error {
	frame, ok := g.inputs.mistake()
	if !ok || frame >= g.now {
		return nil
	}
	now := g.now
	if err := g.load(frame); err != nil {
		return err
	}
	for g.now < now {
		if g.now > frame {
			if _, err := g.save(); err != nil {
				return err
			}
		}
		if err := g.simulate(); err != nil {
			return err
		}
	}
	return nil
}

// confirm takes the checksums of saved frames that have become final.
func (g *game) confirm() error {
	for frame := len(g.history.sums); frame <= min(g.inputs.confirmed(), g.now); frame++ {
		pages, err := g.frames.Pages(frame)
		if err != nil {
			return err
		}
		sum := uint64(0)
		for _, p := range pages {
			sum += p
		}
		g.cost.changed(g.history.add(sum, pages))
	}
	return nil
}

// mustWait reports whether more would have to be guessed than can be taken back.
func (g *game) mustWait() bool { return g.now >= g.inputs.confirmed()+window }
