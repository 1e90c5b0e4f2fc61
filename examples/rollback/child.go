package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"time"

	"github.com/cowheap/cowheap/arena"
)

// A peer's process talks to its parent in lines of JSON: it says where it is to be
// reached, is told where the others are, says how far it has come and how it
// went, and ends when its standard input does.

// message is what a peer tells the parent: one of these.
type message struct {
	Addr   *netip.AddrPort `json:",omitempty"`
	At     int             `json:",omitempty"` // frame
	Result *result         `json:",omitempty"`
	Desync *desync         `json:",omitempty"`
	Error  string          `json:",omitempty"`
}

// beginning is what the parent tells every peer.
type beginning struct {
	Session uint64
	Peers   []netip.AddrPort
}

// result is how the game went for a peer.
type result struct {
	Frames   int
	Took     time.Duration
	Sum      uint64 // of the last frame
	Compared int    // checksums, with the other peers'
	Guard    string
	Used     int64 // bytes of the heap
	Costs    costs
	Waits    int
	Waited   time.Duration
	Sent     int64 // packets
	Lost     int64
}

// desync is the first difference that a peer has found.
type desync struct {
	Frame int
	Page  int // pageUnknown: it could not be found out
	Peer  int // whom it differs from
}

// child is the program of one peer.
func child(ctx context.Context, s settings, stdin io.Reader, stdout io.Writer) error {
	out := json.NewEncoder(stdout)
	err := (&peer{settings: s, me: s.peer}).run(ctx, stdin, out)
	if err == nil || errors.Is(err, context.Canceled) {
		return nil // the parent has heard what it wanted, or is gone
	}
	if out.Encode(message{Error: err.Error()}) == nil {
		return errTold
	}
	return err
}

// errTold: the parent knows what went wrong.
var errTold = errors.New("told")

func (p *peer) run(ctx context.Context, stdin io.Reader, out *json.Encoder) (err error) {
	if p.game, err = newGame(p.settings); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, p.game.close()) }()
	if p.me == p.peers-1 {
		p.game.spoiled = p.spoil
	}
	if p.link, err = newLink(p.weather, uint64(p.me)); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, p.link.close()) }()
	addr := p.link.addr()
	if err := out.Encode(message{Addr: &addr}); err != nil {
		return err
	}
	in := json.NewDecoder(stdin)
	var b beginning
	if err := in.Decode(&b); err != nil {
		return fmt.Errorf("waiting for the others: %w", err)
	}
	if len(b.Peers) != p.peers {
		return fmt.Errorf("%d peers, want %d", len(b.Peers), p.peers)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		_, _ = io.Copy(io.Discard, stdin)
		cancel() // the parent is done, or dead
	}()
	p.session, p.start = b.Session, time.Now()
	p.others = make([]*other, p.peers)
	for i, addr := range b.Peers {
		if i != p.me {
			p.others[i] = &other{addr: addr}
		}
	}
	p.tell = func(m message) { _ = out.Encode(m) } // without a parent stdin ends, too
	return p.play(ctx)
}

// chooseGuard is the guard that fits best: shadow, if it works here.
func chooseGuard() arena.Guard {
	for _, g := range arena.Probe() {
		if g.Guard == arena.GuardShadow && g.Err == nil {
			return g.Guard
		}
	}
	return arena.GuardAuto
}
