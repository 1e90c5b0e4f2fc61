package arena

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// notes: the guard notes first writes also while no snapshot is open.
func notes(g Guard, track bool) bool { return g == GuardShadow || track && g != GuardCopy }

// changedOf is what Changed gives, as a set of pages, checked for its form.
func changedOf(t *testing.T, w *Watch, s *Snapshot) (pages map[int64]bool, ok bool) {
	t.Helper()
	ranges, ok := w.Changed(s)
	if !ok {
		return nil, false
	}
	pages = map[int64]bool{}
	last := int64(-1)
	for off, n := range ranges {
		if off <= last || n <= 0 || off%pageSize != 0 || n%pageSize != 0 || off+n > s.Size() {
			t.Fatalf("%d bytes at %d, after %d, of %d", n, off, last, s.Size())
		}
		last = off + n
		for ; n > 0; off, n = off+pageSize, n-pageSize {
			pages[off/pageSize] = true
		}
	}
	return pages, true
}

// missed compares contents of two snapshots in the pages that are not named.
func missed(was, is []byte, named map[int64]bool) (page int64, ok bool) {
	for off := 0; off < len(is); off += pageSize {
		page := int64(off / pageSize)
		if !named[page] && (off >= len(was) || !bytes.Equal(was[off:off+pageSize], is[off:off+pageSize])) {
			return page, true
		}
	}
	return 0, false
}

func TestWatchNamesWhatWasWrittenAndNotMuchElse(t *testing.T) {
	keepSteady(t)
	for _, arming := range []Arming{ArmAuto, ArmWholesale, ArmAhead} {
		eachGuard(t, func(t *testing.T, g Guard) {
			a := newArena(t, Options{Guard: g, Track: true, FaultPages: 1, Arming: arming})
			const pages = 4000
			b := alloc(t, a, pages*pageSize)
			first := int64(a.High()/pageSize) - pages
			s := snapshot(t, a)
			w, err := s.Watch()
			if err != nil {
				t.Fatal(err)
			}
			defer w.Close()
			s.Close()
			chunk := int64(1)
			if g == GuardMprotect {
				chunk = 32
			}
			want := map[int64]bool{}
			for round := range 5 {
				for _, page := range []int{7, 100 * round, 100*round + 1, 3999} {
					b[page*pageSize]++
					want[(first+int64(page))/chunk] = true
				}
				s := snapshot(t, a)
				named, ok := changedOf(t, w, s)
				s.Close()
				if ok != (g != GuardCopy) {
					t.Fatal("known:", ok)
				}
				if !ok {
					return
				}
				for page := range want {
					if !named[page] && chunk == 1 {
						t.Errorf("page %d was written", page-first)
					}
				}
				// A first write in order takes some along.
				if most := int(chunk+3) * len(want); len(named) > most {
					t.Errorf("%d pages named, for %d written in pieces of %d", len(named), len(want), chunk)
				}
			}
		})
	}
}

// What Changed leaves out is the same in both, whatever happens in between.
func TestWatchMissesNoPage(t *testing.T) {
	eachGuard(t, func(t *testing.T, g Guard) {
		for _, w := range ways {
			if w.only != GuardAuto && w.only != g || w.fork || g == GuardCopy && w.name != "measured" {
				continue
			}
			t.Run(w.name, func(t *testing.T) {
				watchStress(t, g, w.opts, w.steady, false)
				if o := w.opts; !o.Track && g != GuardCopy {
					o.Track = true
					watchStress(t, g, o, w.steady, false)
				}
			})
		}
		t.Run("wholesale", func(t *testing.T) {
			watchStress(t, g, Options{Track: true, Arming: ArmWholesale}, false, false)
		})
		t.Run("outside the gate", func(t *testing.T) {
			watchStress(t, g, Options{Track: true, FaultPages: 1}, false, true)
		})
	})
}

// watchStress writes from several goroutines, while another one takes snapshots, watches,
// rolls back and closes, all in any order. rogue: one of the writers disregards the gate, so
// that snapshots fail.
func watchStress(t *testing.T, g Guard, o Options, steady, rogue bool) {
	passOverFewPages(t)
	if steady {
		keepSteady(t)
	}
	runFor := *stressFor
	if runFor == 0 {
		runFor = 60 * time.Millisecond
		if testing.Short() {
			runFor = 20 * time.Millisecond
		}
	}
	const pages = 160
	var gate sync.RWMutex
	errHeld := errors.New("not now")
	var refuse atomic.Int32 // let so many holds pass, then refuse one
	o.Guard = g
	o.Hold = func() (func(), error) {
		if refuse.Add(-1) == 0 {
			return nil, errHeld
		}
		gate.Lock()
		return gate.Unlock, nil
	}
	a := newArena(t, o)
	b := alloc(t, a, pages*pageSize)
	base := a.High() - pages*pageSize
	var stop atomic.Bool
	var wg sync.WaitGroup
	for k := range 3 {
		wg.Go(func() {
			rng := rand.New(rand.NewPCG(uint64(k), 1))
			for !stop.Load() {
				outside := rogue && k == 0
				if !outside {
					gate.RLock()
				}
				page := rng.IntN(pages)
				off := base + uint64(page)*pageSize
				switch rng.IntN(8) {
				case 0:
					if err := a.PrepareWrite(off, pageSize); err != nil {
						t.Error(err)
					}
				case 1:
					unpin, err := a.Pin(off, pageSize)
					if err != nil {
						t.Error(err)
						break
					}
					runtime.Gosched()
					b[page*pageSize+k]++
					unpin()
				}
				b[page*pageSize+8*k+rng.IntN(8)] = byte(rng.Uint32())
				if !outside {
					gate.RUnlock()
				}
				if rng.IntN(4) == 0 {
					runtime.Gosched()
				}
			}
		})
	}
	type held struct {
		s       *Snapshot
		content []byte
	}
	type watching struct {
		w   *Watch
		was []byte
	}
	rng := rand.New(rand.NewPCG(7, uint64(g)))
	var open []held
	var watches []watching
	asked, known, failed, grown := 0, 0, 0, 0
	read := func(s *Snapshot) []byte {
		content := make([]byte, s.Size())
		if _, err := s.ReadAt(content, 0); err != nil {
			if !errors.Is(err, ErrOverrun) {
				t.Error(err)
			}
			return nil
		}
		return content
	}
	for end := time.Now().Add(runFor); time.Now().Before(end) && !t.Failed(); {
		if rng.IntN(6) == 0 {
			refuse.Store(int32(1 + rng.IntN(3)))
		}
		s, err := a.Snapshot()
		refuse.Store(0)
		if err != nil {
			failed++
			switch {
			case errors.Is(err, errHeld), rogue && errors.Is(err, ErrConcurrentWrite):
			case errors.Is(err, ErrOverrun) && len(open) > 0: // the copy guard
				open[0].s.Close()
				open = open[1:]
			default:
				t.Error(err)
			}
			continue
		}
		is := read(s)
		if is == nil {
			s.Close()
			continue
		}
		open = append(open, held{s, is})
		for _, w := range watches {
			asked++
			named, ok := changedOf(t, w.w, s)
			if !ok {
				if notes(g, o.Track) {
					t.Error("it is not known what was written")
				}
				continue
			}
			known++
			if page, ok := missed(w.was, is, named); ok {
				t.Errorf("page %d of %d differs and was not named", page, len(is)/pageSize)
			}
		}
		if rng.IntN(3) == 0 {
			h := open[rng.IntN(len(open))]
			w, err := h.s.Watch()
			switch {
			case err == nil:
				watches = append(watches, watching{w, h.content})
			case !errors.Is(err, ErrOverrun):
				t.Error(err)
			}
		}
		if len(watches) > 4 {
			i := rng.IntN(len(watches))
			watches[i].w.Close()
			watches = append(watches[:i], watches[i+1:]...)
		}
		switch rng.IntN(10) {
		case 0: // back, all writers held
			if rogue {
				break
			}
			i := rng.IntN(len(open))
			refuse.Store(0)
			if err := a.Rollback(open[i].s, a.opts.hold()); err == nil {
				open = open[:i+1]
			} else if !errors.Is(err, ErrOverrun) {
				t.Error(err)
			}
		case 1:
			if grown < 20 { // in a rolled back arena the same pages again
				gate.Lock()
				grown++
				more := alloc(t, a, uint64(1+rng.IntN(30))*pageSize)
				more[len(more)-1] = byte(grown)
				gate.Unlock()
			}
		}
		for keep := rng.IntN(4); len(open) > keep; {
			i := rng.IntN(len(open))
			if err := open[i].s.Close(); err != nil {
				t.Error(err)
			}
			open = append(open[:i], open[i+1:]...)
		}
	}
	stop.Store(true)
	wg.Wait()
	for _, w := range watches {
		w.w.Close()
	}
	for _, h := range open {
		h.s.Close()
	}
	t.Logf("%d of %d answers, %d snapshots failed", known, asked, failed)
	if known == 0 && notes(g, o.Track) && asked > 0 || known > 0 && g == GuardCopy {
		t.Error("the watches have nothing to say, or invent it")
	}
}

// A watch stays right when the arena shrinks by a rollback, by more than is zeroed by hand,
// and grows again.
func TestWatchOverARollbackThatGivesMemoryBack(t *testing.T) {
	eachGuard(t, func(t *testing.T, g Guard) {
		a := newArena(t, Options{Guard: g, Track: true})
		alloc(t, a, 64*pageSize)
		small := snapshot(t, a)
		b := alloc(t, a, emptyBy+(4<<20))
		for i := range b {
			b[i] = byte(i / pageSize)
		}
		large := snapshot(t, a)
		was := contentOf(t, large)
		w, err := large.Watch()
		if err != nil {
			t.Fatal(err)
		}
		if err := a.Rollback(small, a.opts.hold()); err != nil {
			t.Fatal(err)
		}
		s := snapshot(t, a)
		if named, ok := changedOf(t, w, s); ok {
			if page, ok := missed(was, contentOf(t, s), named); ok {
				t.Errorf("page %d differs", page)
			}
		}
		s.Close()
		b = alloc(t, a, emptyBy+(8<<20))
		b[10*pageSize] = 99
		s = snapshot(t, a)
		named, ok := changedOf(t, w, s)
		if ok != (g != GuardCopy) {
			t.Fatal("known:", ok)
		}
		if ok {
			if page, ok := missed(was, contentOf(t, s), named); ok {
				t.Errorf("page %d differs", page)
			}
		}
	})
}

const emptyBy = 16 << 20 // emptyByHand, which not all systems have

func TestWatchWithoutTrackKnowsAsLongAsSnapshotsTouch(t *testing.T) {
	eachGuard(t, func(t *testing.T, g Guard) {
		a := newArena(t, Options{Guard: g})
		b := alloc(t, a, 64*pageSize)
		first := snapshot(t, a)
		w, err := first.Watch()
		if err != nil {
			t.Fatal(err)
		}
		for i := range 3 {
			b[i*pageSize]++
			next := snapshot(t, a)
			first.Close()
			first = next
		}
		if _, ok := w.Changed(first); ok != (g != GuardCopy) {
			t.Error("a chain of snapshots; known:", ok)
		}
		first.Close() // the last one
		if _, ok := w.Changed(first); ok != (g != GuardCopy) {
			t.Error("what was known of a snapshot is forgotten")
		}
		b[50*pageSize]++
		late := snapshot(t, a)
		if _, ok := w.Changed(late); ok != (g == GuardShadow) {
			t.Error("after a gap; known:", ok)
		}
		if _, err := first.Watch(); !errors.Is(err, ErrClosed) {
			t.Error("a closed snapshot is watched:", err)
		}
		w.Close()
		if _, ok := w.Changed(late); ok {
			t.Error("a closed Watch answers")
		}
		other := newArena(t, Options{Guard: g})
		w2, err := late.Watch()
		if err != nil {
			t.Fatal(err)
		}
		defer w2.Close()
		if _, ok := w2.Changed(snapshot(t, other)); ok {
			t.Error("a snapshot of another arena is compared")
		}
		if _, ok := w2.Changed(late); ok {
			t.Error("a snapshot is compared with itself")
		}
	})
}

// TestWatchKnowsWhatATrimTookAway: free memory differs, too, and a checkpoint has all of it.
func TestWatchKnowsWhatATrimTookAway(t *testing.T) {
	for _, g := range guards(t) {
		if g == GuardCopy {
			continue
		}
		t.Run(g.String(), func(t *testing.T) {
			a := newArena(t, Options{Guard: g, Track: true, MaxSize: 64 << 20})
			const size = 4 << 20
			off, err := a.Alloc(size, pageSize)
			if err != nil {
				t.Fatal(err)
			}
			fillWith(a.mem.Bytes(off, size), 9)
			s := snapshot(t, a)
			w, err := s.Watch()
			if err != nil {
				t.Fatal(err)
			}
			defer w.Close()
			before := content(t, s)
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			if err := a.Free(off); err != nil {
				t.Fatal(err)
			}
			trim(t, a)
			s = snapshot(t, a)
			changed, ok := w.Changed(s)
			if !ok {
				t.Skip("what was written is not known")
			}
			after := content(t, s)
			for off, n := range changed {
				copy(before[off:off+n], after[off:off+n])
			}
			if !bytes.Equal(before, after) {
				t.Error("pages differ that are not said to")
			}
		})
	}
}
