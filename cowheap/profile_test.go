package cowheap

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime/pprof"
	"strings"
	"testing"

	"github.com/cowheap/cowheap/arena"
)

// newProfiled makes a heap whose allocations are sampled at a rate.
func newProfiled(t tester, rate int) *Heap {
	old := ProfileRate
	ProfileRate = rate
	defer func() { ProfileRate = old }()
	return must[*Heap](t)(New(&Options{MaxSize: 256 << 20, Guard: arena.GuardCopy}))
}

type profiledRow [1000]byte

//go:noinline
func holdsMuch(t tester, m *Mem, n int) (refs []Ref[profiledRow]) {
	for range n {
		refs = append(refs, must[Ref[profiledRow]](t)(Alloc[profiledRow](m)))
	}
	return refs
}

//go:noinline
func holdsLittle(t tester, m *Mem, v *Vec[uint64]) {
	must[any](t)(nil, v.Append(m, make([]uint64, 2000)...))
}

// inProfile is how many objects and bytes a heap's profile has for a function.
func inProfile(h *Heap, function string) (row profileRow) {
	rows := make(map[[32]uintptr]profileRow)
	h.sp.profile.rows(rows)
	for stack, r := range rows {
		if strings.HasSuffix(userFrames(&stack)[0].Function, function) {
			row.objects += r.objects
			row.bytes += r.bytes
		}
	}
	return row
}

func TestPprofShowsWhoHoldsTheArena(t *testing.T) {
	tool, err := exec.LookPath("go")
	if err != nil {
		t.Skip("there is no go command")
	}
	h := newProfiled(t, 1)
	defer h.Close()
	must[any](t)(nil, h.Update(func(m *Mem) error {
		v := must[Ref[Vec[uint64]]](t)(Root[Vec[uint64]](m, "v")).Ptr(m)
		for _, r := range holdsMuch(t, m, 600)[500:] {
			must[any](t)(nil, Free(m, r))
		}
		holdsLittle(t, m, v)
		return nil
	}))
	file := filepath.Join(t.TempDir(), "profile")
	f := must[*os.File](t)(os.Create(file))
	must[any](t)(nil, h.WriteProfile(f))
	must[any](t)(nil, f.Close())
	for unit, want := range map[[2]string][2]string{
		{"inuse_space", "B"}: {`500000B .*cowheap\.holdsMuch`, `16000B .*cowheap\.holdsLittle`},
		// A test file of this package counts as its user.
		{"inuse_objects", "count"}: {` 500 .*cowheap\.holdsMuch`, ` 1 .*cowheap\.holdsLittle`},
	} {
		out, err := exec.Command(tool, "tool", "pprof", "-top", "-nodefraction=0", "-unit="+unit[1], "-sample_index="+unit[0], file).CombinedOutput()
		if err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		for _, line := range want {
			if !regexp.MustCompile(line).Match(out) {
				t.Errorf("no %q in\n%s", line, out)
			}
		}
	}
}

func TestSampledProfileIsAboutRight(t *testing.T) {
	h := newProfiled(t, 64<<10)
	defer h.Close()
	must[any](t)(nil, h.Update(func(m *Mem) error {
		holdsMuch(t, m, 50000)
		return nil
	}))
	// About 760 samples: seven standard deviations are a quarter.
	if row := inProfile(h, "holdsMuch"); row.bytes < 37e6 || row.bytes > 63e6 || row.objects < 37e3 || row.objects > 63e3 {
		t.Errorf("50000 objects of 1000 bytes are %v", row)
	}
	if n := pprof.Lookup("cowheap").Count(); n < 300 || n > 2000 {
		t.Errorf("runtime/pprof has %d samples", n)
	}
}

func TestProfileFollowsFreeRollbackForkAndClose(t *testing.T) {
	h := newProfiled(t, 1)
	want := func(when string, h *Heap, objects float64) {
		t.Helper()
		if got := inProfile(h, "holdsMuch"); got != (profileRow{objects, 1000 * objects}) {
			t.Errorf("%s: got %v, want %v objects", when, got, objects)
		}
	}
	update := func(fn func(m *Mem)) {
		must[any](t)(nil, h.Update(func(m *Mem) error { fn(m); return nil }))
	}
	var old, young []Ref[profiledRow]
	update(func(m *Mem) { old = holdsMuch(t, m, 100) })
	s1 := must[*Snapshot](t)(h.Snapshot())
	update(func(m *Mem) {
		for _, r := range old[:30] {
			must[any](t)(nil, Free(m, r))
		}
		young = holdsMuch(t, m, 10) // where some were
	})
	want("after frees", h, 80)
	s2 := must[*Snapshot](t)(h.Snapshot())
	update(func(m *Mem) {
		must[any](t)(nil, Free(m, young[0]))
		must[any](t)(nil, Free(m, old[99]))
	})
	want("after more", h, 78)
	fork := must[*Heap](t)(s1.Fork(nil))
	want("a fork", fork, 100)
	must[any](t)(nil, h.Rollback(s2))
	want("after a rollback", h, 80)
	must[any](t)(nil, h.Rollback(s1))
	want("after a further one", h, 100)
	if err := h.Rollback(s2); err == nil {
		t.Error("rolled forward")
	}
	want("after one that failed", h, 100)
	update(func(m *Mem) {
		for _, r := range old {
			must[any](t)(nil, Free(m, r))
		}
	})
	want("after all was freed", h, 0)
	must[any](t)(nil, s1.Close())
	if n := len(h.sp.profile.gone); n != 0 {
		t.Errorf("%d samples are kept for no snapshot", n)
	}
	must[any](t)(nil, h.Close())
	want("closed", h, 0)
	must[any](t)(nil, fork.Close())
}

func TestProfileOfARestoredHeapSaysSo(t *testing.T) {
	h := newProfiled(t, 1)
	must[any](t)(nil, h.Update(func(m *Mem) error { holdsMuch(t, m, 100); return nil }))
	var b bytes.Buffer
	s := must[*Snapshot](t)(h.Snapshot())
	must[int64](t)(s.WriteTo(&b))
	must[any](t)(nil, h.Close())
	old := ProfileRate
	ProfileRate = 1
	defer func() { ProfileRate = old }()
	h = must[*Heap](t)(Restore(&b, &Options{Guard: arena.GuardCopy}))
	defer h.Close()
	must[any](t)(nil, h.Update(func(m *Mem) error { holdsMuch(t, m, 7); return nil }))
	rows := make(map[[32]uintptr]profileRow)
	if restored := h.sp.profile.rows(rows); restored[1] < 100_000 || restored[1] > 200_000 || len(rows) != 1 {
		t.Errorf("restored %v, %v", restored, rows)
	}
	if row := inProfile(h, "holdsMuch"); row.objects != 7 {
		t.Errorf("got %v", row)
	}
	var all bytes.Buffer
	if err := WriteProfile(&all); err != nil || all.Len() == 0 {
		t.Error(err)
	}
}

func TestProfileRateZeroSamplesNothing(t *testing.T) {
	h := newProfiled(t, 0)
	defer h.Close()
	must[any](t)(nil, h.Update(func(m *Mem) error { holdsMuch(t, m, 1000); return nil }))
	if row := inProfile(h, ""); row.objects != 0 {
		t.Errorf("got %v", row)
	}
}

// BenchmarkProfile is what an allocation and a free cost with and without.
func BenchmarkProfile(b *testing.B) {
	for _, rate := range []int{0, 512 << 10} {
		b.Run(fmt.Sprintf("rate=%d", rate), func(b *testing.B) {
			h := newProfiled(b, rate)
			defer h.Close()
			must[any](b)(nil, h.Update(func(m *Mem) error {
				holdsMuch(b, m, 100_000) // some 200 samples
				for b.Loop() {
					r, err := Alloc[[64]byte](m)
					if err != nil {
						return err
					}
					if err := Free(m, r); err != nil {
						return err
					}
				}
				return nil
			}))
		})
	}
}
