package arena

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"flag"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"os/signal"
	"reflect"
	"runtime"
	"runtime/pprof"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

var stressFor = flag.Duration("stress", 0, "how long TestStress runs in each setting (default: 150 ms, or 40 ms with -short)")

// settings are the hostile surroundings that a fault must be resolved in. Each
// runs in a process of its own, because GOMAXPROCS and GOGC are its own.
var settings = []struct {
	name, env string
}{
	{"plain", ""},
	{"one-processor", "GOMAXPROCS=1 STRESS=gc"},
	{"two-processors", "GOMAXPROCS=2 STRESS=gc"},
	{"eight-processors", "GOMAXPROCS=8 STRESS=gc"},
	{"gogc-1", "GOGC=1 STRESS=garbage"},
	{"memstats", "STRESS=gc,memstats"},
	{"profile", "STRESS=profile,gc"},
	{"exec", "STRESS=exec"},
	{"notify", "STRESS=notify,gc"},
	{"one-processor-all", "GOMAXPROCS=1 GOGC=1 STRESS=gc,memstats,profile,exec,notify,garbage"},
	{"all", "GOGC=1 STRESS=gc,memstats,profile,exec,notify,garbage"},
}

// ways are how snapshots are taken, and given back.
var ways = []way{
	{name: "measured"},
	{name: "single", opts: Options{FaultPages: 1}},
	{name: "released", opts: Options{FaultPages: 1}, release: true},
	{name: "ahead", opts: Options{Arming: ArmAhead}},
	{name: "ahead-single", opts: Options{Arming: ArmAhead, FaultPages: 1}},
	{name: "ahead-released", opts: Options{Arming: ArmAhead, FaultPages: 1}, release: true},
	{name: "tracked", opts: Options{Arming: ArmAhead, Track: true}},
	{name: "streamed", opts: Options{Preserving: PreserveAhead, FaultPages: 1}, release: true},
	{name: "ahead-streamed", opts: Options{Arming: ArmAhead, Preserving: PreserveAhead}},
	{name: "superseded", opts: Options{FaultPages: 1}, supersede: true},
	{name: "superseded-blocks", opts: Options{FaultPages: 32}, supersede: true},
	{name: "superseded-forked", opts: Options{FaultPages: 1}, supersede: true, fork: true},
	{name: "rolled-back", rollback: true},
	{name: "ahead-rolled-back", opts: Options{Arming: ArmAhead, FaultPages: 1}, rollback: true},
	{name: "tracked-rolled-back", opts: Options{Track: true, FaultPages: 1}, rollback: true},
	{name: "forked", opts: Options{FaultPages: 1}, fork: true},
	{name: "ahead-forked-rolled-back", opts: Options{Arming: ArmAhead}, fork: true, rollback: true},
	{name: "forked-tight", opts: Options{FaultPages: 1, MaxPreserved: 24 * pageSize}, fork: true, rollback: true},
	{name: "tracked-single", opts: Options{Track: true, FaultPages: 1}, release: true},
	{name: "touched", touch: true},
	{name: "touched-ahead-rolled-back", opts: Options{Arming: ArmAhead, FaultPages: 1}, touch: true, rollback: true},
	{name: "touched-tracked-released", opts: Options{Arming: ArmAhead, Track: true}, touch: true, release: true},
	{name: "touched-superseded-forked", opts: Options{FaultPages: 1}, touch: true, supersede: true, fork: true},
	{name: "touched-tight", opts: Options{FaultPages: 1, MaxPreserved: 24 * pageSize}, touch: true, fork: true},
	{name: "touched-trimmed-forked", opts: Options{Track: true, FaultPages: 1}, touch: true, trim: true, fork: true},
	{name: "trimmed-rolled-back", trim: true, rollback: true},
	{name: "trimmed-forked-rolled-back", opts: Options{Arming: ArmAhead}, trim: true, fork: true, rollback: true},
	{name: "populated", opts: Options{populate: true}, only: GuardUserfault},
	{name: "populated-ahead", opts: Options{populate: true, Arming: ArmAhead, FaultPages: 1}, only: GuardUserfault},
	{name: "live", only: GuardUserfault, live: true, release: true},
	{name: "live-single", only: GuardUserfault, opts: Options{Arming: ArmAhead, FaultPages: 1}, live: true, release: true},
	{name: "live-touched-trimmed-forked", only: GuardUserfault, live: true, release: true, touch: true, trim: true, fork: true},
	{name: "shadow", only: GuardShadow},
	{name: "shadow-ahead", only: GuardShadow, opts: Options{Arming: ArmAhead}},
	{name: "shadow-ahead-steady", only: GuardShadow, opts: Options{Arming: ArmAhead}, steady: true, rollback: true},
	{name: "shadow-wholesale", only: GuardShadow, opts: Options{Arming: ArmWholesale}},
	{name: "shadow-wholesale-steady", only: GuardShadow, opts: Options{Arming: ArmWholesale}, steady: true, rollback: true},
	{name: "shadow-hot", only: GuardShadow, hot: true, opts: Options{Arming: ArmWholesale}},
	{name: "shadow-hot-rolled-back", only: GuardShadow, hot: true, rollback: true, fork: true, trim: true},
	{name: "shadow-ahead-in-order", only: GuardShadow, opts: Options{Arming: ArmAhead}, release: true, fork: true},
}

type way struct {
	name     string
	opts     Options
	only     Guard // GuardAuto: all
	steady   bool  // no adapting
	release  bool  // in order, each piece given back as it has been read, as a checkpoint is written
	rollback bool  // to snapshots, now and then
	fork     bool  // of snapshots
	touch    bool  // before most writes
	trim     bool  // now and then, with runs that come and go
	live     bool  // between snapshots
	hot      bool  // most writes go to a few pages, others after a while

	supersede bool // the newest is closed at once, while an older one stays open
}

// on: the way is one for g. Some have nothing that could be done in several.
func (w way) on(g Guard) bool {
	if w.only != GuardAuto {
		return w.only == g
	}
	switch g {
	case GuardCopy, GuardShadow:
		return w.name == "measured" || w.name == "rolled-back" || w.name == "forked" || w.trim && !w.touch
	}
	return true
}

var stressWays = flag.String("ways", "", "run TestStress only in ways whose guard and name contain this")

// TestStress takes snapshots back to back while goroutines write in every way
// that Go has, and compares every byte of every snapshot with a copy that was
// made inside the gate.
func TestStress(t *testing.T) {
	if os.Getenv("STRESS_CHILD") != "" {
		eachGuard(t, func(t *testing.T, g Guard) {
			for _, w := range ways {
				if w.on(g) {
					t.Run(w.name, func(t *testing.T) { stress(t, g, w) })
				}
			}
		})
		return
	}
	d := *stressFor
	if d == 0 {
		d = 150 * time.Millisecond
		if testing.Short() {
			d = 40 * time.Millisecond
		}
	}
	for i, set := range settings {
		if testing.Short() && i%3 > 0 && set.name != "all" {
			continue
		}
		t.Run(set.name, func(t *testing.T) {
			if strings.Contains(set.env, "GOMAXPROCS=1 ") {
				t.Parallel() // with each other: they leave the other processors alone
			}
			ctx, cancel := context.WithTimeout(t.Context(), time.Duration(3*len(ways)+2)*d+2*time.Minute)
			defer cancel()
			cmd := exec.CommandContext(ctx, os.Args[0], "-test.run=^TestStress$", "-test.v", "-test.timeout=0", "-stress="+d.String(), "-ways="+*stressWays)
			cmd.Env = append(os.Environ(), append(strings.Fields(set.env), "STRESS_CHILD=1")...)
			out, err := cmd.CombinedOutput()
			if ctx.Err() != nil {
				t.Fatalf("hung: %s", out)
			}
			if err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			for line := range strings.Lines(string(out)) {
				if strings.Contains(line, "snapshots,") {
					t.Log(strings.TrimSpace(line))
				}
			}
		})
	}
}

// stress runs for stressFor.
func stress(t *testing.T, g Guard, w way) {
	if !strings.Contains(g.String()+" "+w.name, *stressWays) {
		t.Skip("not asked for")
	}
	release := w.release
	passOverFewPages(t)
	if w.steady {
		keepSteady(t)
	}
	const pages, words = 96, 96 * pageSize / 8
	var gate sync.RWMutex
	var a *Arena
	var want []byte
	o := w.opts
	o.Guard = g
	if o.MaxPreserved == 0 {
		o.MaxPreserved = 64 << 20
	}
	tight := o.MaxPreserved < 64<<20
	o.Hold = func() (func(), error) {
		gate.Lock()
		want = bytes.Clone(a.mem.Bytes(0, a.High()))
		return gate.Unlock, nil
	}
	a = newArena(t, o)
	b := alloc(t, a, pages*pageSize)
	base := a.High() - pages*pageSize
	if w.live {
		alloc(t, a, 2*blockSize) // so that the pages are not among the last
	}
	var stop atomic.Bool
	var wg sync.WaitGroup
	surround(t, &wg, &stop)
	const total = 1 << 40
	*wordAt(b, 0) = total
	var locks [pages]sync.Mutex
	var updates atomic.Int64
	// A writer and the goroutine that it sends to hand a processor to each other for as long as
	// the scheduler lets them, 10 ms. So writers yield now and then: on one processor a snapshot
	// or a fork would otherwise get a turn every 50 ms, and a setting be nothing but updates.
	for k := range 4 {
		wg.Go(func() {
			rng := rand.New(rand.NewPCG(uint64(k), 5))
			ch := make(chan uint64)
			defer close(ch)
			pass := make(chan uint64)
			go func() { // a send that writes straight into the receiver's memory
				for v := range ch {
					pass <- v
				}
				close(pass)
			}()
			set := func(i int, v uint64) {
				p := wordAt(b, i*8)
				switch rng.IntN(7) {
				case 0:
					*p = v
				case 1:
					atomic.StoreUint64(p, v)
				case 2:
					copy(b[i*8:i*8+8], binary.LittleEndian.AppendUint64(nil, v))
				case 3:
					reflect.ValueOf(p).Elem().SetUint(v)
				case 4:
					ch <- v
					*p = <-pass
				case 5:
					clear(b[i*8 : i*8+8])
					atomic.AddUint64(p, v)
				case 6:
					reflect.Copy(reflect.ValueOf(b[i*8:i*8+8]), reflect.ValueOf(binary.LittleEndian.AppendUint64(nil, v)))
				}
			}
			for !stop.Load() {
				gate.RLock()
				i, j := rng.IntN(words), rng.IntN(words)
				if w.hot && rng.IntN(1024) > 0 {
					phase := int(updates.Load() >> 16)
					i, j = hotWord(i, phase), hotWord(j, phase)
				}
				p, q := i/512, j/512
				if w.touch && rng.IntN(8) > 0 { // both, one, or what somebody else may be about to write
					touchSome(a, rng, base, uint64(i)*8, uint64(j)*8, pages*pageSize)
				}
				locks[min(p, q)].Lock()
				if p != q {
					locks[max(p, q)].Lock()
				}
				if i != j {
					x, y := *wordAt(b, i*8), *wordAt(b, j*8)
					n := x / 2
					set(i, x-n)
					set(j, y+n)
				}
				if p != q {
					locks[max(p, q)].Unlock()
				}
				locks[min(p, q)].Unlock()
				gate.RUnlock()
				if updates.Add(1)%1024 == 0 {
					runtime.Gosched()
				}
			}
		})
	}
	type pair struct {
		s    *Snapshot
		want []byte
		runs []uint64
	}
	check := func(p pair) {
		var s io.ReaderAt = p.s
		if o.Preserving == PreserveAhead {
			st := p.s.Stream(t.Context())
			defer st.Stop()
			s = st
		}
		got := make([]byte, p.s.Size())
		piece := len(got)
		if release {
			piece = 8 * pageSize
		}
		for off := 0; off < len(got); off += piece {
			n := min(piece, len(got)-off)
			if _, err := s.ReadAt(got[off:off+n], int64(off)); err != nil {
				if !tight || !errors.Is(err, ErrOverrun) {
					t.Error(err)
				}
				return
			}
			if release {
				p.s.Release(int64(off), int64(n))
			}
		}
		sum := uint64(0)
		for i := range words {
			sum += binary.LittleEndian.Uint64(got[int(base)+i*8:])
		}
		if sum != total {
			t.Errorf("sum %d, want %d", sum, uint64(total))
		}
		for i := 0; i < len(got); i += pageSize {
			if !bytes.Equal(got[i:i+pageSize], p.want[i:i+pageSize]) {
				t.Errorf("page %d differs", i/pageSize)
			}
		}
	}
	rng := rand.New(rand.NewPCG(3, 3))
	var open []pair
	taken, passes, held, reprotected := 0, 0, 0, int64(0)
	rollbacks, forks, hot := 0, 0, int64(0)
	var family sync.WaitGroup
	var alive atomic.Int32
	var runs []uint64 // that are allocated
	for end := time.Now().Add(*stressFor); time.Now().Before(end) && !t.Failed(); {
		if w.trim {
			gate.RLock()
			for range 4 {
				runs = changeRuns(t, a, rng, runs)
			}
			gate.RUnlock()
			if rng.IntN(4) == 0 {
				trimHeld(t, a, &gate)
			}
		}
		if w.live && alive.Load() == 0 && rng.IntN(3) > 0 {
			for _, p := range open {
				check(p)
				p.s.Close()
			}
			open = nil
			liveStress(t, a, rng, &want)
		}
		for from := updates.Load(); w.hot && updates.Load() < from+100; {
			runtime.Gosched()
		}
		s, err := a.Snapshot()
		if err != nil {
			t.Error(err)
			break
		}
		taken++
		hot += a.Stats().HotPages
		if w.rollback && len(open) > 0 && rng.IntN(2) == 0 {
			i, before := rng.IntN(len(open)), a.rolled.count
			err := a.Rollback(open[i].s, func() (func(), error) {
				gate.Lock()
				return func() {
					n := open[i].s.Size()
					if a.rolled.count > before && !bytes.Equal(a.mem.Bytes(0, uint64(n)), open[i].want) {
						t.Error("rolled back to something else")
					}
					gate.Unlock()
				}, nil
			})
			switch {
			case tight && errors.Is(err, ErrOverrun):
			case err != nil:
				t.Error(err)
			default:
				open = open[:i+1] // the new one is closed, too
				runs = slices.Clone(open[i].runs)
				rollbacks++
				continue
			}
		}
		if w.fork && rng.IntN(4) == 0 && alive.Load() < 3 {
			seed, of := rng.Uint64(), want
			if f := forkOf(t, s, g, tight); f != nil {
				forks++
				alive.Add(1)
				family.Go(func() {
					defer alive.Add(-1)
					forkStress(t, f, of, seed)
				})
			}
		}
		passes += s.Stats().Passes
		held += s.Stats().Slices
		reprotected += s.Stats().Reprotected
		open = append(open, pair{s, want, slices.Clone(runs)})
		if release && rng.IntN(4) > 0 { // alone: only then is anything given back
			check(open[0])
			open[0].s.Close()
			open = open[1:]
			continue
		}
		if w.supersede && len(open) > 1 {
			// Soon after the instant: then many are in the resolver at once.
			for range rng.IntN(4) {
				runtime.Gosched()
			}
			if err := open[len(open)-1].s.Close(); err != nil {
				t.Error(err)
			}
			if open = open[:len(open)-1]; len(open) > rng.IntN(3) {
				check(open[0])
				if err := open[0].s.Close(); err != nil {
					t.Error(err)
				}
				open = open[1:]
			}
			continue
		}
		if len(open) < 4 {
			continue
		}
		// Two are read at once, then closed in any order.
		var readers sync.WaitGroup
		for range 2 {
			i := rng.IntN(len(open))
			p := open[i]
			open = append(open[:i], open[i+1:]...)
			readers.Go(func() {
				check(p)
				if err := p.s.Close(); err != nil {
					t.Error(err)
				}
			})
		}
		if w.trim {
			readers.Go(func() { trimHeld(t, a, &gate) })
		}
		readers.Wait()
	}
	for _, p := range open {
		check(p)
		p.s.Close()
	}
	family.Wait()
	stop.Store(true)
	wg.Wait()
	s := settled(a)
	t.Logf("%v %s: %d snapshots, %d updates, %d faults, %d touches, %d pages taken along, %d passes over %d pages, %d slices, %d rollbacks, %d forks, %d pages trimmed, %d lives of %d, %d hot pages",
		g, w.name, taken, updates.Load(), s.Faults, s.Touched, s.Neighbours, passes, reprotected, held, rollbacks, forks, s.Trimmed/pageSize, s.Lives, s.Lives+s.Unsettled, hot)
	if s.PreservedPages != 0 {
		t.Errorf("%d pages are still preserved", s.PreservedPages)
	}
}

// hotWord is the word like i in one of the pages, an eighth of all, that are hot in a phase.
func hotWord(i, phase int) int { return i/(8*512)*(8*512) + phase%8*512 + i%512 }

// settled is a's Stats once every snapshot that was closed has been given back: somebody who
// holds mu, as the keeper of the pool does when the resolver has rung, does that when he is done.
func settled(a *Arena) Stats {
	a.mu.Lock()
	_ = a.giveBack() // an error is munmap's, and Close would have had it
	a.unlock()
	return a.Stats()
}

// touchSome announces a write of eight bytes to each of two places in the n bytes from base
// on, or to one of them, or to some pages around it.
func touchSome(a *Arena, rng *rand.Rand, base, i, j, n uint64) {
	a.Touch(base+i, 8)
	switch rng.IntN(3) {
	case 0:
		a.Touch(base+j, 8)
	case 1:
		from := i - min(i, rng.Uint64N(3*pageSize))
		a.Touch(base+from, min(rng.Uint64N(4*pageSize), n-from))
	}
}

// changeRuns allocates a run of pages and fills it, or frees one. Nobody else allocates.
func changeRuns(t *testing.T, a *Arena, rng *rand.Rand, runs []uint64) []uint64 {
	if i := rng.IntN(12); i < len(runs) {
		if err := a.Free(runs[i]); err != nil {
			t.Error(err)
		}
		return slices.Delete(runs, i, i+1)
	}
	n := (9 + rng.Uint64N(24)) * pageSize
	off, err := a.Alloc(n, 0)
	if err != nil {
		t.Error(err)
		return runs
	}
	b := a.mem.Bytes(off, n)
	if i := notZero(b); i >= 0 {
		t.Errorf("byte %d of a new run is not zero", i)
	}
	fillWith(b, byte(1+rng.IntN(255)))
	return append(runs, off)
}

func trimHeld(t *testing.T, a *Arena, gate *sync.RWMutex) {
	if err := a.Trim(func() (func(), error) {
		gate.Lock()
		return gate.Unlock, nil
	}); err != nil {
		t.Error(err)
	}
}

// forkOf forks as package restore does; nil if the snapshot was given up.
func forkOf(t *testing.T, s *Snapshot, g Guard, mayOverrun bool) *Arena {
	r, err := Restore(Options{Guard: g, MaxSize: max(16<<20, 2*s.Size())}, s.Size())
	if err != nil {
		t.Error(err)
		return nil
	}
	a, _, err := r.FinishFork(s)
	if errors.Is(err, ErrNotSupported) {
		content := make([]byte, s.Size())
		if _, err = s.ReadAt(content, 0); err == nil {
			err = r.Fill(0, content)
		}
		if err == nil {
			a, err = r.Finish()
		} else {
			_ = r.Abort()
		}
	}
	if err != nil && !(mayOverrun && errors.Is(err, ErrOverrun)) {
		t.Error(err)
	}
	return a
}

// forkStress reads and writes a fork from several goroutines, takes a snapshot of it
// and forks that, while the parent goes on.
func forkStress(t *testing.T, a *Arena, want []byte, seed uint64) {
	defer func() {
		if err := a.Close(); err != nil {
			t.Error(err)
		}
	}()
	pages := len(want) / pageSize
	mem := a.mem.Bytes(0, uint64(len(want)))
	var wg sync.WaitGroup
	for k := range 3 {
		wg.Go(func() {
			rng := rand.New(rand.NewPCG(seed, uint64(k)))
			for _, page := range rng.Perm(pages) {
				at := page * pageSize
				if rng.IntN(4) == 0 {
					runtime.Gosched()
				}
				if page > 64 && page%4 == k { // the allocator's own pages stay as they are
					mem[at] = ^want[at] // a write to what may be missing
					mem[at] = want[at]
				}
				if page%4 == 3 || page <= 64 {
					if !bytes.Equal(mem[at:at+pageSize], want[at:at+pageSize]) {
						t.Errorf("page %d of a fork differs", page)
					}
				}
			}
		})
	}
	wg.Wait()
	if !bytes.Equal(mem, want) {
		t.Error("a fork differs")
	}
	s, err := a.Snapshot()
	if err != nil {
		t.Error(err)
		return
	}
	defer s.Close()
	for page := 65; page < pages; page++ {
		mem[page*pageSize+8]++
	}
	got := make([]byte, len(want))
	if _, err := s.ReadAt(got, 0); err != nil || !bytes.Equal(got, want) {
		t.Errorf("the snapshot of a fork differs (%v)", err)
	}
	if seed%3 == 0 {
		return
	}
	// All is in: whoever reads it may fork it and roll it back.
	if err := a.Complete(); err != nil {
		t.Error(err)
		return
	}
	f := forkOf(t, s, a.Guard(), false)
	if f == nil {
		return
	}
	defer f.Close()
	if err := a.Rollback(s, a.opts.hold()); err != nil {
		t.Error(err)
	}
	if !bytes.Equal(mem, want) {
		t.Error("a fork that was rolled back differs")
	}
	if !bytes.Equal(f.mem.Bytes(0, uint64(len(want))), want) {
		t.Error("a fork of a fork differs")
	}
}

// passOverFewPages lets arming ahead make passes also over small arenas.
func passOverFewPages(t *testing.T) {
	was := fewPages
	fewPages = 0
	t.Cleanup(func() { fewPages = was })
}

// keepSteady keeps the shadow guard to protecting.
func keepSteady(t *testing.T) {
	was := adapting
	adapting = false
	t.Cleanup(func() { adapting = was })
}

// surround makes the surroundings that the environment asks for.
func surround(t *testing.T, wg *sync.WaitGroup, stop *atomic.Bool) {
	want := os.Getenv("STRESS")
	loop := func(name string, do func()) {
		if !strings.Contains(want, name) {
			return
		}
		wg.Go(func() {
			for !stop.Load() {
				do()
			}
		})
	}
	loop("gc", runtime.GC)
	loop("memstats", func() {
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		time.Sleep(time.Millisecond)
	})
	loop("garbage", func() {
		keep := make([][]byte, 100)
		for i := range keep {
			keep[i] = make([]byte, 1000)
		}
		runtime.KeepAlive(keep)
		runtime.Gosched()
	})
	loop("exec", func() {
		if err := exec.Command("true").Run(); err != nil {
			t.Error(err)
			time.Sleep(time.Second)
		}
	})
	if strings.Contains(want, "profile") {
		runtime.SetCPUProfileRate(5000)
		if err := pprof.StartCPUProfile(new(bytes.Buffer)); err != nil {
			t.Error(err)
		}
		t.Cleanup(pprof.StopCPUProfile)
	}
	if strings.Contains(want, "notify") {
		c := make(chan os.Signal, 10)
		signal.Notify(c, syscall.SIGBUS)
		t.Cleanup(func() { signal.Stop(c) })
	}
}
