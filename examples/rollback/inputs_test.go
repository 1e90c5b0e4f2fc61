package main

import (
	"slices"
	"testing"
)

func TestWrongGuessIsNoticed(t *testing.T) {
	in := newInputs(2, 0)
	for frame := range 4 {
		in.add(0, frame, []input{inputLeft})
	}
	in.add(1, 0, []input{inputUp | inputFire})
	for frame := range 4 {
		want := []input{inputLeft, inputUp}
		if frame == 0 {
			want[1] |= inputFire
		}
		if got := in.use(frame); !slices.Equal(got, want) {
			t.Errorf("frame %d is simulated with %v, want %v", frame, got, want)
		}
	}
	if n := in.confirmed(); n != 1 {
		t.Errorf("%d frames are confirmed, want 1", n)
	}
	in.add(1, 0, []input{inputUp | inputFire, inputUp}) // the guess was right
	if frame, ok := in.mistake(); ok {
		t.Errorf("frame %d is wrong", frame)
	}
	in.add(1, 2, []input{inputDown, inputDown})
	if frame, ok := in.mistake(); !ok || frame != 2 {
		t.Errorf("frame %d (%v) is the first wrong one, want 2", frame, ok)
	}
	if _, ok := in.mistake(); ok {
		t.Error("a mistake was told twice")
	}
}

// However late and in whatever order inputs come in, the game is the same in the end.
func TestGameGoesBackToTheTrueState(t *testing.T) {
	length := 30
	if testing.Short() {
		length = 4
	}
	truth, late := newTestGame(t, 2), newTestGame(t, 2)
	want := make([]uint64, length)
	for frame := range length {
		want[frame] = playOne(t, truth)
	}
	for frame := range length + window {
		have := frame + inputDelay
		late.inputs.add(0, have, []input{scripted(0, have)})
		if frame >= window-1 {
			n := have - (window - 1)
			late.inputs.add(1, n, []input{scripted(1, n)})
		}
		if late.mustWait() {
			t.Fatalf("frame %d waits for inputs", frame)
		}
		if err := late.correct(); err != nil {
			t.Fatal(err)
		}
		if _, err := late.save(); err != nil {
			t.Fatal(err)
		}
		if err := late.confirm(); err != nil {
			t.Fatal(err)
		}
		if err := late.simulate(); err != nil {
			t.Fatal(err)
		}
	}
	if got := late.history.sums[:length]; !slices.Equal(got, want) {
		t.Errorf("checksums %x, want %x", got, want)
	}
	if late.cost.Rollbacks == 0 || late.cost.Deepest > window {
		t.Errorf("%d rollbacks, the deepest by %d frames", late.cost.Rollbacks, late.cost.Deepest)
	}
}
