package cowheap

import (
	"errors"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
)

func mustEnter(t *testing.T, g *gate, kind passage) int {
	t.Helper()
	slot, err := g.enter(kind)
	if err != nil {
		t.Fatalf("enter: %v", err)
	}
	return slot
}

func mustClose(t *testing.T, g *gate, state gateState) {
	t.Helper()
	if _, err := g.close(state); err != nil {
		t.Fatalf("close: %v", err)
	}
}

func TestOneUpdateAtATimeHasSlotZero(t *testing.T) {
	g := newGate()
	views := hold(t, g, passView, 20)
	for range 200 {
		done := make(chan int)
		go func() { // a new goroutine each time
			slot := mustEnter(t, g, passUpdate)
			g.leave(slot)
			done <- slot
		}()
		if slot := <-done; slot != 0 {
			t.Fatalf("an Update alone has slot %d, want 0", slot)
		}
	}
	views()
}

// hold has n goroutines enter and stay inside until the returned function is
// called, which returns when they are out.
func hold(t *testing.T, g *gate, kind passage, n int) (release func()) {
	t.Helper()
	var wg, inside sync.WaitGroup
	out := make(chan struct{})
	inside.Add(n)
	for range n {
		wg.Go(func() {
			slot, err := g.enter(kind)
			inside.Done()
			if err != nil {
				t.Errorf("enter: %v", err)
				return
			}
			<-out
			g.leave(slot)
		})
	}
	inside.Wait()
	return func() { close(out); wg.Wait() }
}

func TestSlotsAreTakenOnceEach(t *testing.T) {
	g := newGate()
	n := g.slots() / 2
	var mu sync.Mutex
	taken := make(map[int]bool)
	var wg, inside sync.WaitGroup
	inside.Add(n)
	for range n {
		wg.Go(func() {
			slot := mustEnter(t, g, passUpdate)
			mu.Lock()
			if slot != spillSlot && taken[slot] {
				t.Errorf("slot %d is taken twice", slot)
			}
			if slot < spillSlot || slot >= g.slots() {
				t.Errorf("slot %d of %d", slot, g.slots())
			}
			taken[slot] = true
			mu.Unlock()
			inside.Done()
			inside.Wait()
			g.leave(slot)
		})
	}
	wg.Wait()
	mustClose(t, g, gateNobody) // and none is left taken
	g.open()
}

func TestMoreEntrantsThanSlots(t *testing.T) {
	g := newGate()
	n := 4 * g.slots()
	release := hold(t, g, passUpdate, n)
	spilled := int(g.spilled.Load())
	if least := n - g.slots(); spilled < least {
		t.Fatalf("%d goroutines are inside, %d of them in the spill, want at least %d", n, spilled, least)
	}
	closed := make(chan struct{})
	go func() {
		mustClose(t, g, gateNoUpdates)
		if left := g.spilled.Load(); left != 0 {
			t.Errorf("closed with %d in the spill", left)
		}
		g.open()
		close(closed)
	}()
	release()
	<-closed
}

// A closer waits for whom it must in the spill, too.
func TestClosersWaitForTheSpill(t *testing.T) {
	for _, kind := range []passage{passUpdate, passView} {
		synctest.Test(t, func(t *testing.T) {
			g := newGate()
			leaveSlots, leaveSpill := make(chan struct{}), make(chan struct{})
			var spilled atomic.Int32
			for range 4 * g.slots() {
				go func() {
					slot := mustEnter(t, g, kind)
					if slot == spillSlot {
						spilled.Add(1)
						<-leaveSpill
					} else {
						<-leaveSlots
					}
					g.leave(slot)
				}()
			}
			synctest.Wait()
			if spilled.Load() == 0 {
				t.Fatal("nobody is in the spill")
			}
			var closed atomic.Bool
			go func() {
				mustClose(t, g, gateNoUpdates)
				closed.Store(true)
				g.open()
			}()
			close(leaveSlots)
			synctest.Wait()
			if closed.Load() == (kind == passUpdate) {
				t.Errorf("closed=%v to Updates while passage %d is in the spill", closed.Load(), kind)
			}
			close(leaveSpill)
			synctest.Wait()
			if !closed.Load() {
				t.Error("not closed after the spill is empty")
			}
		})
	}
}

func TestNestingIsFoundInEverySlotAndTheSpill(t *testing.T) {
	for _, outer := range []passage{passUpdate, passView} {
		g := newGate()
		var wg, inside sync.WaitGroup
		n := 3 * g.slots()
		inside.Add(n)
		for range n {
			wg.Go(func() {
				slot := mustEnter(t, g, outer)
				inside.Done()
				inside.Wait() // all slots are taken, the others are in the spill
				for _, inner := range []passage{passUpdate, passView} {
					if _, err := g.enter(inner); !errors.Is(err, ErrNested) {
						t.Errorf("entering from slot %d: %v, want ErrNested", slot, err)
					}
				}
				for _, state := range []gateState{gateNoUpdates, gateNobody} {
					if _, err := g.close(state); !errors.Is(err, ErrNested) {
						t.Errorf("closing from slot %d: %v, want ErrNested", slot, err)
					}
				}
				g.leave(slot)
			})
		}
		wg.Wait()
		slot := mustEnter(t, g, passUpdate) // nesting is over with leave
		g.leave(slot)
	}
}

func TestNestingIsAnErrorWhileACloserWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate()
		for _, state := range []gateState{gateNoUpdates, gateNobody} {
			slot := mustEnter(t, g, passUpdate)
			go func() {
				mustClose(t, g, state)
				g.open()
			}()
			synctest.Wait() // until the closer waits for us
			if gateState(g.state.Load()) != state {
				t.Fatal("the closer has not closed the gate")
			}
			for _, kind := range []passage{passUpdate, passView} {
				if _, err := g.enter(kind); !errors.Is(err, ErrNested) {
					t.Errorf("entering with a closer waiting: %v, want ErrNested", err)
				}
			}
			if _, err := g.close(gateNoUpdates); !errors.Is(err, ErrNested) {
				t.Errorf("closing with a closer waiting: %v, want ErrNested", err)
			}
			g.leave(slot)
			synctest.Wait()
		}
	})
}

func TestWhomAClosedGateHoldsUp(t *testing.T) {
	for _, c := range []struct {
		state   gateState
		kind    passage
		heldUp  bool
		waitFor bool // the closer waits for one who is inside
	}{
		{gateNoUpdates, passUpdate, true, true},
		{gateNoUpdates, passView, false, false},
		{gateNobody, passUpdate, true, true},
		{gateNobody, passView, true, true},
	} {
		synctest.Test(t, func(t *testing.T) {
			g := newGate()
			var closed, entered atomic.Bool
			slot := mustEnter(t, g, c.kind)
			mayOpen := make(chan struct{})
			go func() {
				mustClose(t, g, c.state)
				closed.Store(true)
				<-mayOpen
				g.open()
			}()
			synctest.Wait()
			if closed.Load() == c.waitFor {
				t.Errorf("%+v: closed=%v while one is inside", c, closed.Load())
			}
			g.leave(slot)
			synctest.Wait()
			if !closed.Load() {
				t.Errorf("%+v: not closed after the last has left", c)
			}
			go func() {
				slot := mustEnter(t, g, c.kind)
				entered.Store(true)
				g.leave(slot)
			}()
			synctest.Wait()
			if entered.Load() == c.heldUp {
				t.Errorf("%+v: entered=%v while closed", c, entered.Load())
			}
			close(mayOpen)
			synctest.Wait()
			if !entered.Load() {
				t.Errorf("%+v: not let in after the gate opened", c)
			}
		})
	}
}

func TestShutTurnsEverybodyAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate()
		mustClose(t, g, gateNobody)
		var turnedAway atomic.Int32
		for range 10 {
			for _, kind := range []passage{passUpdate, passView} {
				go func() {
					if _, err := g.enter(kind); errors.Is(err, ErrClosed) {
						turnedAway.Add(1)
					}
				}()
			}
		}
		synctest.Wait()
		if got := turnedAway.Load(); got != 0 {
			t.Errorf("%d were turned away before shut", got)
		}
		g.shut()
		synctest.Wait()
		if got := turnedAway.Load(); got != 20 {
			t.Errorf("%d of 20 who waited were turned away", got)
		}
		if _, err := g.enter(passView); !errors.Is(err, ErrClosed) {
			t.Errorf("entering after shut: %v, want ErrClosed", err)
		}
		if _, err := g.close(gateNobody); !errors.Is(err, ErrClosed) {
			t.Errorf("closing after shut: %v, want ErrClosed", err)
		}
	})
}

func TestShutTurnsWaitingClosersAway(t *testing.T) {
	g := newGate()
	mustClose(t, g, gateNobody)
	var wg sync.WaitGroup
	for range 10 {
		wg.Go(func() {
			if _, err := g.close(gateNoUpdates); !errors.Is(err, ErrClosed) {
				t.Errorf("closing: %v, want ErrClosed", err)
			}
		})
	}
	g.shut()
	wg.Wait()
}

// Who waits is let in before the next closer, but once only.
func TestClosersOweOneEntryToEachWhoWaits(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1)) // else the waiting one may get in by luck
	once := 0
	for range 20 {
		g := newGate()
		var entries atomic.Int32
		var stop atomic.Bool
		var wg sync.WaitGroup
		mustClose(t, g, gateNoUpdates)
		wg.Go(func() {
			for !stop.Load() {
				slot := mustEnter(t, g, passUpdate)
				entries.Add(1)
				g.leave(slot)
			}
		})
		for {
			g.mu.Lock()
			waiting := g.waiting
			g.mu.Unlock()
			if waiting == 1 {
				break
			}
			runtime.Gosched()
		}
		g.open()
		mustClose(t, g, gateNoUpdates)
		if n := entries.Load(); n == 0 {
			t.Error("the gate closed again before it let in who waited")
		} else if n == 1 {
			once++
		}
		stop.Store(true)
		g.open()
		wg.Wait()
	}
	if once < 15 { // the other one may have run between open and close
		t.Errorf("in %d of 20 rounds who waited came in just once", once)
	}
}

func TestClosersOneAfterAnotherLetInWhoWaits(t *testing.T) {
	g := newGate()
	stop := make(chan struct{})
	var closers, writers sync.WaitGroup
	for range 2 {
		closers.Go(func() {
			for {
				mustClose(t, g, gateNobody)
				g.open() // and closes again at once
				select {
				case <-stop:
					return
				default:
				}
			}
		})
	}
	for i := range 4 {
		writers.Go(func() {
			for range 300 {
				g.leave(mustEnter(t, g, passage(i&1)))
			}
		})
	}
	writers.Wait()
	close(stop)
	closers.Wait()
}

func TestNobodyIsInsideAClosedGate(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(0))
	for _, procs := range []int{1, 2, 8} {
		runtime.GOMAXPROCS(procs)
		g := newGate()
		var inside [2]atomic.Int64
		var entrants, closers sync.WaitGroup
		stop := make(chan struct{})
		stopped := func() bool {
			select {
			case <-stop:
				return true
			default:
				return false
			}
		}
		rounds := 400
		if testing.Short() {
			rounds = 100
		}
		for i := range 24 {
			kind := passage(i % 2)
			entrants.Go(func() {
				for !stopped() {
					slot := mustEnter(t, g, kind)
					inside[kind].Add(1)
					if i%5 == 0 {
						runtime.Gosched()
					}
					inside[kind].Add(-1)
					g.leave(slot)
					runtime.Gosched() // else one has a whole time slice while the closers are on their way
				}
			})
		}
		for i := range 3 {
			state := []gateState{gateNoUpdates, gateNobody, gateNoUpdates}[i]
			closers.Go(func() {
				for range rounds / procs {
					mustClose(t, g, state)
					for range 3 {
						if n := inside[passUpdate].Load(); n != 0 {
							t.Errorf("%d Updates are inside a closed gate", n)
						}
						if n := inside[passView].Load(); n != 0 && state == gateNobody {
							t.Errorf("%d Views are inside a closed gate", n)
						}
						runtime.Gosched()
					}
					g.open()
				}
			})
		}
		closers.Wait()
		close(stop)
		entrants.Wait()
	}
}

func BenchmarkGate(b *testing.B) {
	g := newGate()
	b.Run("update", func(b *testing.B) {
		for b.Loop() {
			slot, _ := g.enter(passUpdate)
			g.leave(slot)
		}
	})
	b.Run("view", func(b *testing.B) {
		for b.Loop() {
			slot, _ := g.enter(passView)
			g.leave(slot)
		}
	})
	b.Run("update/parallel", func(b *testing.B) {
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				slot, _ := g.enter(passUpdate)
				g.leave(slot)
			}
		})
	})
	b.Run("close", func(b *testing.B) {
		for b.Loop() {
			g.close(gateNoUpdates)
			g.open()
		}
	})
}
