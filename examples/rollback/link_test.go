package main

import (
	"fmt"
	"testing"
	"time"
)

func linkPair(t *testing.T, w weather) (a, b *link) {
	t.Helper()
	for _, l := range []**link{&a, &b} {
		var err error
		if *l, err = newLink(w, 3); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { (*l).close() })
	}
	return a, b
}

func TestLinkDelivers(t *testing.T) {
	a, b := linkPair(t, weather{Delay: 5 * time.Millisecond, Jitter: 5 * time.Millisecond})
	began := time.Now()
	const n = 50
	for i := range n {
		a.send(b.addr(), fmt.Append(nil, i))
	}
	seen := map[string]bool{}
	for range n {
		d := <-b.received
		if d.peer != a.addr() || seen[string(d.b)] {
			t.Fatalf("%q from %v, which is %v", d.b, d.peer, a.addr())
		}
		seen[string(d.b)] = true
	}
	if len(seen) != n {
		t.Errorf("%d packets", len(seen))
	}
	if took := time.Since(began); took < time.Millisecond {
		t.Errorf("there after %v", took)
	}
}

func TestLinkLoses(t *testing.T) {
	a, b := linkPair(t, weather{Loss: 0.5})
	const n = 1000
	for range n {
		a.send(b.addr(), []byte("x"))
	}
	if lost := a.lost.Load(); a.sent.Load() != n || lost < n/3 || lost > 2*n/3 {
		t.Errorf("%d of %d packets lost, want about half", lost, a.sent.Load())
	}
}

func TestLinkClosesWithPacketsUnderWay(t *testing.T) {
	a, err := newLink(weather{Delay: time.Hour}, 1)
	if err != nil {
		t.Fatal(err)
	}
	a.send(a.addr(), []byte("x"))
	if err := a.close(); err != nil {
		t.Error(err)
	}
}
