package arena

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"runtime/debug"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/cowheap/cowheap/internal/trap"
	"github.com/cowheap/cowheap/internal/uffd"
	"github.com/cowheap/cowheap/internal/uffd/uffdtest"
	"github.com/cowheap/cowheap/internal/vm"
)

// What holds for one guard that resolves faults holds for the others.
func TestAlike(t *testing.T) {
	tests := map[string]func(t *testing.T){
		"OverrunSnapshotStillHasFiguresAndCloses":            TestOverrunSnapshotStillHasFiguresAndCloses,
		"OneSnapshotIsNeverOverrunByDefault":                 TestOneSnapshotIsNeverOverrunByDefault,
		"NoOverrunWhenTheArenaGrewWhileWritersWereWaitedFor": TestNoOverrunWhenTheArenaGrewWhileWritersWereWaitedFor,
		"OldestIsNotGivenUpWhereThatFreesNothing":            TestOldestIsNotGivenUpWhereThatFreesNothing,
		"KeeperDoesNotEmptyThePool":                          TestKeeperDoesNotEmptyThePool,
		"SnapshotAfterAnOverrunHasItsSlots":                  TestSnapshotAfterAnOverrunHasItsSlots,
		"PinnedPagesTakeSystemCallsWhileArming":              TestPinnedPagesTakeSystemCallsWhileArming,
		"PinnedPagesBelongToTheSnapshot":                     TestPinnedPagesBelongToTheSnapshot,
		"PagesInTheLogCanBePinned":                           TestPagesInTheLogCanBePinned,
		"TrackingKeepsTheSetOfWrittenPages":                  TestTrackingKeepsTheSetOfWrittenPages,
		"WritersThatAreNotHeldTearASnapshotArmedAhead":       TestWritersThatAreNotHeldTearASnapshotArmedAhead,
		"RunOfWritesWhileArmingLeavesTheOpenSnapshotAlone":   TestRunOfWritesWhileArmingLeavesTheOpenSnapshotAlone,
		"ArmingThatCameToNothingLeavesNoLog":                 TestArmingThatCameToNothingLeavesNoLog,
		"SnapshotsUnderWritersThatAreNotHeldDoNotChange":     TestSnapshotsUnderWritersThatAreNotHeldDoNotChange,
		"LastSnapshotMayBeClosedWhileWritersFault":           TestLastSnapshotMayBeClosedWhileWritersFault,
		"SnapshotMayBeStreamedTwiceAtOnce":                   TestSnapshotMayBeStreamedTwiceAtOnce,
		"SnapshotMayBeGivenUpWhileStreamed":                  TestSnapshotMayBeGivenUpWhileStreamed,
	}
	lazy := map[string]func(t *testing.T){
		"SnapshotAfterALazyRestoreWasCompletedWhileTracking": TestSnapshotAfterALazyRestoreWasCompletedWhileTracking,
		"PagesBroughtInWhileTrackingAreProtected":            TestPagesBroughtInWhileTrackingAreProtected,
	}
	defer func() { faulting, populating = GuardUserfault, false }()
	for name, test := range tests {
		faulting, populating = GuardMprotect, false
		t.Run("mprotect/"+name, test)
		faulting, populating = GuardUserfault, true
		t.Run("populated/"+name, test)
	}
	for name, test := range lazy {
		t.Run("populated/"+name, test)
	}
}

// pointInTime takes two snapshots and compares each with a copy.
func pointInTime(t *testing.T, a *Arena, b []byte) {
	t.Helper()
	fill(b, 1)
	var want [][]byte
	var open []*Snapshot
	for round := range 2 {
		want = append(want, bytes.Clone(a.mem.Bytes(0, a.High())))
		open = append(open, snapshot(t, a))
		for p := round; p < len(b)/pageSize; p += 7 + round {
			b[p*pageSize+5] = byte(10 + round)
		}
	}
	for i, s := range open {
		if !bytes.Equal(content(t, s), want[i]) {
			t.Errorf("snapshot %d is not as it was", i)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestWhereUserfaultfdIsRefusedMprotectIsTaken(t *testing.T) {
	if uffdtest.Child(t, uffdtest.Nobody, unix.EPERM) {
		return
	}
	if uffd.HaveDevice() == nil {
		t.Skip("this user may use /dev/userfaultfd")
	}
	if _, err := New(Options{Guard: GuardUserfault}); !errors.Is(err, ErrNotSupported) {
		t.Errorf("guard userfault: %v", err)
	}
	a := newArena(t, Options{MaxSize: 256 << 20, MaxPreserved: 256 << 20})
	if g := a.Guard(); g != GuardMprotect {
		t.Fatalf("guard %v", g)
	}
	b := alloc(t, a, 64<<20)
	pointInTime(t, a, b)
	s := snapshot(t, a)
	defer s.Close()
	func() {
		defer func() {
			if _, ok := recover().(error); !ok {
				t.Error("a nil dereference did not panic")
			}
		}()
		var p *int
		*p = 1
	}()
	var f func(n int) int
	f = func(n int) int {
		var pad [1000]byte
		if n == 0 {
			return 1
		}
		b[n*100] = 3 // faults on the way down
		return f(n-1) + int(pad[n%1000])
	}
	done := make(chan int)
	go func() { done <- f(10000) }()
	if got := <-done; got != 1 {
		t.Error(got)
	}
	if a.Stats().Faults == 0 {
		t.Error("no fault was taken")
	}
}

// TestNoMappingsLeft runs in a process of its own: the runtime, too, needs mappings.
func TestNoMappingsLeft(t *testing.T) {
	if os.Getenv("MAPPINGS_CHILD") == "" {
		cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestNoMappingsLeft$", "-test.v")
		cmd.Env = append(os.Environ(), "MAPPINGS_CHILD=1")
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%v: %.3000s", err, out)
		}
		if strings.Contains(string(out), "--- SKIP") {
			t.Skipf("%s", out)
		}
		t.Logf("%s", out)
		return
	}
	if n := maxMappings(); n > 200_000 {
		t.Skip("vm.max_map_count is ", n)
	}
	for name, preserved := range map[string]int64{"with slots": 1 << 30, "without": 1 << 20} {
		for _, arming := range []Arming{ArmWholesale, ArmAhead} {
			t.Run(name+" "+arming.String(), func(t *testing.T) { noMappingsLeft(t, preserved, arming) })
		}
	}
}

func noMappingsLeft(t *testing.T, preserved int64, arming Arming) {
	a := newArena(t, Options{Guard: GuardMprotect, MaxSize: 256 << 20, Arming: arming, MaxPreserved: preserved})
	b := alloc(t, a, 128<<20)
	fill(b, 1)
	want := bytes.Clone(a.mem.Bytes(0, a.High()))
	snapshot(t, a).Close() // everything has been used once
	s := snapshot(t, a)
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	take := takeMappings(t, 1000)
	const step = 2 * trap.MinChunk * pageSize
	for off := 0; off < len(b); off += step {
		b[off] = 2
	}
	younger, err := a.Snapshot() // at the limit
	for off := 0; off < len(b); off += 3 * step {
		b[off+1] = 3
	}
	widened := a.guard.(*mprotected).h.Widened()
	take.release(t)
	if err != nil {
		t.Fatal(err)
	}
	few := preserved < int64(len(b))
	if widened == 0 && !few {
		t.Error("there always was a mapping left")
	}
	t.Logf("%d times no mapping was left; %+v", widened, a.Stats())
	for off := 0; off < len(b); off += step {
		if b[off] != 2 {
			t.Fatalf("a write to %#x was lost", off)
		}
	}
	if few {
		if err := alive(t, s); !errors.Is(err, ErrOverrun) {
			t.Errorf("%v, want ErrOverrun", err)
		}
	} else {
		if !bytes.Equal(content(t, s), want) {
			t.Error("the snapshot is not as it was")
		}
		off := len(want) - len(b)
		for i := 0; i < len(b); i += step {
			want[off+i] = 2
		}
		if !bytes.Equal(content(t, younger), want) {
			t.Error("the younger snapshot is not as it was")
		}
	}
	s.Close()
	younger.Close()
	if !few {
		pointInTime(t, a, b)
	}
}

// taken are mappings in everybody's way.
type taken struct{ mem vm.Mapping }

// takeMappings leaves about so many.
func takeMappings(t *testing.T, leave int) taken {
	m, err := vm.Reserve(1<<30, pageSize)
	if err != nil {
		t.Fatal(err)
	}
	at := uint64(0)
	open := func(at uint64) error {
		return unix.Mprotect(m.Bytes(at*2*pageSize, pageSize), unix.PROT_READ)
	}
	for ; ; at++ {
		if err := open(at); errors.Is(err, syscall.ENOMEM) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
	}
	for range leave / 2 {
		at--
		if err := unix.Mprotect(m.Bytes(at*2*pageSize, pageSize), unix.PROT_NONE); err != nil {
			t.Fatal(err)
		}
	}
	return taken{m}
}

func (m taken) release(t *testing.T) {
	if err := m.mem.Unmap(); err != nil {
		t.Error(err)
	}
}

func TestChunksGrowWithTheHeap(t *testing.T) {
	const usual = 65530
	for _, c := range []struct{ size, mappings, want uint64 }{
		{0, usual, 4}, {1 << 20, usual, 4}, {256 << 20, usual, 4}, {512 << 20, usual, 8}, {1 << 30, usual, 16},
		{8 << 30, usual, 128}, {64 << 30, usual, 512}, {1 << 30, 1 << 20, 4}, {1 << 30, 0, 512},
	} {
		if got := liftPages(c.size, c.mappings); got != c.want {
			t.Errorf("%d bytes, %d mappings: %d pages, want %d", c.size, c.mappings, got, c.want)
		}
	}
}

// Chunks become larger between two snapshots while both are read.
func TestSnapshotsAcrossLargerChunks(t *testing.T) {
	for _, arming := range []Arming{ArmWholesale, ArmAhead} {
		t.Run(arming.String(), func(t *testing.T) {
			a := newArena(t, Options{Guard: GuardMprotect, MaxSize: 256 << 20, Arming: arming, MaxPreserved: 512 << 20})
			g := a.guard.(*mprotected)
			b := alloc(t, a, 32<<20)
			fill(b, 1)
			var open []*Snapshot
			var want [][]byte
			for chunk := uint64(trap.MinChunk); chunk <= trap.MaxChunk; chunk *= 2 {
				g.h.SetChunk(chunk) // as Snapshot would: nobody writes, and what follows protects everything
				want = append(want, bytes.Clone(a.mem.Bytes(0, a.High())))
				open = append(open, snapshot(t, a))
				for p := int(chunk); p < len(b)/pageSize; p += 37 {
					b[p*pageSize] = byte(chunk + 1)
				}
			}
			for i, s := range open {
				if !bytes.Equal(content(t, s), want[i]) {
					t.Errorf("snapshot %d is not as it was", i)
				}
				s.Close()
			}
		})
	}
}

// userfaultOf is what two guards have in common.
func userfaultOf(a *Arena) *userfault {
	if g, ok := a.guard.(*mprotected); ok {
		return g.userfault
	}
	return a.guard.(*userfault)
}

func TestChunksAreTakenAlongBySequentialWriters(t *testing.T) {
	a := newArena(t, Options{Guard: GuardMprotect})
	b := alloc(t, a, 16<<20)
	fill(b, 1)
	want := bytes.Clone(a.mem.Bytes(0, a.High()))
	s := snapshot(t, a)
	fill(b, 2)
	if f := s.Stats().Faults; f > 16<<20/pageSize/64 {
		t.Errorf("%d faults for 16 MiB in order", f)
	}
	if !bytes.Equal(content(t, s), want) {
		t.Error("the snapshot is not as it was")
	}
}

// BenchmarkFirstWrite is what tracking costs a write to each fourth page of 64 MiB, after
// a snapshot. No other thread runs.
func BenchmarkFirstWrite(b *testing.B) {
	for _, g := range []Guard{GuardUserfault, GuardMprotect} {
		for name, step := range map[string]int{"scattered": 37, "in-order": 1} {
			b.Run(g.String()+"/"+name, func(b *testing.B) {
				a := newArena(b, Options{Guard: g, MaxSize: 256 << 20})
				off, err := a.Alloc(64<<20, pageSize)
				if err != nil {
					b.Fatal(err)
				}
				mem := a.mem.Bytes(off, 64<<20)
				fill(mem, 1)
				const pages = 64 << 20 / pageSize / 4
				writes := 0
				for b.Loop() {
					b.StopTimer()
					s := snapshot(b, a)
					b.StartTimer()
					for i := range pages {
						mem[i*step%pages*4*pageSize]++
					}
					b.StopTimer()
					writes += pages
					s.Close()
					b.StartTimer()
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(writes), "ns/write")
				b.ReportMetric(float64(writes)/float64(max(a.Stats().Faults, 1)), "writes/fault")
			})
		}
	}
}

// On kernels before Linux 6.4 protection passes over what was never touched.
func TestFirstWritesToMemoryNeverTouchedAreNoticedWithoutWPUnpopulated(t *testing.T) {
	for _, arming := range []Arming{ArmWholesale, ArmAhead} {
		t.Run(arming.String(), func(t *testing.T) {
			populating = true
			defer func() { populating = false }()
			a := userfaultArena(t, Options{MaxSize: 256 << 20, Arming: arming, Track: arming == ArmAhead, MaxPreserved: 512 << 20})
			var open []*Snapshot
			var all [][]byte
			for round := range 5 { // the heap grows
				b := alloc(t, a, 8<<20)
				all = append(all, b)
				open = append(open, snapshot(t, a))
				for _, b := range all {
					for p := round; p < len(b)/pageSize; p += 5 {
						b[p*pageSize] = byte(round + 1)
					}
				}
			}
			for round, s := range open {
				got := content(t, s)
				for i, b := range all[:round+1] {
					off := off(a, b)
					for p := range len(b) / pageSize {
						// Pages of this part were first written in the round in which it was there.
						want := byte(0)
						if r := p % 5; r < round && r >= i {
							want = byte(r + 1)
						}
						if got[off+p*pageSize] != want {
							t.Fatalf("snapshot %d, part %d, page %d: %d, want %d", round, i, p, got[off+p*pageSize], want)
						}
					}
				}
				if err := s.Close(); err != nil {
					t.Error(err)
				}
			}
		})
	}
}

// off is where b stands in a.
func off(a *Arena, b []byte) int { return int(vm.AddrOf(b) - a.mem.Addr()) }

func TestHugePagesNeedWPUnpopulated(t *testing.T) {
	if err := probeUserfault(); err != nil {
		t.Skip(err)
	}
	if _, err := New(Options{Guard: GuardUserfault, HugePages: true, populate: true}); !errors.Is(err, ErrNotSupported) {
		t.Errorf("%v, want ErrNotSupported", err)
	}
}
