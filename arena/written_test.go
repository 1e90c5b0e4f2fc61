package arena

import (
	"slices"
	"testing"
)

// loggingGuard is a guard that says of every snapshot that page 1 and the one behind
// the last have been written.
type loggingGuard struct {
	guard
	knows bool
}

type loggedFrozen struct {
	frozen
	g    *loggingGuard
	size uint64
}

func (g *loggingGuard) freeze(high func() uint64, hold hold) (frozen, timing, error) {
	f, t, err := g.guard.freeze(high, hold)
	return &loggedFrozen{f, g, t.size}, t, err
}

func (g *loggingGuard) rollback(f frozen, high uint64) (uint64, error) {
	return g.guard.rollback(f.(*loggedFrozen).frozen, high)
}

func (f *loggedFrozen) written(note func(off, n uint64)) (known bool) {
	note(pageSize, pageSize)
	note(f.size-pageSize, 2*pageSize)
	note(f.size+pageSize, pageSize)
	return f.g.knows
}

func TestWrittenIsKnownSinceTheInstantBefore(t *testing.T) {
	a, err := New(Options{Guard: GuardCopy, MaxSize: 64 << 20})
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	g := &loggingGuard{guard: a.guard, knows: true}
	a.guard = g
	if _, err := a.Alloc(1<<20, 0); err != nil {
		t.Fatal(err)
	}
	take := func() *Snapshot {
		t.Helper()
		s, err := a.Snapshot()
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	known := func(s, since *Snapshot, want bool) {
		t.Helper()
		ranges, ok := s.Written(since)
		if ok != want {
			t.Fatalf("known: %v, want %v", ok, want)
		}
		if !ok {
			return
		}
		var got []int64
		for off, n := range ranges {
			got = append(got, off, n)
		}
		if want := []int64{pageSize, pageSize, s.Size() - pageSize, pageSize}; !slices.Equal(got, want) {
			t.Fatalf("ranges %v, want %v", got, want)
		}
	}
	nobody := func() (func(), error) { return func() {}, nil }

	first := take()
	second := take()
	known(first, nil, false)
	known(second, first, true)
	known(second, second, false)
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	known(second, first, true) // also when it has been closed
	third := take()
	known(third, first, false) // another one in between
	known(third, second, true)
	if err := a.Rollback(second, nobody); err != nil {
		t.Fatal(err)
	}
	fourth := take()
	known(fourth, third, false) // the rollback came after it
	known(fourth, second, true)
	if err := second.Close(); err != nil {
		t.Fatal(err)
	}
	known(second, first, false) // closed
	g.knows = false
	known(fourth, second, false)
	if err := fourth.Close(); err != nil {
		t.Fatal(err)
	}
}
