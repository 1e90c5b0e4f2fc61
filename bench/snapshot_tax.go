package main

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime/debug"
	"strings"
	"sync/atomic"
	"time"
)

// The case "snapshot-tax": what do single operations cost while a snapshot is
// taken and read, once and completely, beside the ways in which a Go program does that with
// its own objects?
//
// There is an entry for each 64 bytes of -size, a uint64 for a uint64. One
// goroutine makes operations as fast as it can: half are reads, three tenths overwrites,
// a tenth each inserts and deletes. Another one takes a snapshot, adds up all values in
// it, and drops it. Each operation takes a mutex of its own program, as it must where
// several goroutines make some; the clock is read for each.
//
//   - before: half a second without a snapshot. during: from before it is asked
//     for until it has been read and dropped. after: as long as before, from then on, and until a second
//     after it was asked for at least.
// Each measurement fills a container of its own and warms it up, so no round is thrown away.
//
//   - rate: operations a millisecond. p50, p99, p99.9: the nanoseconds that the operation
//     under way does not exceed at that part of all instants (see latencies), because
//     whoever holds all operations for 10 ms makes one slow operation, and 10 ms in
//     which everybody waits. max: the longest.
//   - series: what operations took in windows of 10 ms, from half a second before the snapshot is asked for
//     to a second after, in the round whose during/max is the median one.
//   - map, btree: containers in a heap, each operation an Update or a View. The
//     snapshot is read by a fork of it, entry by entry.
//   - tidwall: btree.Map. Copy and every operation hold the mutex: Copy writes to
//     the tree that it copies. The copy is read without.
//   - memdb: a go-memdb with one table, whose objects are put in and taken out in a transaction
//     each. Its snapshot needs no lock.
//   - full-copy: Go's map, which is copied with the mutex held.
//
// The garbage collector is on, other than in other cases: persistent trees live by it.

const (
	wayMemdb    = "memdb"
	wayFullCopy = "full-copy"

	taxBefore = "before"
	taxDuring = "during"
	taxAfter  = "after"
)

var (
	frozenTaxWays    = []string{wayFullCopy, wayMemdb, wayTidwall, wayMap, wayBTree}
	taxWindows       = []string{taxBefore, taxDuring, taxAfter}
	frozenTaxFigures = []string{"rate", "p50", "p99", "p99.9", "max"}
)

func frozenTax(way, window, figure string) string { return way + "/" + window + "/" + figure }

func snapshotTaxCase() *Case {
	c := &Case{
		Name:   "snapshot-tax",
		About:  "single operations before, while and after a snapshot is taken and read",
		Size:   64 * mib,
		Quick:  minSize,
		Rounds: minRounds,
		Open: func(s Setup) (Bench, error) {
			return &snapshotTax{int(s.Size / bytesPerEntry), s.Quick, batch{}}, nil
		},
	}
	for _, window := range taxWindows {
		for _, figure := range frozenTaxFigures {
			unit := "ns"
			if figure == "rate" {
				unit = "1/ms"
			}
			for _, way := range frozenTaxWays {
				c.Variants = append(c.Variants, Variant{frozenTax(way, window, figure), unit, frozenTax(wayTidwall, window, figure)})
			}
		}
	}
	for _, figure := range []string{"p99.9", "max"} {
		for _, way := range []string{wayMap, wayBTree} {
			left := frozenTax(way, taxDuring, figure)
			for _, right := range []string{wayMemdb, wayFullCopy} {
				c.Bounds = append(c.Bounds, Bound{left, "<", 1, frozenTax(right, taxDuring, figure)})
			}
			c.Bounds = append(c.Bounds, Bound{left, "<=", 1, frozenTax(wayTidwall, taxDuring, figure)})
		}
	}
	return c
}

// taxed is a container that snapshots are taken of. Its operations are one goroutine's,
// snapshot another's at the same time.
type taxed interface {
	get(k uint64) (v uint64, ok bool)
	set(k, v uint64) error
	delete(k uint64) error
	// snapshot freezes the entries, reads them all and says how many there were.
	snapshot() (entries int, err error)
	close() error
}

// fillTaxed puts entries in. Keys with even numbers are there; the others come and go.
func fillTaxed(c taxed, from, to uint64) error {
	if t, ok := c.(*taxedMemdb); ok {
		return t.fill(from, to) // one transaction an entry would take longer than all else
	}
	for i := from; i < to; i++ {
		if err := c.set(taxKey(2*i), i); err != nil {
			return err
		}
	}
	return nil
}

type snapshotTax struct {
	entries int
	quick   bool
	batch   batch
}

func (b *snapshotTax) Close() error { return nil }

func (b *snapshotTax) Measure(variant string) (Reading, error) {
	way, _, _ := strings.Cut(variant, "/")
	return b.batch.take(way, variant, func() (map[string]Reading, error) {
		defer debug.SetGCPercent(debug.SetGCPercent(100))
		return b.measure(way)
	})
}

func (b *snapshotTax) measure(way string) (readings map[string]Reading, err error) {
	c, err := newTaxed(way)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, c.close()) }()
	if err := fillTaxed(c, 0, uint64(b.entries)); err != nil {
		return nil, err
	}
	scale := time.Duration(1)
	if b.quick {
		scale = quickTimes
	}
	lines := newTimelines()
	load := newMixedLoad(c, b.entries)
	load.line = lines.another()
	done := make(chan error, 1)
	go func() { done <- load.run() }()

	var took [taxEnd]time.Duration
	start := time.Now()
	time.Sleep(traceBefore / scale)
	took[0], start = time.Since(start), time.Now()
	load.window.Store(1)
	instant := start
	n, err := c.snapshot()
	took[1], start = time.Since(start), time.Now()
	load.window.Store(2)
	time.Sleep(max(traceBefore/scale, time.Until(instant.Add(traceAfter/scale))))
	took[2] = time.Since(start)
	load.window.Store(taxEnd)
	if err := errors.Join(err, <-done); err != nil {
		return nil, err
	}
	if n < b.entries || n > b.entries+taxComing {
		return nil, fmt.Errorf("a snapshot of %d entries had %d", b.entries, n)
	}
	seen := lines.about(way, instant, instant.Add(took[1]))
	readings = map[string]Reading{}
	for i, window := range taxWindows {
		l := &load.seen[i]
		for figure, value := range map[string]float64{
			"rate":  float64(l.number) / float64(took[i]) * float64(time.Millisecond),
			"p50":   float64(l.quantile(0.5)),
			"p99":   float64(l.quantile(0.99)),
			"p99.9": float64(l.quantile(0.999)),
			"max":   float64(l.longest),
		} {
			readings[frozenTax(way, window, figure)] = Reading{Value: value}
		}
	}
	most := frozenTax(way, taxDuring, "max")
	readings[most] = Reading{Value: readings[most].Value, Trace: seen}
	return readings, nil
}

const (
	taxEnd = 3 // windows there are
	// taxComing is how many entries there are at most that come and go.
	taxComing = 1024
)

// taxKey spreads keys over the numbers.
func taxKey(i uint64) uint64 { return i * 0x9e3779b97f4a7c15 }

// mixedLoad is the goroutine that makes operations.
type mixedLoad struct {
	c       taxed
	entries uint64
	random  *rand.Rand
	window  atomic.Int32
	seen    [taxEnd]latencies
	line    *timeline
	coming  [taxComing]bool
}

func newMixedLoad(c taxed, entries int) *mixedLoad {
	return &mixedLoad{c: c, entries: uint64(entries), random: rand.New(rand.NewPCG(8, 1<<12))}
}

// run makes operations until there is no window any more. One counts for each window
// that it was under way in, so there is none without any.
func (l *mixedLoad) run() error {
	first, last := time.Now(), time.Duration(0)
	l.line.from(first)
	for window := int32(0); window < taxEnd; {
		r := l.random.Uint64()
		i, op := r>>8%l.entries, r&0xff
		start := time.Now()
		var err error
		switch {
		case op < 128:
			if _, ok := l.c.get(taxKey(2 * i)); !ok {
				err = errors.New("an entry is not there")
			}
		case op < 204:
			err = l.c.set(taxKey(2*i), r)
		default:
			// Those that come and go lie all over the keys.
			at := i % taxComing
			k := taxKey(2*at*(l.entries/taxComing) + 1)
			if l.coming[at] {
				err = l.c.delete(k)
			} else {
				err = l.c.set(k, r)
			}
			l.coming[at] = !l.coming[at]
		}
		took := time.Since(start)
		// From the end of the one before, as one feels it who has many to make.
		end := start.Sub(first) + took
		l.line.add(last, end)
		last = end
		for now := l.window.Load(); ; window++ {
			if window < taxEnd {
				l.seen[window].add(took)
			}
			if window >= now {
				break
			}
		}
		if err != nil {
			return err
		}
	}
	return nil
}
