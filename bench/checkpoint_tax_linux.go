package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/cowheap/cowheap/arena"
	"github.com/cowheap/cowheap/cowheap"
	"github.com/cowheap/cowheap/internal/uffd"
)

const (
	// taxRate is how long the rate is taken before a checkpoint, at least.
	taxRate = 300 * time.Millisecond
	// sequenceLength is how many choices a skewed sequence has. It takes writers a
	// second or more to come around.
	sequenceLength = 1 << 22
)

// checkpointTaxBench has the state of one way open, that of the last measurement.
type checkpointTaxBench struct {
	size  int64
	dir   string
	quick bool
	rate  time.Duration
	skew  []uint32
	batch batch

	way   string
	state *heapState
	files string    // directory of the way's checkpoints
	out   []uintptr // for fork: where the state is

	sampled int64 // bytes done of the checkpoint being written, when most was last looked at
	most    int64 // pages that were preserved at once
}

func openCheckpointTax(s Setup) (Bench, error) {
	if err := uffd.HaveWriteProtect(); err != nil {
		return nil, err
	}
	b := &checkpointTaxBench{size: s.Size, dir: s.Dir, quick: s.Quick, rate: taxRate, batch: batch{}}
	pages, length := int(s.Size/pageSize), sequenceLength
	if s.Quick {
		b.rate, length = taxRate/30, 16*pages
	}
	b.skew = zipfSequence(pages, length)
	return b, nil
}

// Close gives back what the last way has left open.
func (b *checkpointTaxBench) Close() error {
	if b.state == nil {
		return nil
	}
	err := errors.Join(b.state.close(), os.RemoveAll(b.files))
	b.state, b.way = nil, ""
	return err
}

// Measure writes one checkpoint of a way under a load for both its figures.
func (b *checkpointTaxBench) Measure(variant string) (Reading, error) {
	name := strings.TrimSuffix(variant, preserved)
	return b.batch.take(name, variant, func() (map[string]Reading, error) {
		way, load := findTax(name)
		if err := b.open(way); err != nil {
			return nil, err
		}
		lost, pages, err := b.measure(load)
		if err != nil {
			return nil, err
		}
		return map[string]Reading{
			name:             {Value: lost.Seconds() * 1e3, Bytes: b.size},
			name + preserved: {Value: float64(pages) * pageSize / mib, Bytes: b.size},
		}, nil
	})
}

// open makes the state of a way be there, and writes the checkpoint that does not
// count.
func (b *checkpointTaxBench) open(way string) (err error) {
	if b.way == way {
		return nil
	}
	if err := b.Close(); err != nil {
		return err
	}
	// The state, as much again for what is preserved, and two files, which a memory
	// file system keeps there.
	if err := needMemory(4 * b.size); err != nil {
		return err
	}
	b.files = filepath.Join(b.dir, strings.ReplaceAll(way, "/", "-"))
	if way == wayForkFile {
		if err := os.Mkdir(b.files, 0o777); err != nil {
			return err
		}
		b.state, err = newHeapState("", b.size, &cowheap.Options{Guard: arena.GuardCopy})
	} else {
		o := checkpointOptions(way)
		o.Progress, o.Keep = b.sample, 1
		b.state, err = newHeapState(b.files, b.size, o)
	}
	if err != nil {
		return err
	}
	b.way = way
	if way == wayForkFile {
		if b.out, err = b.state.addresses(); err != nil {
			return err
		}
		_, err = b.fork()
		return err
	}
	_, err = b.checkpoint(false)
	return err
}

// once writes a checkpoint, and says how many pages were preserved.
func (b *checkpointTaxBench) once() (pages int64, err error) {
	if b.way == wayForkFile {
		return b.fork()
	}
	return b.checkpoint(true)
}

// measure writes one checkpoint under a load. It says how much time the writers
// have lost, and how many pages were preserved.
func (b *checkpointTaxBench) measure(l taxLoad) (lost time.Duration, pages int64, err error) {
	if err := b.state.settle(); err != nil {
		return 0, 0, err
	}
	var sequence []uint32 // nil: any page
	if l.pages == loadZipf {
		sequence = b.skew
	}
	var w *writers
	if l.writers == 0 {
		w = startWriters(b.state, 1, paced(pacedUpdates), sequence)
	} else {
		w = startWriters(b.state, l.writers, fullSpeed, sequence)
	}
	w.underWay(b.rate / 3)
	// The second of two in a row counts. What is preserved needs memory, and a virtual
	// machine gives free memory back to its host after some seconds: having it again
	// takes longer than copying it, for whoever comes first.
	if _, err := b.once(); err != nil {
		return 0, 0, errors.Join(err, w.stop())
	}
	w.underWay(b.rate / 3)

	rated, start := w.updates(), time.Now()
	w.phase.Store(before)
	time.Sleep(b.rate)
	w.phase.Store(during)
	began, from := w.updates(), time.Now()
	pages, err = b.once()
	took, done := time.Since(from), w.updates()-began
	w.phase.Store(after)
	if err = errors.Join(err, w.stop()); err != nil {
		return 0, 0, err
	}
	if !b.quick && (done == 0 || pages == 0) {
		return 0, 0, fmt.Errorf("%d updates during a checkpoint, and %d pages preserved", done, pages)
	}
	if l.writers == 0 {
		cost := w.times(during)
		return cost.total - time.Duration(float64(cost.number)*w.times(before).mean()), pages, nil
	}
	usual := from.Sub(start).Seconds() / float64(began-rated) // an update
	return took - time.Duration(float64(done)*usual*1e9), pages, nil
}
