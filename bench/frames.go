package main

import (
	"fmt"
	"math"
	"strings"

	"github.com/cowheap/cowheap/arena"
)

// The case "frames": what does it cost a game to save its state every frame, and to go
// back some frames, in nanoseconds a frame?
//
// A frame writes eight bytes to each of some random pages, others in every frame, and
// is then saved; the last ten saved are kept. How large the state is and how many percent
// of its pages are written is in the name: /64MiB/1%. With /same it is the same pages in every
// frame, as where what moves keeps moving. In the JSON line they
// are "bytes" and "dirty". Ten frames are played before the clock runs, and each figure
// is the mean over as many frames as go into a quarter of a second, at least three.
//
//   - save: the writes themselves, Snapshot, and closing the oldest of the ten. So
//     what a first write costs is part of it.
//   - load8, load1: Rollback to the snapshot of eight frames ago, or of one, when
//     the newest frame has just been saved. What was taken back is played again before
//     the next, with the same writes, and is not in the figure.
//   - shadow, userfault, mprotect: the guard of the arena. Writes are plain stores to its
//     memory, and nobody else writes, so there is no gate.
//   - memcpy: plain memory, the same writes, and a copy of the whole state by one
//     processor: save into the next of ten copies that are there already (of two if
//     ten would be more than two GiB), load from one of them.
//
// -size leaves out states that are larger; with -quick the larger ones are a 64th of what
// their names say.
//
// Not measured: checksums of frames, and what the game computes.

const (
	opSave  = "save"
	opLoad  = "load"
	opLoad8 = "load8"
	opLoad1 = "load1"

	wayMemcpy = "memcpy"

	// framesKept is how many frames can be gone back to, and one more.
	framesKept = 10
)

// frameShape is how large a state is, and how much of it a frame writes.
type frameShape struct {
	size  size
	dirty float64 // percent of the pages
	same  bool    // in every frame
}

var frameShapes = []frameShape{
	{1 * mib, 100, false},
	{64 * mib, 0.1, false},
	{64 * mib, 1, false},
	{64 * mib, 10, false},
	{64 * mib, 50, false},
	{64 * mib, 1, true},
	{64 * mib, 10, true},
	{64 * mib, 50, true},
	{1 * gib, 0.1, false},
	{1 * gib, 0.1, true},
}

// frameOps are the operations of each way.
var frameOps = []struct {
	way string
	ops []string
}{
	{wayMemcpy, []string{opSave, opLoad}},
	{arena.GuardShadow.String(), []string{opSave, opLoad8, opLoad1}},
	{arena.GuardUserfault.String(), []string{opSave, opLoad8, opLoad1}},
	{arena.GuardMprotect.String(), []string{opSave, opLoad8}},
}

// of is the variant that does op on the shape in some way.
func (s frameShape) of(way, op string) string {
	name := fmt.Sprintf("%s/%s/%v/%v%%", way, op, s.size, s.dirty)
	if s.same {
		name += "/same"
	}
	return name
}

// bytes is how large the state is.
func (s frameShape) bytes(quick bool) int64 {
	if quick {
		return max(int64(s.size)/quickShare, mib)
	}
	return int64(s.size)
}

// written is how many of the pages a frame writes.
func (s frameShape) written(pages int) int {
	return max(1, int(math.Round(float64(pages)*s.dirty/100)))
}

// frameVariant is what a variant's name says.
type frameVariant struct {
	shape   frameShape
	way, op string
}

// back is how many frames its op goes back; 0: it saves.
func (v frameVariant) back() int {
	switch v.op {
	case opLoad, opLoad8:
		return 8
	case opLoad1:
		return 1
	}
	return 0
}

// findFrames takes a variant's name apart.
func findFrames(variant string) frameVariant {
	way, rest, _ := strings.Cut(variant, "/")
	op, _, _ := strings.Cut(rest, "/")
	for _, s := range frameShapes {
		if s.of(way, op) == variant {
			return frameVariant{s, way, op}
		}
	}
	panic(fmt.Sprintf("bench: no variant %s", variant))
}

func framesCase() *Case {
	c := &Case{
		Name:   "frames",
		About:  "saving a game's state every frame, and going back, a frame",
		Size:   1 * gib,
		Quick:  1 * gib / quickShare,
		Bounds: framesBounds(),
		Open:   openFrames,
	}
	for _, s := range frameShapes {
		for _, w := range frameOps {
			if s.same && w.way != wayMemcpy && w.way != arena.GuardShadow.String() {
				continue // to the others it is no matter
			}
			for _, op := range w.ops {
				reference := s.of(wayMemcpy, opLoad)
				if op == opSave {
					reference = s.of(wayMemcpy, opSave)
				}
				c.Variants = append(c.Variants, Variant{s.of(w.way, op), "ns", reference})
			}
		}
	}
	return c
}

func framesBounds() (all []Bound) {
	for _, b := range []struct {
		size               size
		dirty              float64
		save, load8, load1 float64 // memcpy takes so many times as long; 0: no matter
	}{
		{64 * mib, 1, 15, 3, 15},
		{1 * gib, 0.1, 80, 20, 0},
	} {
		s := frameShape{b.size, b.dirty, false}
		shadow := arena.GuardShadow.String()
		all = append(all,
			Bound{s.of(wayMemcpy, opSave), ">=", b.save, s.of(shadow, opSave)},
			Bound{s.of(wayMemcpy, opLoad), ">=", b.load8, s.of(shadow, opLoad8)})
		if b.load1 != 0 {
			all = append(all, Bound{s.of(wayMemcpy, opLoad), ">=", b.load1, s.of(shadow, opLoad1)})
		}
	}
	for _, s := range []frameShape{{64 * mib, 50, false}, {1 * mib, 100, false}} {
		all = append(all, Bound{s.of(arena.GuardShadow.String(), opSave), "<=", 1.5, s.of(wayMemcpy, opSave)})
	}
	return all
}
