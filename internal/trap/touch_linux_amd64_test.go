package trap

import "testing"

// logged is a rig whose log is on, as it is in an arena while a snapshot is open.
func logged(t *testing.T) *rig {
	g := newRig(t, 2, 64)
	g.force(1)
	g.h.StartLog()
	return g
}

func TestTouchSparesTheFault(t *testing.T) {
	g := logged(t)
	*g.word(3, 0) = 7
	tab := g.snapshot()
	g.h.Touch(3)
	g.h.Touch(3)
	g.h.Touch(600) // never touched before
	*g.word(3, 0), *g.word(600, 0) = 8, 8
	if s := g.h.Stats(); s.Faults != 0 || s.Touched != 2 || s.Used != 2 {
		t.Errorf("%+v: want no fault, 2 touches, 2 slots", s)
	}
	if a, b := g.asOf(tab, 3), g.asOf(tab, 600); a != 7 || b != 0 {
		t.Errorf("as of the snapshot %d and %d, want 7 and 0", a, b)
	}
	g.drop(tab)
}

// Whoever touches looks first, and is counted as inside only then: what it found may be out of
// date. It is as with a fault that is stale.
func TestTouchThatIsOutOfDate(t *testing.T) {
	for name, meanwhile := range map[string]func(g *rig, tab *Table) *Table{
		"somebody has written": func(g *rig, tab *Table) *Table {
			*g.word(3, 0) = 8
			return tab
		},
		"somebody has written and it is protected again": func(g *rig, tab *Table) *Table {
			*g.word(3, 0) = 8
			for page, n := range g.h.TakeLog() {
				g.protect(page, n)
			}
			return tab
		},
		"the snapshot is closed": func(g *rig, tab *Table) *Table {
			g.h.StopLog()
			g.drop(tab)
			return nil
		},
		"the snapshot is closed and the log stays on": func(g *rig, tab *Table) *Table {
			g.drop(tab)
			return nil
		},
		"there is a newer one": func(g *rig, tab *Table) *Table {
			*g.word(3, 0) = 8
			g.drop(tab)
			for range g.h.TakeLog() {
			}
			return g.snapshot()
		},
		"the snapshot was given up": func(g *rig, tab *Table) *Table {
			g.h.r.giveUp(tab)
			return tab
		},
	} {
		t.Run(name, func(t *testing.T) {
			g := logged(t)
			*g.word(3, 0), *g.word(4, 0) = 7, 7
			tab := g.snapshot()
			if g.h.r.isLogged(3, 1) || !g.h.r.awaits(3) {
				t.Fatal("it would not be resolved")
			}
			tab = meanwhile(g, tab)
			want := *g.word(3, 0)
			if tab != nil {
				if s, ok := tab.Slot(3); ok {
					want = g.slotWord(s)
				}
			}
			g.h.r.firstWrite(3, 0)
			given := tab != nil && g.h.Overrun() >= tab.Seq()
			*g.word(3, 0)++
			if tab != nil && !given {
				if got := g.asOf(tab, 3); got != want {
					t.Errorf("as of the snapshot %d, want %d", got, want)
				}
				if page, _, torn := tab.Torn(); torn {
					t.Errorf("the snapshot counts as torn, by page %d", page)
				}
			}
			// What is lifted is in the log, or the log is off: who protects by it finds all.
			if g.h.Logged() == 0 && load64(&g.h.r.logging) != 0 {
				t.Error("it was lifted and is not in the log")
			}
			for page, n := range g.h.TakeLog() {
				g.protect(page, n)
			}
			faults := g.h.Stats().Faults
			*g.word(3, 0)++
			if load64(&g.h.r.logging) != 0 && g.h.Stats().Faults == faults {
				t.Error("a page that the log did not name was open")
			}
			if tab != nil {
				g.drop(tab)
			}
			if used := g.h.Stats().Used; used != 0 {
				t.Errorf("%d slots are still in use", used)
			}
		})
	}
}

// A touch leaves alone what it cannot or need not resolve: a fault does it, or nobody.
func TestTouchLeavesAlone(t *testing.T) {
	g := logged(t)
	g.h.Touch(3) // no snapshot
	tab, err := NewTable(1, 512)
	if err != nil {
		t.Fatal(err)
	}
	tab.Raise()
	g.h.Publish(tab)
	g.protect(0, 1024)
	g.h.Touch(600) // beyond it
	if spent := g.h.Stats().Spent; spent != 0 {
		t.Errorf("%d ticks were spent where there was nothing to spare", spent)
	}
	g.h.Touch(3) // one is being taken: whoever writes now does so outside the gate, and is found by a fault
	if page, _, torn := tab.Settle(); torn {
		t.Errorf("torn by a touch of page %d", page)
	}
	g.h.Touch(600)
	if s := g.h.Stats(); s.Touched != 0 || s.Faults != 0 || s.Used != 0 {
		t.Errorf("%+v: nothing should have been done", s)
	}
	*g.word(600, 0) = 1
	if s := g.h.Stats(); s.Faults != 1 || tab.Preserved() != 0 {
		t.Errorf("%+v, %d preserved: want a fault and nothing saved", s, tab.Preserved())
	}
	g.drop(tab)
}

// BenchmarkTouch is what announcing a write costs where there is nothing to spare.
func BenchmarkTouch(b *testing.B) {
	g := newRig(b, 2, 64)
	g.h.StartLog()
	tab, err := NewTable(1, 512)
	if err != nil {
		b.Fatal(err)
	}
	g.h.Publish(tab)
	defer g.drop(tab)
	*g.word(3, 0) = 1
	g.h.Touch(3)
	for name, page := range map[string]uint64{"lifted": 3, "beyond": 600} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				g.h.Touch(page)
			}
		})
		b.Run(name+"/parallel", func(b *testing.B) {
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					g.h.Touch(page)
				}
			})
		})
	}
}
