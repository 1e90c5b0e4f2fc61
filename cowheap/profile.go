package cowheap

import (
	"io"
	"maps"
	"math"
	"math/rand/v2"
	"runtime"
	"runtime/pprof"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"weak"
)

// ProfileRate is how many bytes are allocated in a heap, on average, between two
// allocations that are sampled for its profile, as runtime.MemProfileRate is for the
// Go heap. 1 samples everything, 0 nothing. Default 512 KiB. A heap goes by the value
// at the time it was made: set it once, early in main.
//
// Sampling costs an allocation less than can be told from noise, and a stack for each sample
// (go test -run xx -bench Profile -count 6 ./cowheap: 39 to 40 ns for one of 64 bytes and its free
// at best, at either rate). What is in the arena does not depend on it.
var ProfileRate = 512 << 10

// WriteProfile writes who holds the memory of all open heaps, by what was sampled, in the
// format that go tool pprof reads: objects and bytes in use, by stack. It may be
// called at any time by any goroutine.
//
//	go tool pprof -top FILE
//
// What a heap held when it was restored is not known by stack and appears as
// [restored]. What a rollback has brought back, or taken away, counts as that. With
// net/http/pprof, or pprof.Lookup("cowheap"), there is a profile that counts
// samples alone, each of which stands for some ProfileRate bytes, and to which a
// rollback brings nothing back; for this one:
//
//	http.HandleFunc("/debug/cowheap", func(w http.ResponseWriter, r *http.Request) { cowheap.WriteProfile(w) })
func WriteProfile(w io.Writer) error {
	profiled.mu.Lock()
	heaps := slices.Collect(maps.Keys(profiled.heaps))
	profiled.mu.Unlock()
	var all []*profiler
	for _, p := range heaps {
		if h := p.Value(); h != nil {
			all = append(all, &h.sp.profile)
		}
	}
	return writeProfile(w, all)
}

// WriteProfile is WriteProfile of this heap alone.
func (h *Heap) WriteProfile(w io.Writer) error {
	return writeProfile(w, []*profiler{&h.sp.profile})
}

// profiled are the open heaps, and the profile of this package among those of
// runtime/pprof.
var profiled struct {
	mu     sync.Mutex
	heaps  map[weak.Pointer[Heap]]bool
	counts atomic.Pointer[pprof.Profile] // nil before the first heap that is sampled
}

// profiler samples the allocations of one heap.
//
// A sample remembers between which instants it was in the heap, so that a rollback
// finds what has come back. Time is counted in ticks, one each time writers were
// held.
type profiler struct {
	rate   int64 // 0: nothing is sampled
	inUse  func() (objects, bytes uint64)
	tick   atomic.Uint64
	filter atomic.Pointer[sampleFilter] // of live; nil: empty
	taking sync.Mutex                   // held while a snapshot is taken: whose tick it is

	mu        sync.Mutex
	live      map[uint64]*sample // by offset
	gone      []*sample          // freed, but in an open snapshot; at most maxGone
	snapshots map[uint64]bool    // ticks of open ones
	restored  [2]uint64          // objects and bytes that were there in the beginning
}

// sample is one allocation.
type sample struct {
	off, size  uint64 // size as it was asked for, which is what sampling goes by
	born, died uint64 // ticks; died is 0 while it is allocated
	rate       int64  // one byte in so many was sampled
	stack      [32]uintptr
}

// maxGone bounds the memory for what may come back.
const maxGone = 1 << 16

// profile begins to sample, if that is wanted.
func (h *Heap) profile(restored bool) {
	p := &h.sp.profile
	p.inUse = func() (objects, bytes uint64) {
		s := h.a.Stats()
		return uint64(s.Objects), uint64(s.Bytes)
	}
	if restored {
		p.restored[0], p.restored[1] = p.inUse()
	}
	profiled.mu.Lock()
	defer profiled.mu.Unlock()
	if p.rate > 0 && profiled.counts.Load() == nil {
		counts := pprof.Lookup("cowheap")
		if counts == nil {
			counts = pprof.NewProfile("cowheap")
		}
		profiled.counts.Store(counts)
	}
	if profiled.heaps == nil {
		profiled.heaps = make(map[weak.Pointer[Heap]]bool)
	}
	profiled.heaps[weak.Make(h)] = true
}

// unprofile forgets a heap that is closed.
func (h *Heap) unprofile() {
	profiled.mu.Lock()
	delete(profiled.heaps, weak.Make(h))
	profiled.mu.Unlock()
	p := &h.sp.profile
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, s := range p.live {
		s.uncount()
	}
	p.live, p.gone, p.restored = nil, nil, [2]uint64{}
	p.filter.Store(nil)
}

// next is how many bytes are allocated before the next sample. Distances are drawn
// from an exponential distribution, so that each byte is as likely as every other
// to be sampled, whatever pattern sizes have and however often one begins anew.
func (p *profiler) next() int64 {
	switch {
	case p.rate <= 0:
		return math.MaxInt64
	case p.rate == 1:
		return 0
	}
	return int64(min(rand.ExpFloat64()*float64(p.rate), math.MaxInt64/2))
}

// sampled notes an allocation, and when the next one is due.
//
//go:noinline
func (m *Mem) sampled(off, size uint64) {
	p := &m.space.profile
	m.unsampled = p.next()
	if p.rate <= 0 {
		return
	}
	s := &sample{off: off, size: max(size, 1), born: p.tick.Load(), rate: p.rate}
	runtime.Callers(2, s.stack[:])
	p.mu.Lock()
	defer p.mu.Unlock()
	p.add(s)
	if c := profiled.counts.Load(); c != nil { // nil for a space without a Heap
		c.Add(s, 2)
	}
}

// add makes a sample findable.
//
// Preconditions: mu is held.
func (p *profiler) add(s *sample) {
	if p.live == nil {
		p.live = make(map[uint64]*sample)
	}
	if p.live[s.off] != nil {
		p.drop(s.off) // freed behind our back
	}
	p.live[s.off] = s
	f := p.filter.Load()
	if f == nil || len(p.live) > f.most {
		f = newSampleFilter(2 * len(p.live))
		for off := range p.live {
			f.set(off)
		}
		p.filter.Store(f)
		return
	}
	f.set(s.off)
}

// drop takes a sample out of live.
//
// Preconditions: mu is held, and there is one.
func (p *profiler) drop(off uint64) {
	delete(p.live, off)
	p.filter.Load().unset(off)
}

// freeing is called before something is freed.
func (p *profiler) freeing(off uint64) {
	if f := p.filter.Load(); f != nil && f.has(off) {
		p.free(off)
	}
}

func (p *profiler) free(off uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.live[off]
	if s == nil {
		return
	}
	p.drop(off)
	s.uncount()
	s.died = p.tick.Load()
	for tick := range p.snapshots {
		if s.in(tick) && len(p.gone) < maxGone {
			p.gone = append(p.gone, s)
			return
		}
	}
}

// uncount takes a sample out of the profile of runtime/pprof.
func (s *sample) uncount() {
	if c := profiled.counts.Load(); c != nil {
		c.Remove(s)
	}
}

// in reports whether a sample is in a snapshot of this tick.
func (s *sample) in(tick uint64) bool {
	return s.born <= tick && (s.died == 0 || s.died > tick)
}

// snapshot calls take and returns the tick of the snapshot that it takes.
func (p *profiler) snapshot(take func() error) (tick uint64, err error) {
	p.taking.Lock()
	defer p.taking.Unlock()
	if err := take(); err != nil {
		return 0, err
	}
	tick = p.tick.Load() - 1 // the last time that writers were held began before it
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.snapshots == nil {
		p.snapshots = make(map[uint64]bool)
	}
	p.snapshots[tick] = true
	return tick, nil
}

// closed forgets a snapshot, and what nobody can bring back any more.
func (p *profiler) closed(tick uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.snapshots[tick] {
		delete(p.snapshots, tick)
		p.prune()
	}
}

func (p *profiler) prune() {
	p.gone = slices.DeleteFunc(p.gone, func(s *sample) bool {
		for tick := range p.snapshots {
			if s.in(tick) {
				return false
			}
		}
		return true
	})
}

// rollBack makes what is in the snapshot of this tick what is sampled, and returns
// what takes that back.
//
// Preconditions: nobody is inside the gate.
func (p *profiler) rollBack(tick uint64) (undo func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	was := maps.Clone(p.live)
	for off, s := range p.live {
		if !s.in(tick) {
			p.drop(off)
			s.uncount()
		}
	}
	for _, s := range p.gone {
		if s.in(tick) {
			back := *s
			back.died = 0
			p.add(&back)
		}
	}
	return func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.live = nil
		p.filter.Store(nil)
		for _, s := range was {
			p.add(s)
		}
	}
}

// rolledBack follows a rollback that has succeeded: newer snapshots are closed.
func (p *profiler) rolledBack(tick uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	maps.DeleteFunc(p.snapshots, func(t uint64, _ bool) bool { return t > tick })
	p.prune()
}

// inherit makes what is in a snapshot of another heap what is sampled in this one.
func (p *profiler) inherit(parent *profiler, tick uint64) {
	parent.mu.Lock()
	defer parent.mu.Unlock()
	p.mu.Lock()
	defer p.mu.Unlock()
	from := func(s *sample) {
		if p.rate > 0 && s.in(tick) {
			p.add(&sample{off: s.off, size: s.size, rate: s.rate, stack: s.stack})
		}
	}
	for _, s := range parent.live {
		from(s)
	}
	for _, s := range parent.gone {
		from(s)
	}
}

// profileRow is what one stack holds.
type profileRow struct{ objects, bytes float64 }

// rows adds up what is in use, by stack. A sample stands for as many allocations of its
// size as pass by, on average, before one is sampled.
func (p *profiler) rows(into map[[32]uintptr]profileRow) (restored [2]uint64) {
	var sum profileRow
	p.mu.Lock()
	for _, s := range p.live {
		n := 1.0
		if s.rate > 1 {
			n = 1 / -math.Expm1(-float64(s.size)/float64(s.rate))
		}
		r := into[s.stack]
		r.objects += n
		r.bytes += n * float64(s.size)
		into[s.stack] = r
		sum.objects += n
		sum.bytes += n * float64(s.size)
	}
	restored = p.restored
	p.mu.Unlock()
	if restored[1] == 0 {
		return restored
	}
	// What of it is left is what nothing else explains.
	objects, bytes := p.inUse()
	restored[0] = min(restored[0], uint64(max(0, float64(objects)-sum.objects)))
	restored[1] = min(restored[1], uint64(max(0, float64(bytes)-sum.bytes)))
	return restored
}

// userFrames are the frames of a stack from the first on that is not this
// package's: whoever called it holds the memory.
func userFrames(stack *[32]uintptr) (frames []runtime.Frame) {
	all := runtime.CallersFrames(stack[:])
	for {
		f, more := all.Next()
		own := strings.HasPrefix(f.Function, ownPath+".") && !strings.HasSuffix(f.File, "_test.go")
		if f.PC != 0 && (!own || len(frames) > 0) {
			frames = append(frames, f)
		}
		if !more {
			break
		}
	}
	if len(frames) == 0 {
		frames = []runtime.Frame{{Function: "[cowheap]"}}
	}
	return frames
}
