package main

import (
	"net/netip"
	"testing"
	"time"
)

// testPeer is peer 0 of two, whose packets nobody gets.
func testPeer(t testing.TB) (*peer, *other) {
	t.Helper()
	l, err := newLink(weather{Loss: 1}, 1)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.close() })
	o := &other{addr: netip.MustParseAddrPort("127.0.0.1:9")}
	return &peer{
		settings: settings{peers: 2, seconds: 1}, session: 5, game: newTestGame(t, 2), link: l,
		start: time.Now(), others: []*other{nil, o}, tell: func(message) {},
	}, o
}

func (p *peer) hears(o *other, n news) {
	pkt := &packet{session: p.session, from: 1, kind: kindNews, news: n}
	p.receive(datagram{due: time.Now(), peer: o.addr, b: pkt.encode(nil)})
}

func TestPeerTakesInputsInOrderOnly(t *testing.T) {
	p, o := testPeer(t)
	known := func() []input { return p.game.inputs.known[1][inputDelay:] }
	p.hears(o, news{sent: 1, first: inputDelay + 1, inputs: []input{1, 2}}) // there is a gap
	if len(known()) != 0 {
		t.Errorf("inputs after a gap were taken: %v", known())
	}
	p.hears(o, news{sent: 2, first: inputDelay, inputs: []input{1, 2, 3}})
	p.hears(o, news{sent: 1, first: inputDelay, inputs: []input{4, 4}}) // late
	p.hears(o, news{sent: 3, first: inputDelay + 2, inputs: []input{5, 6}})
	if got := known(); len(got) != 4 || got[0] != 1 || got[2] != 3 || got[3] != 6 {
		t.Errorf("inputs %v, want 1 2 3 6", got)
	}
}

func TestPeerIgnoresStrangers(t *testing.T) {
	p, o := testPeer(t)
	pkt := &packet{session: p.session, from: 1, kind: kindNews, news: news{sent: 1, first: inputDelay, inputs: []input{1}}}
	for what, change := range map[string]func(pkt *packet, d *datagram){
		"another address": func(_ *packet, d *datagram) { d.peer = netip.MustParseAddrPort("127.0.0.1:10") },
		"another session": func(pkt *packet, _ *datagram) { pkt.session++ },
		"myself":          func(pkt *packet, _ *datagram) { pkt.from = 0 },
		"nobody":          func(pkt *packet, _ *datagram) { pkt.from = 2 },
	} {
		c, d := *pkt, datagram{peer: o.addr}
		change(&c, &d)
		d.b = c.encode(nil)
		if p.receive(d); o.heard || len(p.game.inputs.known[1]) != inputDelay {
			t.Errorf("a packet of %s was taken", what)
		}
	}
}

func TestPeerWhoIsAheadSlowsDown(t *testing.T) {
	p, o := testPeer(t)
	p.game.now = 30
	p.hears(o, news{sent: 1, frame: 24, advantage: -6 * 16, held: heldNever})
	if got := p.pace(); got <= frameTime || got > 2*frameTime {
		t.Errorf("six frames ahead, a frame lasts %v", got)
	}
	p.game.now = 20
	p.hears(o, news{sent: 2, frame: 24, advantage: 4 * 16, held: heldNever})
	if got := p.pace(); got != frameTime {
		t.Errorf("behind, a frame lasts %v, want %v", got, frameTime)
	}
}

func TestPeerFindsTheFirstChecksumThatDiffers(t *testing.T) {
	p, o := testPeer(t)
	for range 6 {
		playOne(t, p.game)
	}
	sums := append([]uint64(nil), p.game.history.sums...)
	sums[3]++
	sums[4]++
	p.hears(o, news{sent: 1, sums: sums})
	if p.desync == nil || p.desync.frame != 3 || p.desync.peer != 1 || p.compared != 3 {
		t.Errorf("found %+v after %d comparisons, want frame 3", p.desync, p.compared)
	}
}
