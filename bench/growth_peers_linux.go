package main

import (
	"errors"
	"runtime/debug"
	"time"
)

// peer is a container that takes snapshots by sharing what it has.
type peer interface {
	taxed
	freeze() time.Duration
}

// peers fills one container from size to size and freezes it at each.
func (b *growthBench) peers(way string) (_ map[string]Reading, err error) {
	defer debug.FreeOSMemory() // or forks of this process would have it to copy
	// Whoever shares makes garbage at each write, and lives by the collector.
	defer debug.SetGCPercent(debug.SetGCPercent(100))
	made, err := newTaxed(way)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, made.close()) }()
	p := made.(peer)
	all, filled := map[string]Reading{}, uint64(0)
	for _, s := range peerSizes {
		v := growthVariant{question: growPause, way: way, size: s}
		bytes := b.bytes(v)
		// Much more than the entries themselves: nodes, and garbage.
		if err := needMemory(bytes * 12); err != nil {
			return nil, err
		}
		entries := uint64(bytes / bytesPerEntry)
		if err := fillTaxed(p, filled, entries); err != nil {
			return nil, err
		}
		filled = entries
		took, err := freezeMixed(p, int(entries))
		if err != nil {
			return nil, err
		}
		all[growPause+"/"+way+"/"+s.String()] = Reading{Value: float64(took.Nanoseconds()), Bytes: bytes}
	}
	return all, nil
}

// freezeMixed freezes a container while another goroutine makes operations.
func freezeMixed(p peer, entries int) (time.Duration, error) {
	load := newMixedLoad(p, entries)
	done := make(chan error, 1)
	go func() { done <- load.run() }()
	time.Sleep(loadedFor)
	took := p.freeze()
	load.window.Store(taxEnd)
	return took, <-done
}
