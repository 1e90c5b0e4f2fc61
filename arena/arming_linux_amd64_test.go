package arena

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"os"
	"reflect"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// While snapshots protect ahead back to back, system calls write into pinned
// pages, within one passage through the gate each.
func TestPinnedPagesTakeSystemCallsWhileArming(t *testing.T) {
	passOverFewPages(t)
	for _, track := range []bool{false, true} {
		var gate sync.RWMutex
		a := userfaultArena(t, Options{Arming: ArmAhead, Track: track, Hold: func() (func(), error) {
			gate.Lock()
			return gate.Unlock, nil
		}})
		off, err := a.Alloc(1<<20, pageSize)
		if err != nil {
			t.Fatal(err)
		}
		zero, err := os.Open("/dev/zero")
		if err != nil {
			t.Skip(err)
		}
		defer zero.Close()
		var stop atomic.Bool
		var wg sync.WaitGroup
		for w := range uint64(3) {
			wg.Go(func() {
				for i := uint64(0); !stop.Load(); i++ {
					at := off + (i*7+w*80)%250*pageSize
					gate.RLock()
					unpin, err := a.Pin(at, 3*pageSize)
					if err != nil {
						t.Error(err)
					} else {
						time.Sleep(time.Microsecond) // let a pass come by
						if _, err := zero.Read(a.mem.Bytes(at, 3*pageSize)); err != nil {
							t.Errorf("reading into pinned pages: %v", err)
							stop.Store(true)
						}
						unpin()
					}
					gate.RUnlock()
					gate.RLock()
					a.mem.Bytes(off+i%256*pageSize, 1)[0]++ // keeps the passes going
					gate.RUnlock()
				}
			})
		}
		// On a machine with other work writers may not have run at all for so long: then there is
		// nothing to pass over, and nothing has been tested.
		passes := 0
		for end := time.Now().Add(300 * time.Millisecond); passes == 0 || time.Now().Before(end); {
			s := snapshot(t, a)
			passes += s.Stats().Passes
			s.Close()
		}
		stop.Store(true)
		wg.Wait()
	}
}

// What is pinned while the rest is protected ahead is protected in the end.
func TestPinnedPagesBelongToTheSnapshot(t *testing.T) {
	a := userfaultArena(t, Options{Arming: ArmAhead})
	off, err := a.Alloc(16*pageSize, pageSize)
	if err != nil {
		t.Fatal(err)
	}
	b := a.mem.Bytes(off, 16*pageSize)
	fill(b, 1)
	for range 2 { // everything is protected ahead, then what is in the log
		unpin, err := a.Pin(off+pageSize, 3*pageSize)
		if err != nil {
			t.Fatal(err)
		}
		s := snapshot(t, a)
		defer s.Close()
		unpin()
		before := bytes.Clone(b)
		fill(b, b[0]+1)
		if got := content(t, s); !bytes.Equal(got[len(got)-len(b):], before) {
			t.Error("the snapshot has changed")
		}
	}
}

// A page may be in the log and protected: whoever protects it has taken it out,
// and a writer has put it in again, in between.
func TestPagesInTheLogCanBePinned(t *testing.T) {
	a := userfaultArena(t, Options{Arming: ArmAhead})
	off, err := a.Alloc(pageSize, pageSize)
	if err != nil {
		t.Fatal(err)
	}
	zero, err := os.Open("/dev/zero")
	if err != nil {
		t.Skip(err)
	}
	defer zero.Close()
	defer snapshot(t, a).Close()
	userfaultOf(a).h.PutBack(off/pageSize, 1)
	unpin, err := a.Pin(off, pageSize)
	if err != nil {
		t.Fatal(err)
	}
	defer unpin()
	if _, err := zero.Read(a.mem.Bytes(off, pageSize)); err != nil {
		t.Errorf("reading into a pinned page: %v", err)
	}
}

func TestPinsAreGoneAround(t *testing.T) {
	var p pins
	unpin := p.pin(5*pageSize+7, pageSize)
	p.pin(8*pageSize, 1)
	p.pin(6*pageSize, pageSize)
	var did, skipped []pinned
	err := p.around(0, 16*pageSize, func(off, n uint64) error {
		did = append(did, pinned{off / pageSize, (off + n) / pageSize})
		return nil
	}, func(off, n uint64) { skipped = append(skipped, pinned{off / pageSize, (off + n) / pageSize}) })
	if err != nil {
		t.Fatal(err)
	}
	if len(did) != 3 || did[0] != (pinned{0, 5}) || did[1] != (pinned{7, 8}) || did[2] != (pinned{9, 16}) {
		t.Errorf("did %v", did)
	}
	if len(skipped) != 2 || skipped[0] != (pinned{5, 7}) || skipped[1] != (pinned{8, 9}) {
		t.Errorf("skipped %v", skipped)
	}
	unpin()
	unpin()
	if len(p.ranges) != 2 {
		t.Errorf("%d pins are left", len(p.ranges))
	}
}

// A tracked arena stays armed, and the next snapshot protects only what was written.
func TestTrackingKeepsTheSetOfWrittenPages(t *testing.T) {
	a := userfaultArena(t, Options{Track: true, FaultPages: 1, MaxSize: 256 << 20})
	b := alloc(t, a, 128<<20)
	fill(b, 1)
	snapshot(t, a).Close()
	for range 3 {
		for p := 0; p < 100; p++ {
			b[p*300*pageSize] = 7
		}
		before := bytes.Clone(b)
		s := snapshot(t, a)
		if st := s.Stats(); st.Held+st.Reprotected < 100 || st.Held+st.Reprotected > 400 {
			t.Errorf("%+v: want about 100 pages protected", st)
		}
		fill(b, 2)
		got := content(t, s)
		if !bytes.Equal(got[len(got)-len(b):], before) {
			t.Error("the snapshot differs")
		}
		s.Close()
		fill(b, 3)
		snapshot(t, a).Close()
	}
}

// What is written while writers are held tears the snapshot, also when everything
// was protected before.
func TestWritersThatAreNotHeldTearASnapshotArmedAhead(t *testing.T) {
	if runtime.GOMAXPROCS(0) == 1 {
		t.Skip("nobody else runs in the pause")
	}
	var b []byte
	a := userfaultArena(t, Options{MaxSize: 512 << 20, Arming: ArmAhead, Hold: func() (func(), error) {
		for p := 0; p < len(b); p += 32 * pageSize { // no neighbours: the last pass takes its time
			b[p]++
		}
		return func() {}, nil
	}})
	b = alloc(t, a, 256<<20)
	var stop atomic.Bool
	var wg sync.WaitGroup
	wg.Go(func() {
		for !stop.Load() {
			b[0]++
		}
	})
	torn := 0
	for end := time.Now().Add(10 * time.Second); torn == 0 && time.Now().Before(end); {
		s, err := a.Snapshot()
		var w *ConcurrentWriteError
		if errors.As(err, &w) {
			torn++
			continue
		}
		if err != nil {
			t.Error(err)
			break
		}
		s.Close()
	}
	stop.Store(true)
	wg.Wait()
	if torn == 0 {
		t.Error("no snapshot was torn")
	}
}

// While memory is protected again for the next snapshot, a writer goes from page
// to page, past the last one that the open snapshot has preserved.
func TestRunOfWritesWhileArmingLeavesTheOpenSnapshotAlone(t *testing.T) {
	passOverFewPages(t)
	var b []byte
	write := func(first, end int) {
		for p := first; p < end; p++ {
			b[p*pageSize] = 2
		}
	}
	arming := false
	a := userfaultArena(t, Options{Arming: ArmAhead, FaultPages: 1, Hold: func() (func(), error) {
		if arming { // all that has been written was protected again
			write(2, 16)
		}
		return func() {}, nil
	}})
	b = alloc(t, a, 64*pageSize)
	fill(b, 1)
	s := snapshot(t, a)
	defer s.Close()
	write(0, 8)
	arming = true
	next := snapshot(t, a)
	defer next.Close()
	arming = false
	got := content(t, s)
	got = got[len(got)-len(b):]
	for p := range 64 {
		if got[p*pageSize] != 1 {
			t.Errorf("page %d has changed", p)
		}
	}
}

// Arming that failed before anything was protected leaves no log behind.
func TestArmingThatCameToNothingLeavesNoLog(t *testing.T) {
	a := userfaultArena(t, Options{})
	b := alloc(t, a, 1<<20)
	fill(b, 1)
	snapshot(t, a).Close() // protection is left over
	g := userfaultOf(a)
	a.mu.Lock()
	g.startLog()
	if err := g.tidy(); err != nil {
		t.Error(err)
	}
	a.mu.Unlock()
	fill(b, 2)
	if n := a.Stats().Dirty; n != 0 {
		t.Errorf("%d pages have been logged for nobody", n)
	}
}

// Writers that are not held may tear a snapshot. One that is returned as good
// nevertheless stays as it is, also while others are taken and torn.
func TestSnapshotsUnderWritersThatAreNotHeldDoNotChange(t *testing.T) {
	passOverFewPages(t)
	var seen []Options // many ways differ in what is done with snapshots only
	for _, w := range ways {
		o := w.opts
		o.MaxPreserved = 16 << 20
		if slices.ContainsFunc(seen, func(s Options) bool { return reflect.DeepEqual(s, o) }) {
			continue
		}
		seen = append(seen, o)
		t.Run(w.name, func(t *testing.T) {
			a := userfaultArena(t, o)
			b := alloc(t, a, 64*pageSize)
			var stop atomic.Bool
			var wg sync.WaitGroup
			for i := range uint64(2) {
				wg.Go(func() {
					rng := rand.New(rand.NewPCG(i, 1))
					for !stop.Load() {
						b[rng.IntN(64)*pageSize+int(i)]++
						for range rng.IntN(4000) { // now and then a snapshot should be good
						}
					}
				})
			}
			type held struct {
				s     *Snapshot
				first []byte
			}
			var open []held
			good, torn := 0, 0
			for end := time.Now().Add(100 * time.Millisecond); (good < 3 || time.Now().Before(end)) && !t.Failed(); {
				s, err := a.Snapshot()
				switch {
				case errors.Is(err, ErrConcurrentWrite):
					torn++
				case err != nil:
					t.Error(err)
				default:
					good++
					open = append(open, held{s, content(t, s)})
					runtime.Gosched()
				}
				if len(open) > 0 {
					h := open[0] // the one that has seen most
					if !bytes.Equal(h.first, content(t, h.s)) {
						t.Error("a snapshot has changed")
					}
				}
				if len(open) > 2 {
					open[0].s.Close()
					open = open[1:]
				}
			}
			stop.Store(true)
			wg.Wait()
			for _, h := range open {
				h.s.Close()
			}
			t.Logf("%d snapshots, and %d torn", good, torn)
		})
	}
}

// The end of a lazy restore drops every protection, also that between snapshots.
func TestSnapshotAfterALazyRestoreWasCompletedWhileTracking(t *testing.T) {
	a := userfaultArena(t, Options{Track: true})
	b := alloc(t, a, 1<<20)
	fill(b, 1)
	high := a.High()
	// (What is in already counts as missing until somebody looks.)
	if err := userfaultOf(a).lazy(high, MissingPages{Index: make([]uint64, (high+blockSize-1)/blockSize)}); err != nil {
		t.Fatal(err)
	}
	snapshot(t, a).Close()
	if err := a.Complete(); err != nil {
		t.Fatal(err)
	}
	s := snapshot(t, a)
	defer s.Close()
	before := bytes.Clone(b)
	fill(b, 2)
	if got := content(t, s); !bytes.Equal(got[len(got)-len(b):], before) {
		t.Error("the snapshot has changed")
	}
}

// Pages that are brought in between snapshots belong to the next one.
func TestPagesBroughtInWhileTrackingAreProtected(t *testing.T) {
	a := userfaultArena(t, Options{Track: true})
	off, err := a.Alloc(1<<20, pageSize)
	if err != nil {
		t.Fatal(err)
	}
	high := a.High()
	if err := userfaultOf(a).lazy(high, MissingPages{Index: make([]uint64, (high+blockSize-1)/blockSize)}); err != nil {
		t.Fatal(err)
	}
	snapshot(t, a).Close()
	src := bytes.Repeat([]byte{1}, 1<<20)
	if err := a.Bring(int64(off), src); err != nil {
		t.Fatal(err)
	}
	s := snapshot(t, a)
	defer s.Close()
	fill(a.mem.Bytes(off, 1<<20), 2)
	if got := content(t, s); !bytes.Equal(got[off:], src) {
		t.Error("the snapshot has changed")
	}
}

// The last snapshot is closed while writers are in the middle of their faults.
func TestLastSnapshotMayBeClosedWhileWritersFault(t *testing.T) {
	for _, track := range []bool{false, true} {
		var gate sync.RWMutex
		a := userfaultArena(t, Options{Track: track, FaultPages: 1, Hold: func() (func(), error) {
			gate.Lock()
			return gate.Unlock, nil
		}})
		b := alloc(t, a, 64*pageSize)
		var stop atomic.Bool
		var wg sync.WaitGroup
		for i := range uint64(3) {
			wg.Go(func() {
				rng := rand.New(rand.NewPCG(i, 2))
				for !stop.Load() {
					gate.RLock()
					b[rng.IntN(64)*pageSize+int(i)]++
					gate.RUnlock()
				}
			})
		}
		for end := time.Now().Add(200 * time.Millisecond); time.Now().Before(end); {
			snapshot(t, a).Close()
		}
		stop.Store(true)
		wg.Wait()
		if n := settled(a).PreservedPages; n != 0 {
			t.Errorf("tracking %v: %d pages are still preserved", track, n)
		}
	}
}

func TestSlicesPayAsLongAsTheyAreShort(t *testing.T) {
	const ms = time.Millisecond
	for _, c := range []struct {
		what                string
		waited, held, meant time.Duration
		slices              int
		pays                bool
	}{
		{"as meant", 0, ms, ms, 1000, true},
		{"a hiccup", 0, 15 * ms, ms, 1, true},
		{"long updates", 5 * ms, ms, ms, 20, false},
		{"long updates, once", 5 * ms, ms, ms, 1, true},
		{"no processors", 0, 20 * ms, ms, 2, false},
		{"few processors", 0, 4 * ms, ms, 1000, false},
	} {
		var s spell
		for range c.slices {
			s.add(c.waited, c.held, c.meant)
		}
		if s.pays() != c.pays {
			t.Errorf("%s: %v", c.what, s.pays())
		}
	}
}
