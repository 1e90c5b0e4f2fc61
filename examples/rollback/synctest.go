package main

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// synctest plays alone, and in every frame goes back as far as it can and simulates
// again: with the same inputs the same checksums have to come out. It finds a
// simulation that is not deterministic, and state that does not come back.
func synctest(ctx context.Context, s settings, out *printer) (err error) {
	g, err := newGame(s)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, g.close()) }()
	guard := g.heap.Stats().Guard
	out.line("synctest: back by up to %d frames in every frame; guard %v", window, guard)
	for player := range s.peers {
		for frame := inputDelay; frame < window; frame++ {
			g.inputs.add(player, frame, []input{scripted(player, frame)})
		}
	}
	total := max(1, int(s.seconds*fps))
	var sums []uint64 // of each frame, the first time
	compared := 0
	began := time.Now()
	// By frames or by time, whichever ends first: this takes nine times as long as playing.
	for g.now < total && (time.Since(began).Seconds() < s.seconds || g.now <= window) {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		frame := g.now
		for player := range s.peers {
			g.inputs.add(player, frame+window, []input{scripted(player, frame+window)})
		}
		if sums, err = g.play(sums, frame+1, s.spoil, &compared); err != nil {
			return err
		}
		back := max(0, g.now-window)
		// The newest frame counts, too.
		if sums, err = g.check(sums, &compared); err != nil {
			return err
		}
		if err := g.load(back); err != nil {
			return err
		}
		if sums, err = g.play(sums, frame+1, -1, &compared); err != nil {
			return err
		}
		g.cost.end()
		out.progress(frame, total)
	}
	if sums, err = g.check(sums, &compared); err != nil {
		return err
	}
	out.figure("frames", fmt.Sprint(g.now), "in %.1f s", time.Since(began).Seconds())
	g.cost.print(out)
	return out.last("verified: %d frames, each simulated up to %d times, %d checksums compared; the last is %016x", g.now, window+1, compared, sums[len(sums)-1])
}

// play simulates until frame end. If it comes past frame spoil it makes a mistake there.
func (g *game) play(sums []uint64, end, spoil int, compared *int) (_ []uint64, err error) {
	for g.now < end {
		if sums, err = g.check(sums, compared); err != nil {
			return nil, err
		}
		g.spoiled = spoil
		if err := g.simulate(); err != nil {
			return nil, err
		}
	}
	return sums, nil
}

// check saves the state before frame now, and compares its checksum with that of the first time.
func (g *game) check(sums []uint64, compared *int) ([]uint64, error) {
	sum, err := g.save()
	switch {
	case err != nil:
		return nil, err
	case g.now == len(sums):
		return append(sums, sum), nil
	case sums[g.now] != sum:
		return nil, fmt.Errorf("%w with itself: frame %d had checksum %016x, and %016x when it was simulated again", errDesync, g.now, sums[g.now], sum)
	}
	*compared++
	return sums, nil
}
