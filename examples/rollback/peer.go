package main

import (
	"context"
	"fmt"
	"net/netip"
	"time"
)

const frameTime = time.Second / fps

// peer plays the game with the others.
type peer struct {
	settings
	me      int
	session uint64
	game    *game
	link    *link
	start   time.Time
	others  []*other // nil at me
	desync  *search
	tell    func(message) // the parent

	waited   time.Duration
	waits    int
	waiting  bool
	compared int
}

// other is what a peer knows of another one.
type other struct {
	addr     netip.AddrPort
	heard    bool
	at       time.Time // of its last news
	news     news
	echo     uint32        // sent of that
	ack      int           // inputs of mine that it has
	sumAck   int           // and checksums
	sums     []uint64      // its checksums of final frames
	compared int           // frames
	rtt      time.Duration // smoothed
}

// play plays to the end, or to a desync.
func (p *peer) play(ctx context.Context) error {
	due := time.Now()
	for p.game.now < p.total() && p.desync == nil {
		if err := p.untilDue(ctx, due); err != nil {
			return err
		}
		if err := p.game.correct(); err != nil {
			return err
		}
		if wait := p.game.mustWait(); wait {
			p.wait()
			due = time.Now().Add(frameTime / 4)
			p.sendNews()
			continue
		}
		p.waiting = false
		if err := p.frame(); err != nil {
			return err
		}
		// Whoever is behind goes on from now: what it has missed comes as rollbacks of
		// the others, not as a burst of frames.
		due = due.Add(p.pace())
		if now := time.Now(); due.Before(now) {
			due = now
		}
	}
	return p.finish(ctx)
}

// total is how many frames are played.
func (p *peer) total() int { return max(1, int(p.seconds*fps)) }

// frame plays one frame.
func (p *peer) frame() error {
	mine := p.game.now + inputDelay
	p.game.inputs.add(p.me, mine, []input{scripted(p.me, mine)})
	if _, err := p.game.save(); err != nil {
		return err
	}
	if err := p.confirm(); err != nil {
		return err
	}
	if err := p.game.simulate(); err != nil {
		return err
	}
	p.game.cost.end()
	p.sendNews()
	if p.game.now%(fps/4) == 0 {
		p.tell(message{At: p.game.now})
	}
	return nil
}

// finish waits until the last frame is final here, and saves it.
func (p *peer) finish(ctx context.Context) error {
	for p.desync == nil {
		if err := p.game.correct(); err != nil {
			return err
		}
		if p.game.inputs.confirmed() >= p.total() {
			break
		}
		p.sendNews()
		if err := p.untilDue(ctx, time.Now().Add(frameTime/4)); err != nil {
			return err
		}
	}
	if p.desync == nil {
		if _, err := p.game.save(); err != nil {
			return err
		}
		if err := p.confirm(); err != nil {
			return err
		}
	}
	return p.agree(ctx)
}

// agree goes on talking until everybody has told the parent how it went, because the
// others may still need what this peer knows.
func (p *peer) agree(ctx context.Context) error {
	told := false
	for ctx.Err() == nil {
		switch {
		case told:
		case p.desync != nil && p.desync.done:
			p.tell(message{Desync: &desync{Frame: p.desync.frame, Page: p.desync.page, Peer: p.desync.peer}})
			told = true
		case p.desync == nil && p.agreed():
			p.tell(message{Result: p.result()})
			told = true
		}
		if p.desync != nil && !p.desync.done {
			p.send(p.desync.peer, &packet{kind: kindAsk, pages: p.desync.ask})
		}
		p.sendNews()
		if err := p.untilDue(ctx, time.Now().Add(frameTime)); err != nil {
			break // the parent has heard from everybody
		}
	}
	return nil
}

// agreed reports whether every checksum has been compared with everybody's.
func (p *peer) agreed() bool {
	for _, o := range p.others {
		if o != nil && o.compared <= p.total() {
			return false
		}
	}
	return true
}

func (p *peer) result() *result {
	g := p.game
	stats := g.heap.Stats()
	return &result{
		Frames: g.now, Took: time.Since(p.start), Sum: g.history.sums[len(g.history.sums)-1],
		Guard: stats.Guard.String(), Used: stats.Used, Costs: g.cost, Compared: p.compared,
		Waits: p.waits, Waited: p.waited, Sent: p.link.sent.Load(), Lost: p.link.lost.Load(),
	}
}

// wait notes that the window is exhausted.
func (p *peer) wait() {
	if !p.waiting {
		p.waiting = true
		p.waits++
	}
	p.waited += frameTime / 4
}

// confirm notes what has become final, and compares it with what the others said.
func (p *peer) confirm() error {
	if err := p.game.confirm(); err != nil {
		return err
	}
	for i := range p.others {
		p.compare(i)
	}
	return nil
}

// compare compares checksums with peer i's, each frame once and in order. So the first
// difference is the first frame that differs.
func (p *peer) compare(i int) {
	o := p.others[i]
	if o == nil || p.desync != nil {
		return
	}
	mine := p.game.history.sums
	for ; o.compared < min(len(mine), len(o.sums)); o.compared++ {
		if mine[o.compared] != o.sums[o.compared] {
			p.desync = newSearch(i, o.compared)
			return
		}
		p.compared++
	}
}

// pace is how long this frame lasts: somewhat longer for one who is ahead of the others,
// so that nobody has to wait for long.
func (p *peer) pace() time.Duration {
	ahead := 0.0
	for _, o := range p.others {
		if o != nil && o.heard {
			theirs := float64(o.news.advantage) / 16
			ahead = max(ahead, (p.advantage(o)-theirs)/2)
		}
	}
	if ahead < 0.5 {
		return frameTime
	}
	return frameTime + time.Duration(min(ahead*0.1, 0.3)*float64(frameTime))
}

// advantage is how many frames this peer is ahead of the place where it thinks that o is.
func (p *peer) advantage(o *other) float64 {
	theirs := float64(o.news.frame) + float64(time.Since(o.at)+o.rtt/2)/float64(frameTime)
	return float64(p.game.now) - min(theirs, float64(p.total()))
}

// untilDue takes what comes in until a time, or until ctx ends.
func (p *peer) untilDue(ctx context.Context, due time.Time) error {
	timer := time.NewTimer(max(time.Until(due), 0))
	defer timer.Stop()
	for {
		// What is there comes first, so that nothing is guessed that is known.
		select {
		case d := <-p.link.received:
			p.receive(d)
			continue
		default:
		}
		select {
		case d := <-p.link.received:
			p.receive(d)
		case <-timer.C:
			return ctx.Err()
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// receive takes a packet, which may come from anybody.
func (p *peer) receive(d datagram) {
	pkt, err := decode(d.b)
	if err != nil || pkt.session != p.session || int(pkt.from) >= len(p.others) {
		return
	}
	i := int(pkt.from)
	o := p.others[i]
	if o == nil || o.addr != d.peer {
		return
	}
	switch pkt.kind {
	case kindNews:
		p.hear(o, d.due, pkt.news)
		p.compare(i)
	case kindAsk:
		p.send(i, &packet{kind: kindAnswer, pages: p.game.history.answer(pkt.pages)})
	case kindAnswer:
		if p.desync != nil && p.desync.peer == i {
			p.desync.hear(&p.game.history, pkt.pages)
		}
	}
}

// hear takes news, which may be late and out of order.
func (p *peer) hear(o *other, at time.Time, n news) {
	i := p.index(o)
	// Inputs of a game that goes on for longer than agreed are nobody's.
	if most := p.total() + inputDelay; uint64(n.first) <= uint64(most) {
		p.game.inputs.add(i, int(n.first), n.inputs[:min(len(n.inputs), most-int(n.first))])
	}
	o.ack = max(o.ack, min(int(n.ack), len(p.game.inputs.known[p.me])))
	o.sumAck = max(o.sumAck, min(int(n.sumAck), len(p.game.history.sums)))
	if have := len(o.sums); int64(n.sumFirst) <= int64(have) && int64(n.sumFirst)+int64(len(n.sums)) <= int64(p.total()+1) {
		if new := have - int(n.sumFirst); new < len(n.sums) {
			o.sums = append(o.sums, n.sums[new:]...)
		}
	}
	if o.heard && int32(n.sent-o.echo) <= 0 {
		return // older than what is known
	}
	if n.held != heldNever {
		rtt := time.Duration(micros(at.Sub(p.start))-n.echo-n.held) * time.Microsecond
		if rtt < time.Minute {
			if o.rtt == 0 {
				o.rtt = rtt
			}
			o.rtt += (rtt - o.rtt) / 8
		}
	}
	o.heard, o.at, o.news, o.echo = true, at, n, n.sent
}

func (p *peer) index(o *other) int {
	for i := range p.others {
		if p.others[i] == o {
			return i
		}
	}
	panic(fmt.Sprintf("no such peer: %v", o.addr))
}

// sendNews tells every other peer what it does not know.
func (p *peer) sendNews() {
	for i, o := range p.others {
		if o == nil {
			continue
		}
		mine, sums := p.game.inputs.known[p.me], p.game.history.sums
		n := news{
			frame: uint32(p.game.now), sent: micros(time.Since(p.start)), held: heldNever,
			ack:   uint32(len(p.game.inputs.known[i])),
			first: uint32(o.ack), inputs: mine[o.ack:min(len(mine), o.ack+maxInputs)],
			sumAck:   uint32(len(o.sums)),
			sumFirst: uint32(o.sumAck), sums: sums[o.sumAck:min(len(sums), o.sumAck+maxSums)],
		}
		if o.heard {
			n.echo, n.held = o.echo, micros(time.Since(o.at))
			n.advantage = int16(min(max(p.advantage(o)*16, -1<<15), 1<<15-1))
		}
		p.send(i, &packet{kind: kindNews, news: n})
	}
}

func (p *peer) send(to int, pkt *packet) {
	pkt.session, pkt.from = p.session, uint8(p.me)
	p.link.send(p.others[to].addr, pkt.encode(make([]byte, 0, packetSize)))
}
