package main

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"github.com/cowheap/cowheap/cowheap"
	"github.com/cowheap/cowheap/internal/uffd"
)

// growthBench keeps the checkpoint of one size, and no state, between measurements.
type growthBench struct {
	dir   string
	limit size
	quick bool
	batch batch
	saved int64 // bytes of the state in the checkpoint that is there
	kept  *keptSnapshots
}

func openGrowth(s Setup) (Bench, error) {
	if err := uffd.HaveWriteProtect(); err != nil {
		return nil, err
	}
	return &growthBench{dir: filepath.Join(s.Dir, "growth"), limit: size(s.Size), quick: s.Quick, batch: batch{}}, nil
}

func (b *growthBench) Close() error { return b.dropKept() }

func (b *growthBench) dropKept() (err error) {
	if b.kept != nil {
		err = b.kept.close()
		b.kept = nil
	}
	return err
}

// Measure asks one state for all that it is good for, once.
func (b *growthBench) Measure(variant string) (Reading, error) {
	v := cutGrowth(variant)
	if v.question != growSnapshots && v.question != growKept {
		// Memory for the states of the other questions.
		if err := b.dropKept(); err != nil {
			return Reading{}, err
		}
	}
	bytes := b.bytes(v)
	if v.size > b.limit && !b.quick {
		return Reading{}, fmt.Errorf("this is more than -size %v: %w", b.limit, errors.ErrUnsupported)
	}
	switch {
	case v.question == growOpen:
		took, err := b.open(bytes, v.way == "lazy")
		return Reading{Value: float64(took.Nanoseconds()) / 1e6, Bytes: bytes}, err
	case v.question == growSnapshots, v.question == growKept:
		return b.snapshots(variant, v, bytes)
	case v.way == wayMemdb, v.way == wayTidwall:
		return b.batch.take(v.way, variant, func() (map[string]Reading, error) { return b.peers(v.way) })
	case v.way == wayCopy4K:
		took, err := copyOnce(bytes)
		return Reading{Value: float64(took.Nanoseconds()), Bytes: bytes}, err
	case v.question == growWriters:
		return b.batch.take(fmt.Sprintf("writers/%v/%d", v.way == wayProcess, v.number), variant,
			func() (map[string]Reading, error) { return b.writers(v, bytes) })
	}
	return b.batch.take(v.way+"/"+v.size.String(), variant,
		func() (map[string]Reading, error) { return b.sized(v, bytes) })
}

// bytes is how large the state of a variant is.
func (b *growthBench) bytes(v growthVariant) int64 {
	s := int64(v.size)
	if v.number > 0 {
		return size(max(int64(b.limit)/growthShare, minSize)).blocks()
	}
	if b.quick {
		s = max(s/quickShare, minSize)
	}
	return s
}

// sized are the figures of a state of some size.
func (b *growthBench) sized(v growthVariant, bytes int64) (_ map[string]Reading, err error) {
	if v.way == wayUserfaultTHP {
		if err := needHugePages(); err != nil {
			return nil, err
		}
	}
	s, err := newHeapState("", bytes, growthOptions(v.way))
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	all := map[string]Reading{}
	put := func(question string, value float64) {
		all[question+"/"+v.way+"/"+v.size.String()] = Reading{Value: value, Bytes: bytes}
	}
	if v.way == wayFork4K {
		took, err := forkUnderLoad(s)
		put(growPause, float64(took.Nanoseconds()))
		return all, err
	}
	start := time.Now()
	const calls = 3
	for range calls {
		s.h.Stats()
	}
	put(growStats, float64(time.Since(start).Nanoseconds())/calls)

	tables, err := tablesOf(s)
	if err != nil {
		return nil, err
	}
	put(growTables, tables)
	if err := s.settle(); err != nil {
		return nil, err
	}
	st, err := freezeUnderLoad(s, runtime.GOMAXPROCS(0))
	put(growPause, float64(st.Pause.Nanoseconds()))
	put(growArming, float64(st.Arming.Nanoseconds())/1e6)
	return all, err
}

// tablesOf is by how much this process grows by a snapshot, in MiB.
func tablesOf(s *heapState) (float64, error) {
	debug.FreeOSMemory() // what Go gives back meanwhile would be counted
	before, err := ownMemory()
	if err != nil {
		return 0, err
	}
	snap, err := s.h.Snapshot()
	if err != nil {
		return 0, err
	}
	after, err := ownMemory()
	return float64(after-before) / mib, errors.Join(err, snap.Close())
}

// freezeUnderLoad takes a snapshot while n goroutines write.
func freezeUnderLoad(s *heapState, n int) (cowheap.SnapshotStats, error) {
	w := startWriters(s, n, fullSpeed, nil)
	w.underWay(loadedFor)
	snap, err := s.h.Snapshot()
	if err = errors.Join(err, w.stop()); snap == nil {
		return cowheap.SnapshotStats{}, err
	}
	st := snap.Stats()
	return st, errors.Join(err, snap.Close())
}

// writers are the figures with so many goroutines.
func (b *growthBench) writers(v growthVariant, bytes int64) (_ map[string]Reading, err error) {
	way := wayUserfault4K
	if v.way == wayProcess {
		way = wayFork4K
	}
	s, err := newHeapState("", bytes, growthOptions(way))
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	all := map[string]Reading{}
	put := func(what string, took time.Duration) {
		all[fmt.Sprintf("%s/%s/%d", growWriters, what, v.number)] = Reading{Value: float64(took.Nanoseconds()), Bytes: bytes}
	}
	if way == wayFork4K {
		took, err := forkUnderWriters(s, v.number)
		put(wayProcess, took)
		return all, err
	}
	if err := errors.Join(discardSnapshot(s), s.settle()); err != nil {
		return nil, err
	}
	st, err := freezeUnderLoad(s, v.number)
	put("pause", st.Pause)
	put("waited", st.Waited)
	return all, err
}

// copyOnce is how long one processor copies so much memory into memory that is there.
func copyOnce(bytes int64) (_ time.Duration, err error) {
	if err := needMemory(2*bytes + bytes/8); err != nil {
		return 0, err
	}
	from, err := newRegion(bytes, false)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, from.Unmap()) }()
	to, err := newRegion(bytes, false)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, to.Unmap()) }()
	writePages(from.all(), 1)
	writePages(to.all(), 2)
	start := time.Now()
	n := copy(to.all(), from.all())
	took := time.Since(start)
	if got := to.all()[n-pageSize]; got != 1 {
		return 0, fmt.Errorf("the last page copied starts with %d", got)
	}
	return took, nil
}

// ownMemory is what this process has in memory, and its page tables, in bytes.
func ownMemory() (int64, error) { return sumFields("/proc/self/status", "VmRSS:", "VmPTE:") }

// sumFields is the sum of some fields of a file of /proc that are in kB, in bytes.
func sumFields(name string, fields ...string) (sum int64, err error) {
	file, err := os.Open(name)
	if err != nil {
		return 0, err
	}
	defer file.Close()
	lines := bufio.NewScanner(file)
	for lines.Scan() {
		for _, field := range fields {
			if amount, ok := strings.CutPrefix(lines.Text(), field); ok {
				kib, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(amount), " kB"), 10, 64)
				if err != nil {
					return 0, fmt.Errorf("reading %s: %w", name, err)
				}
				sum += kib << 10
			}
		}
	}
	return sum, lines.Err()
}
