package main

import (
	"math/rand/v2"
	"net"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// weather is how bad the network is made.
type weather struct {
	Delay, Jitter time.Duration // a packet takes Delay, more or less by up to Jitter
	Loss          float64       // of 1
}

// link is a UDP socket whose packets are late, out of order and lost. What it
// receives is read into Go memory: the kernel gives EFAULT rather than wait for a page of
// the heap that a snapshot protects.
type link struct {
	conn     *net.UDPConn
	weather  weather
	received chan datagram

	sent, lost atomic.Int64

	mu    sync.Mutex
	rng   *rand.Rand
	queue []datagram // by time
	wake  chan struct{}
	done  chan struct{}
	wg    sync.WaitGroup
}

// datagram is on its way: to peer, or from it.
type datagram struct {
	due  time.Time
	peer netip.AddrPort
	b    []byte
}

func newLink(w weather, seed uint64) (*link, error) {
	conn, err := net.ListenUDP("udp4", net.UDPAddrFromAddrPort(netip.MustParseAddrPort("127.0.0.1:0")))
	if err != nil {
		return nil, err
	}
	l := &link{
		conn: conn, weather: w, rng: rand.New(rand.NewPCG(seed, 1)),
		received: make(chan datagram, 4096), wake: make(chan struct{}, 1), done: make(chan struct{}),
	}
	l.wg.Go(l.receive)
	l.wg.Go(l.deliver)
	return l, nil
}

func (l *link) addr() netip.AddrPort { return l.conn.LocalAddr().(*net.UDPAddr).AddrPort() }

// send sends b, which it keeps, sooner or later or never.
func (l *link) send(to netip.AddrPort, b []byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.sent.Add(1)
	if l.rng.Float64() < l.weather.Loss {
		l.lost.Add(1)
		return
	}
	delay := l.weather.Delay
	if j := l.weather.Jitter; j > 0 {
		delay += time.Duration(l.rng.Int64N(int64(2*j)+1)) - j
	}
	d := datagram{time.Now().Add(max(delay, 0)), to, b}
	i, _ := slices.BinarySearchFunc(l.queue, d, func(a, b datagram) int { return a.due.Compare(b.due) })
	l.queue = slices.Insert(l.queue, i, d)
	if i == 0 {
		select {
		case l.wake <- struct{}{}:
		default: // it will look anyway
		}
	}
}

// deliver sends what is due.
func (l *link) deliver() {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		l.mu.Lock()
		wait := time.Hour
		for len(l.queue) > 0 {
			if wait = time.Until(l.queue[0].due); wait > 0 {
				break
			}
			// As with every network, an error is a packet lost.
			_, _ = l.conn.WriteToUDPAddrPort(l.queue[0].b, l.queue[0].peer)
			l.queue = slices.Delete(l.queue, 0, 1)
			wait = time.Hour
		}
		l.mu.Unlock()
		timer.Reset(wait)
		select {
		case <-timer.C:
		case <-l.wake:
		case <-l.done:
			return
		}
	}
}

// receive passes on what comes in, until Close. If nobody takes it, it is lost.
func (l *link) receive() {
	buf := make([]byte, 2048)
	for {
		n, from, err := l.conn.ReadFromUDPAddrPort(buf)
		if err != nil {
			select {
			case <-l.done:
				return
			default:
				continue // of a packet sent before: its receiver has gone
			}
		}
		select {
		case l.received <- datagram{time.Now(), netip.AddrPortFrom(from.Addr().Unmap(), from.Port()), slices.Clone(buf[:n])}:
		default:
		}
	}
}

func (l *link) close() error {
	close(l.done)
	err := l.conn.Close()
	l.wg.Wait()
	return err
}
