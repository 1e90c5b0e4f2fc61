package restore

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/cowheap/cowheap/arena"
	"github.com/cowheap/cowheap/checkpoint"
	"github.com/cowheap/cowheap/internal/block"
)

// named32 is a name as a store gives it.
func named32(n int, ending string) string { return fmt.Sprintf("%032x%s", n, ending) }

func TestTouchedSetsFollowTheirCheckpoints(t *testing.T) {
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	write := func(names ...string) {
		t.Helper()
		for _, name := range names {
			if err := os.WriteFile(at(name), []byte(name), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	check := func(want ...string) {
		t.Helper()
		if err := TidyTouched(dir); err != nil {
			t.Error(err)
		}
		if got, err := endingWith(dir, touchedEnding); err != nil || !slices.Equal(got, want) {
			t.Errorf("%v, %v; want %v", got, err, want)
		}
	}
	// What nobody here gave its name is nobody's here.
	foreign := []string{"notes.touched", "backup.cowheap", "z.touched.tmp", "00.touched", strings.ToUpper(named32(0xabc, "")) + touchedEnding}
	write(foreign...)
	write(named32(2, checkpointEnding), named32(3, checkpointEnding), named32(1, touchedEnding), named32(2, touchedEnding), "notes.txt")
	check(named32(2, touchedEnding)) // the checkpoint of 1 is gone, and there is a newer set
	write(named32(4, checkpointEnding))
	if err := os.Remove(at(named32(2, checkpointEnding))); err != nil {
		t.Fatal(err)
	}
	check(named32(4, touchedEnding)) // it was the only one
	if b, err := os.ReadFile(at(named32(4, touchedEnding))); err != nil || string(b) != named32(2, touchedEnding) {
		t.Errorf("%q, %v", b, err)
	}
	// Of a crash; that of a checkpoint that is there may be being written.
	write(named32(1, touchedTemp), named32(4, touchedTemp))
	check(named32(4, touchedEnding))
	if _, err := os.Stat(at(named32(1, touchedTemp))); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the leftover of a checkpoint that is gone: %v", err)
	}
	if _, err := os.Stat(at(named32(4, touchedTemp))); err != nil {
		t.Error(err)
	}
	for _, name := range foreign {
		if b, err := os.ReadFile(at(name)); err != nil || string(b) != name {
			t.Errorf("a foreign file is %q, %v", b, err)
		}
	}
	for _, n := range []int{3, 4} { // all gone
		if err := os.Remove(at(named32(n, checkpointEnding))); err != nil {
			t.Fatal(err)
		}
	}
	check()

	// The newest set that is not of a later checkpoint is taken.
	for _, n := range []int{1, 3, 9} {
		if err := os.WriteFile(at(named32(n, touchedEnding)), encodeTouched([]uint32{uint32(n)}), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for n, want := range map[int]uint32{2: 1, 3: 3, 9: 9, 255: 9} {
		if got, err := readTouched(at(named32(n, checkpointEnding))); err != nil || len(got) != 1 || got[0] != want {
			t.Errorf("%d: %v, %v; want %d", n, got, err, want)
		}
	}
	if got, err := readTouched(at(named32(0, checkpointEnding))); got != nil || err != nil {
		t.Errorf("before the first: %v, %v", got, err)
	}
}

// learnFrom opens a checkpoint of a store lazily, checks what was learned before, touches
// pages and ends what is recorded, without waiting.
func learnFrom(t *testing.T, path string, before []uint32, touch ...int) (fresh []uint32) {
	t.Helper()
	a, l := openLearning(t, path, arena.GuardUserfault)
	if err := l.LearnErr(); err != nil || !slices.Equal(l.learned.pages, before) {
		t.Errorf("learned %v, %v; want %v", l.learned.pages, err, before)
	}
	b, sum := bytesOf(a), byte(0)
	for _, page := range touch {
		sum += b[page*block.PageSize]
		l.learned.rec.look()
	}
	sink = sum
	fresh = slices.Clone(l.learned.rec.touched())
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	l.learned.record(ended)
	if err := errors.Join(l.LearnErr(), l.Populate(t.Context())); err != nil {
		t.Fatal(err)
	}
	return fresh
}

// TestSetsOfChains: what was learned of one file of a chain serves the next, after increments,
// a fold and a prune; the sets of what is gone go.
func TestSetsOfChains(t *testing.T) {
	d, err := checkpoint.OpenStore(t.TempDir(), checkpoint.StoreOptions{Keep: 9, NoFold: true})
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	src, _ := source(t, arena.GuardCopy)
	var infos []checkpoint.Info
	save := func() {
		t.Helper()
		s, err := src.Snapshot()
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		opts := checkpoint.WriteOptions{}
		if n := len(infos); n > 0 {
			// One page of each 100, of those that are stored.
			bytesOf(src)[4<<20+len(infos)*block.PageSize]++
			if s, err = src.Snapshot(); err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			opts.Parent, opts.ParentSize = infos[n-1].ID, infos[n-1].Size
			opts.Changed = func(yield func(off, n int64) bool) { yield(4<<20+int64(len(infos))*block.PageSize, block.PageSize) }
		}
		info, err := d.Save(t.Context(), s, opts)
		if err != nil || info.Incremental != (len(infos) > 0) {
			t.Fatalf("%+v, %v", info, err)
		}
		infos = append(infos, info)
	}
	sets := func() []string {
		t.Helper()
		if err := TidyTouched(d.Path()); err != nil {
			t.Error(err)
		}
		names, err := endingWith(d.Path(), touchedEnding)
		if err != nil {
			t.Fatal(err)
		}
		return names
	}
	setOf := func(n int) string { return filepath.Base(touchedPath(infos[n].Path)) }

	save()
	learned := learnFrom(t, infos[0].Path, nil, 700, 333, 48)
	if len(learned) != 3 {
		t.Fatalf("recorded %v", learned)
	}
	for n := 1; n < 4; n++ {
		save()
		fresh := learnFrom(t, infos[n].Path, learned, 100+n*32)
		if len(fresh) != 1 {
			t.Fatalf("chain of %d: recorded %v", n+1, fresh)
		}
		learned = append(fresh, learned...)
	}
	if got := sets(); len(got) != 4 {
		t.Errorf("sets %v", got)
	}
	if _, err := d.Fold(t.Context(), infos[3].ID); err != nil {
		t.Fatal(err)
	}
	fresh := learnFrom(t, infos[3].Path, learned, 900)
	if learned = append(fresh, learned...); len(fresh) != 1 {
		t.Errorf("folded: recorded %v", fresh)
	}
	if removed, err := d.Prune(checkpoint.Policy{Keep: 1}); err != nil || len(removed) != 3 {
		t.Fatal(removed, err)
	}
	if got := sets(); !slices.Equal(got, []string{setOf(3)}) {
		t.Errorf("after the prune there are sets %v", got)
	}
	learnFrom(t, infos[3].Path, learned)

	// The set outlives its checkpoint, also if the next was never opened lazily.
	save()
	if _, err := d.Fold(t.Context(), infos[4].ID); err != nil {
		t.Fatal(err)
	}
	if removed, err := d.Prune(checkpoint.Policy{Keep: 1}); err != nil || len(removed) != 1 {
		t.Fatal(removed, err)
	}
	if got := sets(); !slices.Equal(got, []string{setOf(4)}) {
		t.Errorf("sets %v, want that of the newest", got)
	}
	learnFrom(t, infos[4].Path, learned)
}

// TestSetOfALargerState: pages that are not there any more are left out, and forgotten.
func TestSetOfALargerState(t *testing.T) {
	src, want := source(t, arena.GuardCopy)
	im := saved(t, src)
	path, last := im.Info().Path, uint32(len(want)/block.PageSize)-1
	im.Close()
	if err := writeTouched(path, []uint32{last + 1, 700, last, 1 << 31, 333}); err != nil {
		t.Fatal(err)
	}
	fresh := learnFrom(t, path, []uint32{700, last, 333}, 48)
	got, err := readTouched(path)
	if want := append(fresh, 700, last, 333); err != nil || !slices.Equal(got, want) {
		t.Errorf("then %v, %v; want %v", got, err, want)
	}
}

// TestSetIsWrittenWhole: a leftover, a link or a directory under the temporary name is not
// followed, and after an error the old set is there.
func TestSetIsWrittenWhole(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, named32(1, checkpointEnding))
	temp := filepath.Join(dir, named32(1, touchedTemp))
	victim := filepath.Join(dir, "victim")
	if err := os.WriteFile(victim, []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	for n, leave := range []func() error{
		func() error { return nil },
		func() error { return os.WriteFile(temp, []byte("half"), 0o600) },
		func() error { return os.Symlink(victim, temp) },
	} {
		if err := leave(); err != nil {
			t.Skip(err)
		}
		if err := writeTouched(path, []uint32{uint32(n)}); err != nil {
			t.Fatal(err)
		}
		if got, err := readTouched(path); err != nil || !slices.Equal(got, []uint32{uint32(n)}) {
			t.Errorf("%v, %v", got, err)
		}
	}
	if b, err := os.ReadFile(victim); err != nil || string(b) != "mine" {
		t.Errorf("the file that a link led to is %q, %v", b, err)
	}
	if err := errors.Join(os.Mkdir(temp, 0o700), os.WriteFile(filepath.Join(temp, "x"), nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	if err := writeTouched(path, []uint32{7}); err == nil {
		t.Error("no error with a directory in the way")
	}
	if got, err := readTouched(path); err != nil || !slices.Equal(got, []uint32{2}) {
		t.Errorf("the old one is %v, %v", got, err)
	}
}
