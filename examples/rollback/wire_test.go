package main

import (
	"bytes"
	"errors"
	"reflect"
	"testing"
)

func samples() []*packet {
	full := &packet{session: 1 << 60, from: 3, kind: kindNews, news: news{
		frame: 7, advantage: -20, sent: 1, echo: 2, held: heldNever, ack: 4, first: 5, sumAck: 6, sumFirst: 7,
	}}
	for i := range maxInputs {
		full.news.inputs = append(full.news.inputs, input(i)&inputAll)
	}
	for i := range maxSums {
		full.news.sums = append(full.news.sums, uint64(i)<<40)
	}
	answer := &packet{kind: kindAnswer, pages: pages{frame: 1, low: 2, high: 3, known: true}}
	answer.pages.sums[parts-1] = 1 << 63
	return []*packet{
		{kind: kindNews}, full, {kind: kindAsk, from: 7, pages: pages{frame: 9, low: 1, high: 1 << 31}}, answer,
	}
}

func TestPacketsComeOutAsTheyWentIn(t *testing.T) {
	for _, p := range samples() {
		b := p.encode(nil)
		if len(b) > packetSize {
			t.Errorf("a packet has %d bytes, more than %d", len(b), packetSize)
		}
		got, err := decode(b)
		if err != nil || !reflect.DeepEqual(got, p) {
			t.Errorf("%+v came out as %+v (%v)", p, got, err)
		}
		for n := range b {
			if _, err := decode(b[:n]); !errors.Is(err, errPacket) {
				t.Fatalf("%d of %d bytes: %v", n, len(b), err)
			}
		}
		if _, err := decode(append(b, 0)); !errors.Is(err, errPacket) {
			t.Errorf("a byte too many: %v", err)
		}
	}
}

// What is taken for a packet is one: it encodes to the same bytes but for what is ignored
// in inputs and flags.
func FuzzDecode(f *testing.F) {
	for _, p := range samples() {
		f.Add(p.encode(nil))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := decode(b)
		if err != nil {
			return
		}
		again := p.encode(nil)
		q, err := decode(again)
		if err != nil || len(again) != len(b) || !bytes.Equal(q.encode(nil), again) {
			t.Fatalf("%x became %x (%v)", b, again, err)
		}
	})
}

// Packets of strangers that look right must not hurt a peer.
func FuzzReceive(f *testing.F) {
	for _, p := range samples() {
		f.Add(p.encode(nil))
	}
	p, o := testPeer(f)
	f.Fuzz(func(t *testing.T, b []byte) {
		pkt, err := decode(b)
		if err != nil {
			return
		}
		pkt.session, pkt.from = p.session, 1
		p.receive(datagram{peer: o.addr, b: pkt.encode(nil)})
		if n := len(o.sums); n > p.total()+1 || len(p.game.inputs.known[1]) > p.total()+inputDelay {
			t.Fatalf("%d checksums and %d inputs of a game of %d frames", n, len(p.game.inputs.known[1]), p.total())
		}
		p.sendNews()
		p.pace()
	})
}
