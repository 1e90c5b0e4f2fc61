package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/netip"
	"os"
	"os/exec"
	"sync"
	"time"
)

// match starts the peers, lets them play, and judges.
func match(ctx context.Context, s settings, out *printer, stderr io.Writer) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	m := &referee{settings: s, heard: make(chan report, 64), stderr: &oneAtATime{w: stderr}}
	out.line("%d peers, each a process; %v ± %v from one to another, %v %% of the packets lost; guard %v",
		s.peers, s.weather.Delay, s.weather.Jitter, round(s.weather.Loss*100), s.guard)
	err := m.start(ctx)
	if err == nil {
		err = m.begin()
	}
	if err == nil {
		err = m.listen(ctx, out)
	}
	if stopped := m.stop(cancel); err == nil {
		err = stopped
	}
	if cause := context.Cause(ctx); err != nil && errors.Is(err, context.Canceled) && cause != nil {
		return cause
	}
	if err != nil {
		return err
	}
	return m.judge(out)
}

// referee is the parent of the peers.
type referee struct {
	settings
	stderr io.Writer
	peers  []*process
	heard  chan report
}

// oneAtATime lets several processes write to one place.
type oneAtATime struct {
	mu sync.Mutex
	w  io.Writer
}

func (o *oneAtATime) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.w.Write(p)
}

// process is a peer as its parent sees it.
type process struct {
	cmd    *exec.Cmd
	stdin  io.WriteCloser
	addr   netip.AddrPort
	at     int
	result *result
	desync *desync
	ended  bool
}

// report is a message with who sent it; of an end it has the error.
type report struct {
	from int
	message
	ended bool
	err   error
}

// start starts the processes.
func (m *referee) start(ctx context.Context) error {
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("starting the peers: %w", err)
	}
	for i := range m.settings.peers {
		cmd := exec.CommandContext(ctx, self, m.args(i)...)
		cmd.Stderr = m.stderr
		cmd.WaitDelay = 5 * time.Second
		stdin, err := cmd.StdinPipe()
		if err != nil {
			return err
		}
		stdout, err := cmd.StdoutPipe()
		if err != nil {
			return err
		}
		if err := cmd.Start(); err != nil {
			return fmt.Errorf("starting peer %d: %w", i, err)
		}
		m.peers = append(m.peers, &process{cmd: cmd, stdin: stdin})
		go m.follow(i, cmd, stdout)
	}
	for range m.peers {
		r := m.hear()
		if err := r.failure(); err != nil {
			return err
		}
		if r.Addr == nil {
			return fmt.Errorf("peer %d did not say where it is to be reached", r.from)
		}
		m.peers[r.from].addr = *r.Addr
	}
	return nil
}

// follow passes on what a peer says, and that it has ended.
func (m *referee) follow(i int, cmd *exec.Cmd, stdout io.Reader) {
	in := json.NewDecoder(stdout)
	for {
		var msg message
		if in.Decode(&msg) != nil {
			break
		}
		m.heard <- report{from: i, message: msg}
	}
	m.heard <- report{from: i, ended: true, err: cmd.Wait()}
}

// hear waits for the next report.
func (m *referee) hear() report { return m.note(<-m.heard) }

func (m *referee) note(r report) report {
	m.peers[r.from].ended = m.peers[r.from].ended || r.ended
	return r
}

// failure is why a report means that the game cannot go on.
func (r *report) failure() error {
	switch {
	case r.Error != "":
		return fmt.Errorf("peer %d: %s", r.from, r.Error)
	case r.ended && r.err != nil:
		return fmt.Errorf("peer %d: %w", r.from, r.err)
	case r.ended:
		return fmt.Errorf("peer %d has ended", r.from)
	}
	return nil
}

// begin tells the peers of one another; then they play.
func (m *referee) begin() error {
	b := beginning{Session: rand.Uint64()}
	for _, p := range m.peers {
		b.Peers = append(b.Peers, p.addr)
	}
	line, err := json.Marshal(b)
	if err != nil {
		return err
	}
	for i, p := range m.peers {
		if _, err := io.Copy(p.stdin, bytes.NewReader(append(line, '\n'))); err != nil {
			return fmt.Errorf("telling peer %d to begin: %w", i, err)
		}
	}
	return nil
}

// listen waits until every peer has said how it went: that it has agreed with all others
// on everything, or with whom it does not. Slowness is no reason to end.
func (m *referee) listen(ctx context.Context, out *printer) error {
	total := (&peer{settings: m.settings}).total()
	for said := 0; said < len(m.peers); {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case r := <-m.heard:
			m.note(r)
			if err := r.failure(); err != nil {
				return err
			}
			p := m.peers[r.from]
			switch {
			case r.Result != nil || r.Desync != nil:
				p.result, p.desync = r.Result, r.Desync
				said++
			case r.At > 0:
				p.at = r.At
				slowest := total
				for _, p := range m.peers {
					slowest = min(slowest, p.at)
				}
				out.progress(slowest, total)
			}
		}
	}
	return nil
}

// stop ends the processes: without standard input they end by themselves.
func (m *referee) stop(cancel func()) error {
	for _, p := range m.peers {
		_ = p.stdin.Close()
	}
	patience := time.AfterFunc(20*time.Second, cancel)
	defer patience.Stop()
	var first error
	for _, p := range m.peers {
		for !p.ended {
			if r := m.hear(); first == nil && (r.Error != "" || r.err != nil) {
				first = r.failure()
			}
		}
	}
	return first
}
