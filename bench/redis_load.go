package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// entryKey is the key of an entry: 16 letters.
func entryKey(number uint64) string { return fmt.Sprintf("key:%012d", number) }

// entryValue fills a value with bytes that nobody can compress. version tells those of one key apart.
func entryValue(value []byte, number, version uint64) {
	for i := 0; i < len(value); i += 8 {
		binary.LittleEndian.PutUint64(value[i:], scramble(number<<20^version<<8^uint64(i)+1))
	}
}

// fillRedis sets so many entries, and checks that they are there.
func fillRedis(socket string, entries uint64) (err error) {
	c, err := dialRedis(socket)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.close()) }()
	const together = 128 // requests that are sent before their answers are read
	var requests []byte
	value := make([]byte, entryBytes)
	for first := uint64(0); first < entries; first += together {
		requests = requests[:0]
		last := min(first+together, entries)
		for n := first; n < last; n++ {
			entryValue(value, n, 0)
			requests = appendRequest(requests, "SET", entryKey(n), string(value))
		}
		if _, err := c.conn.Write(requests); err != nil {
			return err
		}
		for range last - first {
			if _, err := c.r.answer(); err != nil {
				return err
			}
		}
	}
	got, err := c.do("DBSIZE")
	if err == nil && string(got) != fmt.Sprint(entries) {
		err = fmt.Errorf("%d entries were set, and the server has %s", entries, got)
	}
	return err
}

// redisLoad is connections that set values at a steady rate.
type redisLoad struct {
	phase   atomic.Int32
	stopped atomic.Bool
	done    sync.WaitGroup
	errs    [redisConnections]error
	times   [redisConnections][phases][]time.Duration
}

// startRedisLoad opens the connections. perSecond is over all of them.
func startRedisLoad(socket string, entries uint64, perSecond int) *redisLoad {
	l := new(redisLoad)
	for i := range redisConnections {
		l.done.Go(func() {
			if l.errs[i] = l.connection(i, socket, entries, perSecond/redisConnections); l.errs[i] != nil {
				l.stopped.Store(true)
			}
		})
	}
	return l
}

// stop ends it.
func (l *redisLoad) stop() error {
	l.stopped.Store(true)
	l.done.Wait()
	return errors.Join(l.errs[:]...)
}

// connection sets values when they are due. A request that is due while another waits
// for its answer has been waiting from then on: as one does whose server stalls.
func (l *redisLoad) connection(number int, socket string, entries uint64, perSecond int) (err error) {
	c, err := dialRedis(socket)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.close()) }()
	choose := chooser{random: uint64(number+1) << 40, pages: entries}
	value := make([]byte, entryBytes)
	start := time.Now()
	for n := uint64(1); !l.stopped.Load(); n++ {
		due := start.Add(time.Duration(n) * time.Second / time.Duration(perSecond))
		if wait := time.Until(due); wait > 0 {
			time.Sleep(wait)
			due = time.Now() // that this program slept too long is not the server's fault
		}
		phase := l.phase.Load()
		key := uint64(choose.page())
		entryValue(value, key, n)
		if _, err := c.do("SET", entryKey(key), string(value)); err != nil {
			return err
		}
		if now := l.phase.Load(); now != phase {
			phase = during // what overlaps it is part of it
		}
		l.times[number][phase] = append(l.times[number][phase], time.Since(due))
	}
	return nil
}

// quantiles are those of a phase's requests, in us, by name.
func (l *redisLoad) quantiles(phase int) (map[string]float64, error) {
	var all []time.Duration
	for i := range l.times {
		all = append(all, l.times[i][phase]...)
	}
	if len(all) == 0 {
		return nil, errors.New("nobody sent a request")
	}
	slices.Sort(all)
	us := func(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1e3 }
	q := map[string]float64{longest: us(all[len(all)-1])}
	for _, what := range taxQuantiles {
		q[what.name] = us(percentile(all, what.q))
	}
	return q, nil
}

// percentile is the least of the values that at least the share q of them does not exceed
// (nearest rank). Preconditions: they are in order, and there are some.
func percentile(sorted []time.Duration, q float64) time.Duration {
	rank := int(q * float64(len(sorted)))
	if float64(rank) < q*float64(len(sorted)) {
		rank++
	}
	return sorted[min(max(rank, 1), len(sorted))-1]
}
