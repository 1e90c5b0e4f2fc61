package main

import (
	"errors"
	"fmt"
	"runtime"
	"runtime/metrics"
	"strings"
	"time"

	"github.com/cowheap/cowheap/cowheap"
)

// The case "gc": what does a collection of garbage cost a program that has so many
// records, in microseconds?
//
// There is a record for each 64 bytes of -size: ten million by default. A record is 32 bytes
// without pointers, its key a string of 20 bytes. One population is there at a
// time, filled for the measurement; a figure is of one runtime.GC after two that
// are not counted, so no round is thrown away.
//
//   - wall: how long the call takes. cpu: what the runtime says the collector has taken of all
//     processors meanwhile, /cpu/classes/gc/total less /cpu/classes/gc/pause,
//     which counts processors that a stopped world leaves idle.
//   - heap-map: a cowheap Map[string, record].
//   - pointers: map[string]*record, as most programs have it.
//   - flat: map[[20]byte]record: a map in which there is nothing to follow.
//   - nothing: no records.

const (
	gcHeapMap  = "heap-map"
	gcPointers = "pointers"
	gcFlat     = "flat"
	gcNothing  = "nothing"

	gcWall = "/wall"
	gcCPU  = "/cpu"

	gcRecords = 10_000_000
)

// gcRecord is what there are so many of.
type gcRecord struct{ ID, Balance, Limit, Since uint64 }

type gcKey [20]byte

func gcKeyOf(i int) (k gcKey) {
	copy(k[:], fmt.Sprintf("%020d", uint64(i)*0x9e3779b97f4a7c15))
	return k
}

func gcCase() *Case {
	c := &Case{
		Name:   "gc",
		About:  "one collection of garbage in a program that has so many records",
		Size:   gcRecords * bytesPerEntry,
		Quick:  gcRecords / 10 * bytesPerEntry,
		Rounds: minRounds,
		Open:   func(s Setup) (Bench, error) { return &gcBench{int(s.Size / bytesPerEntry), batch{}}, nil },
	}
	for _, figure := range []string{gcWall, gcCPU} {
		for _, way := range []string{gcPointers, gcFlat, gcHeapMap, gcNothing} {
			c.Variants = append(c.Variants, Variant{way + figure, "us", gcPointers + figure})
		}
		c.Bounds = append(c.Bounds, Bound{gcHeapMap + figure, "<=", 0.02, gcPointers + figure})
	}
	return c
}

type gcBench struct {
	records int
	batch   batch
}

func (b *gcBench) Close() error { return nil }

func (b *gcBench) Measure(variant string) (Reading, error) {
	way, _, _ := strings.Cut(variant, "/")
	return b.batch.take(way, variant, func() (map[string]Reading, error) {
		if err := needMemory(int64(b.records) * 300); err != nil {
			return nil, err
		}
		wall, cpu, err := b.collect(way)
		return map[string]Reading{way + gcWall: {Value: wall}, way + gcCPU: {Value: cpu}}, err
	})
}

// collect fills a population and measures a collection beside it, in microseconds.
func (b *gcBench) collect(way string) (wall, cpu float64, err error) {
	var alive any
	switch way {
	case gcPointers:
		records := map[string]*gcRecord{}
		for i := range b.records {
			k := gcKeyOf(i)
			records[string(k[:])] = &gcRecord{ID: uint64(i)}
		}
		alive = records
	case gcFlat:
		records := map[gcKey]gcRecord{}
		for i := range b.records {
			records[gcKeyOf(i)] = gcRecord{ID: uint64(i)}
		}
		alive = records
	case gcHeapMap:
		one, e := newOneHeap[cowheap.Map[string, gcRecord]](nil)
		if e != nil {
			return 0, 0, e
		}
		defer func() { err = errors.Join(err, one.close()) }()
		if e := b.fill(&one); e != nil {
			return 0, 0, e
		}
	}
	runtime.GC()
	runtime.GC()
	before, start := collectorTime(), time.Now()
	runtime.GC()
	wall, cpu = float64(time.Since(start).Nanoseconds())/1e3, (collectorTime()-before)*1e6
	runtime.KeepAlive(alive)
	return wall, cpu, err
}

// fill puts the records into a Map, some thousand in an Update.
func (b *gcBench) fill(one *oneHeap[cowheap.Map[string, gcRecord]]) error {
	const batch = 10_000
	for from := 0; from < b.records; from += batch {
		err := one.update(func(m *cowheap.Mem, t *cowheap.Map[string, gcRecord]) error {
			for i := from; i < min(from+batch, b.records); i++ {
				k := gcKeyOf(i)
				if err := t.Set(m, string(k[:]), gcRecord{ID: uint64(i)}); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// collectorTime is what the collector has taken so far, in seconds of a processor.
func collectorTime() float64 {
	s := []metrics.Sample{{Name: "/cpu/classes/gc/total:cpu-seconds"}, {Name: "/cpu/classes/gc/pause:cpu-seconds"}}
	metrics.Read(s)
	return s[0].Value.Float64() - s[1].Value.Float64()
}
