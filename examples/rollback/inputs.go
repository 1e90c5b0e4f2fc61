package main

// inputs are what the players did, as far as it is known here, and what was
// assumed where it was not.
type inputs struct {
	known [][]input         // of each player, from frame 0 on
	used  [][maxPeers]input // in the simulation of each frame
	wrong int               // the first frame that was simulated with a wrong guess; none: -1
}

func newInputs(players, delay int) *inputs {
	in := &inputs{known: make([][]input, players), wrong: -1}
	for p := range in.known {
		in.known[p] = make([]input, delay) // nobody does anything yet
	}
	return in
}

// add makes inputs of a player known, from frame first on. What is known already must not
// change; after a gap nothing can be used.
func (in *inputs) add(player, first int, more []input) {
	have := len(in.known[player])
	if first > have || first+len(more) <= have {
		return
	}
	for i, v := range more[have-first:] {
		frame := have + i
		in.known[player] = append(in.known[player], v)
		if frame < len(in.used) && in.used[frame][player] != v && (in.wrong < 0 || frame < in.wrong) {
			in.wrong = frame
		}
	}
}

// confirmed is how many frames have all inputs known: the state before that frame is final.
func (in *inputs) confirmed() int {
	n := len(in.known[0])
	for _, k := range in.known {
		n = min(n, len(k))
	}
	return n
}

// use gives the inputs of a frame, and takes the last one of a player whose input is not
// known: the guess that is right most often.
func (in *inputs) use(frame int) []input {
	var now [maxPeers]input
	for p, k := range in.known {
		switch {
		case frame < len(k):
			now[p] = k[frame]
		case len(k) > 0:
			now[p] = k[len(k)-1] &^ inputFire // nobody fires for long
		}
	}
	if frame == len(in.used) {
		in.used = append(in.used, now)
	} else {
		in.used[frame] = now
	}
	return now[:len(in.known)]
}

// mistake is the first frame that has to be simulated again, and forgets it.
func (in *inputs) mistake() (frame int, ok bool) {
	frame = in.wrong
	in.wrong = -1
	return frame, frame >= 0
}
