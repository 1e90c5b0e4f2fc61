package main

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"time"
)

// errDesync: the peers' states differ.
var errDesync = errors.New("desync")

// judge prints what the game cost, and whether all peers agree.
func (m *referee) judge(out *printer) error {
	if err := m.differences(); err != nil {
		return err
	}
	first := m.peers[0].result
	var all costs
	var compared, waits int
	var sent, lost int64
	var took, waited time.Duration
	for i, p := range m.peers {
		r := p.result
		if r.Sum != first.Sum || r.Frames != first.Frames {
			return fmt.Errorf("%w: peer %d ends in frame %d with checksum %016x, peer 0 in %d with %016x", errDesync, i, r.Frames, r.Sum, first.Frames, first.Sum)
		}
		all.merge(r.Costs)
		compared += r.Compared
		waits += r.Waits
		sent += r.Sent
		lost += r.Lost
		took, waited = max(took, r.Took), max(waited, r.Waited)
	}
	n := len(m.peers)
	out.line("  what all %d peers did together; durations are of one save, load or frame:", n)
	out.figure("frames", fmt.Sprint(first.Frames), "in %.1f s, %.1f a second, of each peer", took.Seconds(), float64(first.Frames)/took.Seconds())
	out.figure("state", mib(first.Used), "%d entities, %v guard", entities, first.Guard)
	all.print(out)
	out.figure("waits", fmt.Sprint(waits), "because more than %d frames would have been guessed; one peer waited %v in all", window, waited.Round(time.Millisecond))
	out.figure("packets", fmt.Sprint(sent), "%d of them lost on purpose", lost)
	return out.last("verified: %d peers agree on all %d frames, %d comparisons; the last has checksum %016x on all of them", n, first.Frames, compared, first.Sum)
}

// differences is an error that names the first frame and page in which peers differ.
func (m *referee) differences() error {
	earliest := -1
	for i, p := range m.peers {
		if p.desync != nil && (earliest < 0 || p.desync.Frame < m.peers[earliest].desync.Frame) {
			earliest = i
		}
	}
	if earliest < 0 {
		return nil
	}
	first := m.peers[earliest].desync
	var who []string
	for i, p := range m.peers {
		switch d := p.desync; {
		case d == nil:
		case d.Page == pageUnknown:
			who = append(who, fmt.Sprintf("\n  peer %d differs from peer %d in frame %d", i, d.Peer, d.Frame))
		default:
			who = append(who, fmt.Sprintf("\n  peer %d differs from peer %d in frame %d, page %d", i, d.Peer, d.Frame, d.Page))
		}
	}
	where := ""
	if first.Page != pageUnknown {
		where = fmt.Sprintf(", the first page is %d (bytes %#x to %#x of the heap)", first.Page, first.Page<<12, first.Page<<12+4095)
	}
	return fmt.Errorf("%w: the first frame that differs is %d%s%s", errDesync, first.Frame, where, strings.Join(who, ""))
}

// print prints what saving, loading and simulating cost.
func (c *costs) print(out *printer) {
	if c.Final > 0 {
		out.figure("written", fmt.Sprint(c.Changed/c.Final), "pages a frame")
	}
	out.figure("rollbacks", fmt.Sprint(c.Rollbacks), "the deepest %d frames; %d frames simulated again", c.Deepest, c.Again)
	for _, h := range []struct {
		name string
		*histogram
		what string
	}{{"save", &c.Save, "with checksum"}, {"load", &c.Load, "back by as much as needed"}, {"step", &c.Step, "of the simulation, first writes to pages included"}} {
		out.figure(h.name, span(h.quantile(0.5)), "p50, %s p99, %s max: %s, %d times", span(h.quantile(0.99)), span(h.Max), h.what, h.N)
	}
	share := func(d time.Duration) string {
		return fmt.Sprintf("%.1f %%", 100*float64(d)/float64(frameTime))
	}
	out.figure("budget", share(c.Frame.quantile(0.5)), "of %.1f ms go into saving and loading in the median frame, %s in the 99th percentile",
		float64(frameTime)/1e6, share(c.Frame.quantile(0.99)))
}

// span is a duration in two or three digits.
func span(d time.Duration) string {
	switch {
	case d < 10*time.Microsecond:
		return fmt.Sprintf("%.1f us", float64(d)/1e3)
	case d < time.Millisecond:
		return fmt.Sprintf("%.0f us", float64(d)/1e3)
	case d < 10*time.Millisecond:
		return fmt.Sprintf("%.2f ms", float64(d)/1e6)
	}
	return fmt.Sprintf("%.1f ms", float64(d)/1e6)
}

func mib(n int64) string { return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20)) }

func round(x float64) float64 { return math.Round(x*100) / 100 }
