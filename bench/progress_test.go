package main

import (
	"strings"
	"testing"
)

func TestProgressSaysWhatStandsAheadAsItIs(t *testing.T) {
	var b strings.Builder
	p := &progress{w: &b, ahead: func() string { return "[##..] 55%, about 2 s left: " }}
	p.say("%s: round %d of %d", "fault", 1, 2)
	if want := beginLine + "[##..] 55%, about 2 s left: fault: round 1 of 2"; b.String() != want {
		t.Errorf("%q, want %q", b.String(), want)
	}
	p.clear()
	if !strings.HasSuffix(b.String(), beginLine) {
		t.Errorf("%q is left", b.String())
	}
	silent := newProgress(&b)
	before := b.Len()
	silent.say("something")
	if b.Len() != before {
		t.Error("something is said where there is no terminal")
	}
}
