package cowheap

import (
	"errors"
	"math/rand/v2"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cowheap/cowheap/arena"
	"github.com/cowheap/cowheap/checkpoint"
)

// liveOptions are those of a heap that can be saved live; the test is skipped where there is none.
func liveOptions(t *testing.T, saving Saving) *Options {
	t.Helper()
	o := &Options{Guard: arena.GuardUserfault, MaxSize: 256 << 20, Saving: saving}
	a, err := arena.New(arena.Options{Guard: o.Guard})
	if err != nil {
		t.Skip(err)
	}
	defer a.Close()
	l, err := a.Live()
	if err != nil {
		t.Skip(err)
	}
	l.Close()
	return o
}

// TestLiveCheckpoints: every checkpoint that is written while writers move money shows one instant.
func TestLiveCheckpoints(t *testing.T) {
	o := liveOptions(t, SaveLive)
	dir := memoryDir(t)
	h := have[*Heap](t)(Open(dir, o))
	defer closing(t, h)
	var a accounts
	if err := a.fill(h); err != nil {
		t.Fatal(err)
	}
	var stop atomic.Bool
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			rng := rand.New(rand.NewPCG(uint64(w), 9))
			c := make(chan uint64, 2)
			for !stop.Load() {
				if err := h.Update(func(m *Mem) error {
					a.move(m, w, rng, c)
					if w == 0 && rng.IntN(20) == 0 { // it grows
						_, err := Alloc[pageAccount](m)
						return err
					}
					return nil
				}); err != nil {
					t.Error(err)
					return
				}
				time.Sleep(50 * time.Microsecond)
			}
		})
	}
	defer wg.Wait()
	defer stop.Store(true)
	for i := range 40 {
		info, err := h.Checkpoint(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if info.Incremental || info.Chain != 1 {
			t.Fatalf("checkpoint %d: %+v", i, info)
		}
		f := have[*os.File](t)(os.Open(info.Path))
		sum, err := a.streamSum(f, &Options{MaxSize: 256 << 20})
		f.Close()
		if err != nil || sum != (smallCount+pageCount)*accountMoney {
			t.Fatalf("checkpoint %d: %d in all accounts, %v", i, sum, err)
		}
	}
	if s := h.Stats(); s.Lives == 0 {
		t.Errorf("no checkpoint was live; %d did not settle", s.Unsettled)
	} else {
		t.Logf("%d live, %d pages; %d did not settle", s.Lives, s.LivePages, s.Unsettled)
	}
}

// scattered is state of which an update writes to any page.
type scattered [24 << 20 / 8]uint64

// scatteredHeap is a heap with one in its directory, where so many pages are written to each time
// that half of a checkpoint has been written.
func scatteredHeap(t *testing.T, o *Options, pages *int) (h *Heap, check func()) {
	t.Helper()
	rng := rand.New(rand.NewPCG(1, 2))
	var r Ref[scattered]
	began := false
	o.Progress = func(done, total int64) {
		if began || done < total/2 || done == total {
			return
		}
		began = true
		if err := h.Update(func(m *Mem) error {
			s := r.Ptr(m)
			for _, page := range rng.Perm(len(s) / 512)[:*pages] {
				s[page*512]++
			}
			return nil
		}); err != nil {
			t.Error(err)
		}
	}
	dir := memoryDir(t)
	h = have[*Heap](t)(Open(dir, o))
	t.Cleanup(func() { closing(t, h) })
	if err := h.Update(func(m *Mem) (err error) {
		if r, err = Root[scattered](m, "state"); err == nil {
			for i := range r.Ptr(m) {
				r.Ptr(m)[i] = 1
			}
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	return h, func() {
		t.Helper()
		began = false
		info, err := h.Checkpoint(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		im, err := checkpoint.OpenImage(info.Path)
		if err != nil {
			t.Fatal(err)
		}
		closing(t, im)
	}
}

// TestSaveAutoIsLive unless much is written; then it is a snapshot, and it is not tried again at once.
func TestSaveAutoIsLive(t *testing.T) {
	pages := 0
	h, checkpoint := scatteredHeap(t, liveOptions(t, SaveAuto), &pages)
	lives := func(want, frozen int64) {
		t.Helper()
		checkpoint()
		if s := h.Stats(); s.Lives != want || s.Taken != frozen {
			t.Errorf("%d pages written: %d live checkpoints and %d snapshots, want %d and %d", pages, s.Lives, s.Taken, want, frozen)
		}
	}
	lives(1, 0)
	pages = 600
	lives(2, 0)
	pages = 3000 // half of them where the checkpoint has been
	lives(2, 1)
	lives(2, 2) // as long as
	lives(2, 3) // it would not settle
	pages = 600
	lives(2, 4)
	lives(3, 4)
	if s := h.Stats(); s.Unsettled != 1 {
		t.Errorf("%d did not settle", s.Unsettled)
	}
}

// TestSaveLiveFallsBack to a snapshot, of whatever kind, where it cannot be live.
func TestSaveLiveFallsBack(t *testing.T) {
	for name, set := range map[string]func(o *Options){
		"compressed": func(o *Options) { o.Compression = checkpoint.S2 },
		"tracked":    func(o *Options) { o.Track = true },
		"copied":     func(o *Options) { o.Guard = arena.GuardCopy },
	} {
		t.Run(name, func(t *testing.T) {
			o := liveOptions(t, SaveLive)
			set(o)
			pages := 10
			h, checkpoint := scatteredHeap(t, o, &pages)
			checkpoint()
			checkpoint()
			if s := h.Stats(); s.Taken < 2 {
				t.Errorf("%d snapshots, %d live", s.Taken, s.Lives)
			}
		})
	}
	t.Run("snapshot", func(t *testing.T) {
		pages := 10
		h, checkpoint := scatteredHeap(t, liveOptions(t, SaveLive), &pages)
		s := have[*Snapshot](t)(h.Snapshot())
		checkpoint()
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		if s := h.Stats(); s.Taken != 2 || s.Lives != 0 {
			t.Errorf("%d snapshots, %d live", s.Taken, s.Lives)
		}
		checkpoint()
		if s := h.Stats(); s.Taken != 2 || s.Lives != 1 {
			t.Errorf("%d snapshots, %d live", s.Taken, s.Lives)
		}
	})
	t.Run("nested", func(t *testing.T) {
		pages := 0
		h, _ := scatteredHeap(t, liveOptions(t, SaveLive), &pages)
		if err := h.View(func(*Mem) error {
			_, err := h.Checkpoint(t.Context())
			return err
		}); !errors.Is(err, ErrNested) {
			t.Errorf("inside View: %v", err)
		}
	})
	if _, err := New(&Options{Saving: 7}); err == nil {
		t.Error("there is a Saving 7")
	}
}

// TestLiveIsNotTriedForEver where it fails for a reason that no snapshot shows.
func TestLiveIsNotTriedForEver(t *testing.T) {
	o := liveOptions(t, SaveAuto)
	var h *Heap
	began := false
	o.Progress = func(done, total int64) {
		if began || done < total/2 || done == total {
			return
		}
		began = true
		s, err := h.Snapshot()
		if err == nil {
			err = s.Close()
		}
		if err != nil {
			t.Error(err)
		}
	}
	h = have[*Heap](t)(Open(memoryDir(t), o))
	defer closing(t, h)
	if err := h.Update(func(m *Mem) error {
		r, err := Root[scattered](m, "state")
		if err == nil {
			for i := range r.Ptr(m) {
				r.Ptr(m)[i] = 1
			}
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	for range 24 {
		began = false
		have[checkpoint.Info](t)(h.Checkpoint(t.Context()))
	}
	if s := h.Stats(); s.Unsettled != 5 { // and 1, 2, 4, 8 between them that were not live
		t.Errorf("%d of 24 did not settle", s.Unsettled)
	}
}

// TestLiveOfLittle: less than a block of 2 MiB, and next to nothing.
func TestLiveOfLittle(t *testing.T) {
	o := liveOptions(t, SaveLive)
	dir := memoryDir(t)
	h := have[*Heap](t)(Open(dir, o))
	have[checkpoint.Info](t)(h.Checkpoint(t.Context()))
	if err := h.Update(func(m *Mem) error {
		r, err := Root[uint64](m, "x")
		if err == nil {
			*r.Ptr(m) = 7
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	have[checkpoint.Info](t)(h.Checkpoint(t.Context()))
	if s := h.Stats(); s.Lives != 2 {
		t.Errorf("%d live", s.Lives)
	}
	closing(t, h)
	h = have[*Heap](t)(Open(dir, o))
	defer closing(t, h)
	if err := h.View(func(m *Mem) error {
		r, err := Root[uint64](m, "x")
		if err == nil && *r.Ptr(m) != 7 {
			t.Error("it is", *r.Ptr(m))
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
}

// TestCloseWhileLive: Close, Snapshot, Trim and other checkpoints come at any time of a live one.
func TestCloseWhileLive(t *testing.T) {
	for i := range 30 {
		h := have[*Heap](t)(Open(memoryDir(t), liveOptions(t, SaveLive)))
		if err := h.Update(func(m *Mem) error {
			r, err := Root[scattered](m, "state")
			if err == nil {
				for i := range r.Ptr(m) {
					r.Ptr(m)[i] = uint64(i)
				}
			}
			return err
		}); err != nil {
			t.Fatal(err)
		}
		var wg sync.WaitGroup
		for range 2 {
			wg.Go(func() {
				for {
					if _, err := h.Checkpoint(t.Context()); err != nil {
						if !errors.Is(err, ErrClosed) {
							t.Errorf("round %d: %v", i, err)
						}
						return
					}
				}
			})
		}
		wg.Go(func() {
			for {
				s, err := h.Snapshot()
				if err != nil {
					return
				}
				_ = h.Update(func(*Mem) error { return s.Close() }) // the heap may be closed
				time.Sleep(time.Duration(rand.IntN(8)) * time.Millisecond)
				if rand.IntN(4) == 0 {
					_ = h.Trim()
				}
			}
		})
		time.Sleep(time.Duration(rand.IntN(60)) * time.Millisecond)
		if err := h.Close(); err != nil {
			t.Error(err)
		}
		wg.Wait()
	}
}
