package main

import (
	"errors"
	"fmt"
	"time"

	"github.com/cowheap/cowheap/arena"
)

const (
	// framesFor is how long a measurement takes, with all that does not count.
	framesFor   = 250 * time.Millisecond
	leastFrames = 3
)

// framesBench has the states of one size at a time, each way's made at first use.
type framesBench struct {
	limit int64
	quick bool
	size  int64
	games map[string]*game // by way
}

func openFrames(s Setup) (Bench, error) {
	return &framesBench{limit: s.Size, quick: s.Quick, games: map[string]*game{}}, nil
}

func (b *framesBench) Close() error {
	var errs []error
	for _, g := range b.games {
		errs = append(errs, g.close())
	}
	clear(b.games)
	return errors.Join(errs...)
}

// Measure plays until every frame that can be gone back to is of the variant's kind, and
// then for as long as a measurement takes.
func (b *framesBench) Measure(variant string) (Reading, error) {
	v := findFrames(variant)
	size := v.shape.bytes(b.quick)
	if size > b.limit {
		return Reading{}, fmt.Errorf("the state is larger than -size: %w", errors.ErrUnsupported)
	}
	g, err := b.game(v.way, size)
	if err != nil {
		return Reading{}, err
	}
	took, err := g.measure(v, b.quick)
	if err != nil {
		// What is left of the state is nobody's guess: start afresh, if at all.
		delete(b.games, v.way)
		return Reading{}, errors.Join(err, g.close())
	}
	return Reading{Value: took, Bytes: size, Dirty: v.shape.dirty}, nil
}

// game is the one of a way.
func (b *framesBench) game(way string, size int64) (*game, error) {
	if b.size != size {
		if err := b.Close(); err != nil {
			return nil, err
		}
		b.size = size
	}
	if g := b.games[way]; g != nil {
		return g, nil
	}
	var s frameStore
	var err error
	if way == wayMemcpy {
		s, err = newFrameCopies(size)
	} else {
		var guard arena.Guard
		if guard, err = arena.ParseGuard(way); err == nil {
			s, err = newFrameSnapshots(size, guard)
		}
	}
	if err != nil {
		return nil, err
	}
	b.games[way] = &game{frameStore: s}
	return b.games[way], nil
}

// measure is the mean time of the variant's operation, in nanoseconds.
func (g *game) measure(v frameVariant, quick bool) (float64, error) {
	g.play(v.shape)
	for range framesKept + 1 {
		if err := g.step(); err != nil {
			return 0, err
		}
	}
	back := min(v.back(), g.depth())
	began, took, count := time.Now(), time.Duration(0), 0
	for count < leastFrames || time.Since(began) < framesFor && !quick {
		start := time.Now()
		var err error
		if back == 0 {
			err = g.step()
		} else {
			err = g.back(back)
		}
		took += time.Since(start)
		count++
		if err == nil {
			err = g.check()
		}
		for range back {
			if err == nil {
				err = g.step()
			}
		}
		if err != nil {
			return 0, err
		}
	}
	return float64(took.Nanoseconds()) / float64(count), nil
}
