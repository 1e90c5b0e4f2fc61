package main

import (
	"github.com/cowheap/cowheap/arena"
	"github.com/cowheap/cowheap/cowheap"
)

// The simulation: swarms that follow their players over a ground that they wear down. All
// of it is integers and arrays in a fixed order, so that the same inputs make the same
// bytes on every machine. Positions are fixed point, 16 bits behind the point.
const (
	entities    = 20480
	side        = 2048 // cells of the ground in a row, and rows
	border      = side<<16 - 1
	trailFrames = 128 // that the places of the entities are remembered for
	blastFrames = 45  // that a blast lasts
	fps         = 60
)

// world is the root of the heap. All that a step depends on is in it.
type world struct {
	Frame    uint64
	Players  uint64
	Player   [maxPeers]player
	Entities cowheap.Ref[[entities]entity]
	Trail    cowheap.Ref[[trailFrames][entities]place]
	Ground   cowheap.Ref[[side * side]uint32]
	Blasts   cowheap.Vec[cowheap.Ref[blast]]
}

type player struct{ X, Y, VX, VY int32 }

type entity struct {
	X, Y, VX, VY int32
	DX, DY       int32 // where it wants to be, from its player
	Team         uint32
	Bumps        uint32
}

type place struct{ X, Y int32 }

// blast pushes entities away, and is allocated and freed by the simulation.
type blast struct {
	X, Y, Strength int32
	Left           int32 // frames
}

// input is what a player does in a frame.
type input uint16

const (
	inputLeft input = 1 << iota
	inputRight
	inputUp
	inputDown
	inputFire

	inputAll = inputLeft | inputRight | inputUp | inputDown | inputFire
)

// newHeap makes the state that every peer starts from.
func newHeap(guard arena.Guard, players int) (*cowheap.Heap, error) {
	h, err := cowheap.New(&cowheap.Options{
		MaxSize: 256 << 20,
		Guard:   guard,
		// The default, as much as is in use, is one snapshot's worth; this is a ring of
		// them, and a peer that runs out of it cannot go on.
		MaxPreserved: 1 << 30,
		Seed:         1, // the same everywhere, or checksums differ
	})
	if err != nil {
		return nil, err
	}
	if err := h.Update(func(m *cowheap.Mem) error { return begin(m, players) }); err != nil {
		_ = h.Close()
		return nil, err
	}
	return h, nil
}

func begin(m *cowheap.Mem, players int) error {
	root, err := cowheap.Root[world](m, "world")
	if err != nil {
		return err
	}
	w := root.Ptr(m)
	w.Players = uint64(players)
	if w.Entities, err = cowheap.Alloc[[entities]entity](m); err != nil {
		return err
	}
	if w.Trail, err = cowheap.Alloc[[trailFrames][entities]place](m); err != nil {
		return err
	}
	if w.Ground, err = cowheap.Alloc[[side * side]uint32](m); err != nil {
		return err
	}
	random := uint64(1)
	for i := range players {
		w.Player[i] = player{X: int32(next(&random) % border), Y: int32(next(&random) % border)}
	}
	for i := range w.Entities.Ptr(m) {
		team := i % players
		p := w.Player[team]
		e := &w.Entities.Ptr(m)[i]
		e.Team = uint32(team)
		e.DX, e.DY = spread(next(&random)), spread(next(&random))
		e.X, e.Y = clamp(p.X+e.DX, 0, border), clamp(p.Y+e.DY, 0, border)
	}
	trail := w.Trail.Ptr(m)
	for f := range trail {
		for i := range trail[f] {
			trail[f][i] = place{X: int32(next(&random) >> 38), Y: int32(next(&random) >> 38)}
		}
	}
	ground := w.Ground.Ptr(m)
	for i := range ground {
		ground[i] = uint32(next(&random) >> 59)
	}
	return nil
}

// spread is an offset of up to 256 cells to either side.
func spread(random uint64) int32 { return int32(random>>39) - 1<<24 }

// next is SplitMix64 (Steele, Lea, Flood 2014).
func next(state *uint64) uint64 {
	*state += 0x9e3779b97f4a7c15
	x := *state
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// step simulates one frame with an input of each player.
func step(m *cowheap.Mem, inputs []input) error {
	root, err := cowheap.Root[world](m, "world")
	if err != nil {
		return err
	}
	w := root.Ptr(m)
	for i := range inputs {
		w.Player[i].step(inputs[i])
		if inputs[i]&inputFire != 0 {
			if err := w.fire(m, i); err != nil {
				return err
			}
		}
	}
	if err := w.age(m); err != nil {
		return err
	}
	w.swarm(m)
	w.Frame++
	return nil
}

func (p *player) step(in input) {
	const push, fast = 1 << 15, 6 << 16
	if in&inputLeft != 0 {
		p.VX -= push
	}
	if in&inputRight != 0 {
		p.VX += push
	}
	if in&inputUp != 0 {
		p.VY -= push
	}
	if in&inputDown != 0 {
		p.VY += push
	}
	p.VX, p.VY = clamp(p.VX, -fast, fast), clamp(p.VY, -fast, fast)
	p.X, p.VX = move(p.X, p.VX)
	p.Y, p.VY = move(p.Y, p.VY)
}

// fire sets off a blast where the player is.
func (w *world) fire(m *cowheap.Mem, who int) error {
	r, err := cowheap.Alloc[blast](m)
	if err != nil {
		return err
	}
	p := w.Player[who]
	*r.Ptr(m) = blast{X: p.X, Y: p.Y, Strength: 1 << 14, Left: blastFrames}
	return w.Blasts.Append(m, r)
}

// age takes away the blasts whose time is over.
func (w *world) age(m *cowheap.Mem) error {
	all := w.Blasts.Slice(m)
	left := 0
	for _, r := range all {
		b := r.Ptr(m)
		if b.Left--; b.Left <= 0 {
			if err := cowheap.Free(m, r); err != nil {
				return err
			}
			continue
		}
		all[left] = r
		left++
	}
	w.Blasts.Truncate(m, left)
	return nil
}

// swarm moves the entities. Every frame writes all of them and one row of the trail, and
// one entity in sixteen the ground below it: of some 9,300 pages a tenth.
func (w *world) swarm(m *cowheap.Mem) {
	const pull, wear = 1 << 12, 16
	row := &w.Trail.Ptr(m)[w.Frame%trailFrames]
	ground := w.Ground.Ptr(m)
	blasts := w.Blasts.Slice(m)
	all := w.Entities.Ptr(m)
	for i := range all {
		e := &all[i]
		p := &w.Player[e.Team%maxPeers]
		was := row[i] // trailFrames ago: what makes each of them wander on its own
		e.VX += clamp((p.X+e.DX-e.X)>>9, -pull, pull) + was.Y>>12&0x1fff - 0xfff
		e.VY += clamp((p.Y+e.DY-e.Y)>>9, -pull, pull) - was.X>>12&0x1fff + 0xfff
		e.VX -= e.VX >> 5
		e.VY -= e.VY >> 5
		for _, r := range blasts {
			b := r.Ptr(m)
			if dx, dy := e.X-b.X, e.Y-b.Y; abs(dx) < 1<<22 && abs(dy) < 1<<22 {
				e.VX += sign(dx) * b.Strength
				e.VY += sign(dy) * b.Strength
			}
		}
		e.X, e.VX = move(e.X, e.VX)
		e.Y, e.VY = move(e.Y, e.VY)
		row[i] = place{e.X, e.Y}
		if (uint64(i/16)+w.Frame)%wear != 0 {
			continue
		}
		cell := &ground[e.cell()]
		*cell++
		if *cell%32 == 0 { // a stone comes to light
			e.VX, e.VY = -e.VX, -e.VY
			e.Bumps++
		}
	}
}

// cell is the cell of the ground that e is on. Cells lie in squares of 32 by 32, a page
// each, so that a swarm wears few pages.
func (e *entity) cell() uint32 {
	x, y := uint32(e.X>>16), uint32(e.Y>>16)
	square := y/32*(side/32) + x/32
	return square*(32*32) + y%32*32 + x%32
}

// move is one coordinate a frame later; at the border it turns round.
func move(at, by int32) (int32, int32) {
	if at += by; at < 0 || at > border {
		return clamp(at, 0, border), -by
	}
	return at, by
}

func clamp(x, low, high int32) int32 { return min(max(x, low), high) }

func abs(x int32) int32 { return max(x, -x) }

func sign(x int32) int32 { return x>>31 | 1 }

// spoil flips a bit, as a bug of the simulation would do on one machine only.
func spoil(m *cowheap.Mem) error {
	root, err := cowheap.Root[world](m, "world")
	if err == nil {
		root.Ptr(m).Ground.Ptr(m)[side*side/2] ^= 1
	}
	return err
}

// scripted is what a player does: for a while the same, as people do, so that repeating
// the last input is a good guess.
func scripted(who int, frame int) input {
	const hold = 24
	at := frame + 7*who
	random := uint64(who)<<32 | uint64(at/hold)
	in := input(next(&random)) & (inputAll &^ inputFire)
	if at%hold == 0 && next(&random)%4 == 0 {
		in |= inputFire
	}
	return in
}
