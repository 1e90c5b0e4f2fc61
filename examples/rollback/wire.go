package main

import (
	"encoding/binary"
	"errors"
	"time"
)

// A packet is a header and, by its kind, what a peer says of its game. Everything
// in it may come from anybody: decode checks lengths and counts, and who uses it frames
// and places.
//
//	magic 4, session 8, from 1, kind 1
//	news:   frame 4, advantage 2, sent 4, echo 4, held 4, ack 4, first 4, count 1, inputs 2 each,
//	        sumAck 4, sumFirst 4, count 1, sums 8 each
//	ask:    frame 4, low 4, high 4
//	answer: frame 4, low 4, high 4, known 1, sums 8 each of parts
type packet struct {
	session uint64
	from    uint8
	kind    kind
	news    news
	pages   pages
}

type kind uint8

const (
	kindNews   kind = 1 // inputs and checksums, every frame
	kindAsk    kind = 2 // for checksums of pages
	kindAnswer kind = 3
)

// news is what a peer sends every frame. Inputs and checksums are sent again
// until they are acknowledged, so that a lost packet costs nothing but time.
type news struct {
	frame     uint32
	advantage int16 // frames that the sender thinks it is ahead of the receiver, in 1/16
	sent      uint32
	echo      uint32 // sent of the last news from the receiver, in microseconds
	held      uint32 // microseconds since that came in; heldNever if none came
	ack       uint32 // inputs of the receiver that the sender has
	first     uint32 // frame of inputs[0]
	inputs    []input
	sumAck    uint32 // checksums of the receiver that the sender has
	sumFirst  uint32
	sums      []uint64
}

// pages asks for, or tells, the sums of a frame's page checksums in parts of [low, high).
type pages struct {
	frame, low, high uint32
	known            bool // the sender has this frame still
	sums             [parts]uint64
}

const (
	magic      = 0x636f7768 // "cowh"
	maxInputs  = 64         // in a packet
	maxSums    = 32
	parts      = 64
	heldNever  = ^uint32(0)
	packetSize = 1200 // more than any packet has
)

var errPacket = errors.New("not a packet of this program")

func (p *packet) encode(b []byte) []byte {
	le := binary.LittleEndian
	b = le.AppendUint32(b, magic)
	b = le.AppendUint64(b, p.session)
	b = append(b, p.from, byte(p.kind))
	switch p.kind {
	case kindNews:
		n := &p.news
		b = le.AppendUint32(b, n.frame)
		b = le.AppendUint16(b, uint16(n.advantage))
		for _, x := range []uint32{n.sent, n.echo, n.held, n.ack, n.first} {
			b = le.AppendUint32(b, x)
		}
		b = append(b, byte(len(n.inputs)))
		for _, in := range n.inputs {
			b = le.AppendUint16(b, uint16(in))
		}
		b = le.AppendUint32(b, n.sumAck)
		b = le.AppendUint32(b, n.sumFirst)
		b = append(b, byte(len(n.sums)))
		for _, sum := range n.sums {
			b = le.AppendUint64(b, sum)
		}
	case kindAsk, kindAnswer:
		for _, x := range []uint32{p.pages.frame, p.pages.low, p.pages.high} {
			b = le.AppendUint32(b, x)
		}
		if p.kind == kindAsk {
			break
		}
		known := byte(0)
		if p.pages.known {
			known = 1
		}
		b = append(b, known)
		for _, sum := range p.pages.sums {
			b = le.AppendUint64(b, sum)
		}
	}
	return b
}

// decode makes a packet of what came in. Nothing in it refers to b.
func decode(b []byte) (*packet, error) {
	r := reader{b: b}
	if r.u32() != magic {
		return nil, errPacket
	}
	p := &packet{session: r.u64(), from: r.u8(), kind: kind(r.u8())}
	switch p.kind {
	case kindNews:
		n := &p.news
		n.frame, n.advantage = r.u32(), int16(r.u16())
		n.sent, n.echo, n.held, n.ack, n.first = r.u32(), r.u32(), r.u32(), r.u32(), r.u32()
		inputs := int(r.u8())
		if inputs > maxInputs {
			return nil, errPacket
		}
		for range inputs {
			n.inputs = append(n.inputs, input(r.u16())&inputAll)
		}
		n.sumAck, n.sumFirst = r.u32(), r.u32()
		sums := int(r.u8())
		if sums > maxSums {
			return nil, errPacket
		}
		for range sums {
			n.sums = append(n.sums, r.u64())
		}
	case kindAsk, kindAnswer:
		p.pages.frame, p.pages.low, p.pages.high = r.u32(), r.u32(), r.u32()
		if p.pages.high < p.pages.low {
			return nil, errPacket
		}
		if p.kind == kindAsk {
			break
		}
		p.pages.known = r.u8() == 1
		for i := range p.pages.sums {
			p.pages.sums[i] = r.u64()
		}
	default:
		return nil, errPacket
	}
	if r.short || len(r.b) > 0 {
		return nil, errPacket
	}
	return p, nil
}

// reader takes numbers off the front; beyond the end they are 0, and short says so.
type reader struct {
	b     []byte
	short bool
}

func (r *reader) take(n int) []byte {
	if len(r.b) < n {
		r.short, r.b = true, nil
		return make([]byte, n)
	}
	b := r.b[:n]
	r.b = r.b[n:]
	return b
}

func (r *reader) u8() uint8   { return r.take(1)[0] }
func (r *reader) u16() uint16 { return binary.LittleEndian.Uint16(r.take(2)) }
func (r *reader) u32() uint32 { return binary.LittleEndian.Uint32(r.take(4)) }
func (r *reader) u64() uint64 { return binary.LittleEndian.Uint64(r.take(8)) }

// micros is a time as it is sent: it wraps round every 71 minutes, and differences do not
// mind.
func micros(since time.Duration) uint32 { return uint32(since / time.Microsecond) }
