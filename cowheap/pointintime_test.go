package cowheap

import (
	"bytes"
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"reflect"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cowheap/cowheap/arena"
)

var pointInTimeFor = flag.Duration("pointintime.for", 200*time.Millisecond, "how long TestPointInTime runs each of its two parts on each guard, on each number of processors, for each user")

// TestPointInTime runs its parts in children that differ in GOMAXPROCS, GOGC and
// user.
func TestPointInTime(t *testing.T) {
	if childTask() != "" {
		// The parts of a child are not parallel: each wants the processors.
		t.Run("transfers", func(t *testing.T) { eachHeapGuard(t, transfersAddUpArmed) })
		t.Run("lazy reads", func(t *testing.T) { eachLazyGuard(t, lazyReadsAreRight) })
		return
	}
	for _, user := range []string{"same user", "nobody"} {
		for _, procs := range []int{1, 2, 8} {
			t.Run(fmt.Sprint(user, " on ", procs), func(t *testing.T) {
				cmd := child(t, "parts", fmt.Sprint("GOMAXPROCS=", procs))
				cmd.Args = append(cmd.Args, "-test.v", "-pointintime.for="+pointInTimeFor.String())
				if procs == 2 {
					cmd.Env = append(cmd.Env, "GOGC=1")
				}
				if user == "nobody" {
					asNobody(t, cmd)
				}
				out, err := cmd.CombinedOutput()
				if err != nil {
					t.Errorf("%v: %.5000s", err, out)
				}
				t.Logf("%s", out)
			})
		}
	}
}

// An account is alone on its page, or has neighbours.
type (
	account     [6]uint64
	pageAccount [512]uint64
)

// accounts are spread over the heap. A writer has those to itself whose index
// modulo writers is its own; all of them share the last shared ones.
type accounts struct {
	small []Ref[account]
	pages []Ref[pageAccount]
}

const (
	writers      = 4
	shared       = 20
	smallCount   = 2000
	pageCount    = 700
	accountMoney = 1 << 20
)

// word is the money of account i.
func (a *accounts) word(m *Mem, i int) *uint64 {
	if i < smallCount {
		return &a.small[i].Ptr(m)[i%6]
	}
	i -= smallCount
	return &a.pages[i].Ptr(m)[i%512]
}

func (a *accounts) fill(h *Heap) error {
	return h.Update(func(m *Mem) error {
		for range smallCount {
			r, err := Alloc[account](m)
			if err != nil {
				return err
			}
			a.small = append(a.small, r)
		}
		for range pageCount {
			r, err := Alloc[pageAccount](m)
			if err != nil {
				return err
			}
			a.pages = append(a.pages, r)
		}
		for i := range smallCount + pageCount {
			*a.word(m, i) = accountMoney
		}
		return nil
	})
}

// move moves money between two accounts of writer w, storing in one of several
// ways.
func (a *accounts) move(m *Mem, w int, rng *rand.Rand, c chan uint64) {
	own := func() int { return rng.IntN((smallCount+pageCount-shared)/writers)*writers + w }
	i, j := own(), own()
	if i == j {
		return
	}
	from, to := a.word(m, i), a.word(m, j)
	n := rng.Uint64N(*from + 1)
	left, right := *from-n, *to+n
	switch rng.IntN(6) {
	case 0:
		*from, *to = left, right
	case 1:
		src := []uint64{left, right}
		copy(array(from)[:], src[:1])
		copy(array(to)[:], src[1:])
	case 2:
		clear(array(from)[:])
		*to = right
		*from = left
	case 3:
		c <- left
		c <- right
		*from, *to = <-c, <-c
	case 4:
		reflect.ValueOf(from).Elem().SetUint(left)
		reflect.ValueOf(to).Elem().SetUint(right)
	case 5:
		i, j := smallCount+pageCount-1-rng.IntN(shared), smallCount+pageCount-1-rng.IntN(shared)
		n := rng.Uint64N(1000) // may go below zero, which is as good
		atomic.AddUint64(a.word(m, i), -n)
		atomic.AddUint64(a.word(m, j), n)
	}
}

// array is the word as an array that can be sliced.
func array(p *uint64) *[1]uint64 { return (*[1]uint64)(reflect.ValueOf(p).UnsafePointer()) }

// loadedSum adds up what the snapshot shows by Load.
func (a *accounts) loadedSum(s *Snapshot) (sum uint64, err error) {
	for i, r := range a.small {
		v, err := r.Load(s)
		if err != nil {
			return 0, err
		}
		sum += v[i%6]
	}
	for i, r := range a.pages {
		v, err := r.Load(s)
		if err != nil {
			return 0, err
		}
		sum += v[i%512]
	}
	return sum, nil
}

// readSum adds up what the snapshot shows by one ReadAt into b.
func (a *accounts) readSum(s *Snapshot, b []byte) (sum uint64, err error) {
	if _, err := s.ReadAt(b, 0); err != nil {
		return 0, err
	}
	for i, r := range a.small {
		sum += binary.NativeEndian.Uint64(b[r.off+8*uint64(i%6):])
	}
	for i, r := range a.pages {
		sum += binary.NativeEndian.Uint64(b[r.off+8*uint64(i%512):])
	}
	return sum, nil
}

// restoredSum adds up what a heap has that is restored from the snapshot.
func (a *accounts) restoredSum(s *Snapshot, o *Options) (sum uint64, err error) {
	var b bytes.Buffer
	if _, err := s.WriteTo(&b); err != nil {
		return 0, err
	}
	return a.streamSum(&b, o)
}

// streamSum adds up what a heap has that is restored from a stream.
func (a *accounts) streamSum(r io.Reader, o *Options) (sum uint64, err error) {
	h, err := Restore(r, o)
	if err != nil {
		return 0, err
	}
	err = h.View(func(m *Mem) error {
		for i := range smallCount + pageCount {
			sum += *a.word(m, i)
		}
		return nil
	})
	for e := range h.Check() {
		err = errors.Join(err, e)
	}
	return sum, errors.Join(err, h.Close())
}

// watchedHeap is a heap that calls inside while its gate is closed for a
// snapshot.
func watchedHeap(t testing.TB, o *Options, inside func(h *Heap)) *Heap {
	t.Helper()
	h := newHeap(*o)
	a := have[*arena.Arena](t)(arena.New(h.opts.arena(func() (func(), error) {
		release, err := h.hold()
		if err == nil {
			inside(h)
		}
		return release, err
	})))
	if err := h.adopt(a, func(s *space) error { return s.format(1) }); err != nil {
		t.Fatal(err)
	}
	return h
}

// content is a copy of all bytes in use.
func content(h *Heap) []byte {
	m := h.sp.newMem(0)
	return bytes.Clone(m.bytes(0, h.a.High()))
}

// watched is an open snapshot, and the bytes that were copied inside the gate.
type watched struct {
	*Snapshot
	copied []byte
}

// transfersAddUpArmed arms in every way that the guard has.
func transfersAddUpArmed(t *testing.T, o *Options) {
	if o.Guard == arena.GuardCopy {
		transfersAddUp(t, o)
		return
	}
	for _, arming := range []arena.Arming{arena.ArmWholesale, arena.ArmAhead} {
		for _, track := range []bool{false, true} {
			t.Run(fmt.Sprint(arming, " track ", track), func(t *testing.T) {
				o := *o
				o.Arming, o.Track = arming, track
				transfersAddUp(t, &o)
			})
		}
	}
}

// transfersAddUp takes snapshots back to back while writers move money.
func transfersAddUp(t *testing.T, o *Options) {
	o.MaxPreserved = 1 << 30 // for several at once
	var copied []byte
	wanted := false
	h := watchedHeap(t, o, func(h *Heap) {
		if copied = nil; wanted {
			copied = content(h)
		}
	})
	defer closing(t, h)
	var a accounts
	if err := a.fill(h); err != nil {
		t.Fatal(err)
	}
	var stop atomic.Bool
	var wg sync.WaitGroup
	defer wg.Wait()
	defer stop.Store(true)
	for w := range writers {
		wg.Go(func() {
			rng, c := rand.New(rand.NewPCG(1, uint64(w))), make(chan uint64, 2)
			for !stop.Load() {
				if err := h.Update(func(m *Mem) error {
					for range 1 + rng.IntN(50) {
						a.move(m, w, rng, c)
					}
					return nil
				}); err != nil {
					t.Error(err)
					return
				}
				runtime.Gosched() // or all is writing, and few snapshots
			}
		})
	}
	wg.Go(func() {
		tick := time.NewTicker(time.Millisecond)
		defer tick.Stop()
		for s := new(runtime.MemStats); !stop.Load(); <-tick.C {
			runtime.GC()
			runtime.ReadMemStats(s)
		}
	})
	rng := rand.New(rand.NewPCG(2, 2))
	var open []watched
	n, compared := 0, 0
	buf := make([]byte, h.a.High())
	check := func(s watched) {
		sum, err := a.readSum(s.Snapshot, buf[:s.Size()])
		if s.copied != nil && err == nil {
			compared++
			if !bytes.Equal(buf[:s.Size()], s.copied) {
				err = errors.New("the snapshot differs from what was copied inside the gate")
			}
		}
		if n := rng.IntN(20); n == 0 && err == nil {
			sum, err = a.restoredSum(s.Snapshot, o)
		} else if n == 1 && err == nil {
			sum, err = a.loadedSum(s.Snapshot)
		}
		if want := uint64(smallCount+pageCount) * accountMoney; err != nil || sum != want {
			t.Errorf("snapshot %d: the sum is %d (%v), want %d", n, sum, err, want)
		}
	}
	for end := time.Now().Add(*pointInTimeFor); time.Now().Before(end) && !t.Failed(); n++ {
		wanted = rng.IntN(4) == 0
		s := watched{have[*Snapshot](t)(h.Snapshot()), copied}
		if rng.IntN(2) == 0 {
			check(s)
		}
		if open = append(open, s); len(open) < 1+rng.IntN(5) {
			continue
		}
		i := rng.IntN(len(open))
		check(open[i])
		closing(t, open[i])
		open[i] = open[len(open)-1]
		open = open[:len(open)-1]
	}
	for _, s := range open {
		check(s)
		closing(t, s)
	}
	t.Logf("%d snapshots, %d compared byte by byte, %d faults", n, compared, h.Stats().Faults)
}
