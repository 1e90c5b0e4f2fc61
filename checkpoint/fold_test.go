package checkpoint

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"
)

// chainOf saves n checkpoints, each on the one before.
func chainOf(t *testing.T, d *Store, n int) {
	t.Helper()
	save(t, d, 0)
	for i := 1; i < n; i++ {
		mustSaveOn(t, d, i, i-1)
	}
}

// TestFoldHasClosedWhatItReplaces: Windows does not rename over a file that is open, nor
// remove one.
func TestFoldHasClosedWhatItReplaces(t *testing.T) {
	if _, err := os.Stat("/proc/self/fd"); err != nil {
		t.Skip(err)
	}
	fsys := newFaultFS()
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	d := openTestStore(t, dir, StoreOptions{Keep: 1, NoFold: true}, fsys)
	chainOf(t, d, 3)
	looked := 0
	fsys.before = func(op *operation) {
		if !strings.HasPrefix(op.what, "rename") && !strings.HasPrefix(op.what, "remove") {
			return
		}
		looked++
		fds, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Fatal(err)
		}
		for _, fd := range fds {
			name, _ := os.Readlink("/proc/self/fd/" + fd.Name())
			if filepath.Dir(name) == dir && filepath.Base(name) != lockName {
				t.Errorf("open at %q: %s", op.what, name)
			}
		}
	}
	if _, err := d.Fold(t.Context(), numberedID(2)); err != nil || looked != 3 {
		t.Errorf("%v; looked %d times", err, looked)
	}
}

// TestCloseEndsAFold: when Close has returned the directory may be another process's, which
// must not find anyone writing there.
func TestCloseEndsAFold(t *testing.T) {
	fsys := newFaultFS()
	d := openTestStore(t, t.TempDir(), StoreOptions{Keep: 1, NoFold: true}, fsys)
	chainOf(t, d, 3)
	folding, goOn := make(chan struct{}), make(chan struct{})
	fsys.before = func(op *operation) {
		if strings.HasPrefix(op.what, "create") {
			close(folding)
			<-goOn
		}
	}
	result := make(chan error)
	go func() {
		_, err := d.Fold(context.Background(), numberedID(2))
		result <- err
	}()
	<-folding
	closed := make(chan error)
	go func() { closed <- d.Close() }()
	<-d.ctx.Done() // Close has begun
	close(goOn)
	var order []string
	for range 2 {
		select {
		case err := <-closed:
			if err != nil {
				t.Error(err)
			}
			order = append(order, "closed")
		case err := <-result:
			if !errors.Is(err, context.Canceled) && !errors.Is(err, ErrClosed) {
				t.Errorf("fold: %v", err)
			}
			order = append(order, "folded")
		}
	}
	if log := fsys.log[len(fsys.log)-1]; log != "unlock" {
		t.Errorf("after the directory was given back: %q", log)
	}
	checkNoLeftovers(t, "closed", d)
	if _, err := d.Fold(t.Context(), numberedID(2)); !errors.Is(err, ErrClosed) {
		t.Errorf("folding what is closed: %v", err)
	}
	again := openTestStore(t, d.Path(), StoreOptions{NoFold: true}, unsyncedFS{})
	wantLatest(t, again, 2)
	t.Log(order)
}

// TestReceiveDuringAFoldHasItsOwnFile: a checkpoint may be pruned while it is folded, and be
// sent again. Each writes its own temporary file.
func TestReceiveDuringAFoldHasItsOwnFile(t *testing.T) {
	fsys := newFaultFS()
	d := openTestStore(t, t.TempDir(), StoreOptions{Keep: 9, NoFold: true}, fsys)
	chainOf(t, d, 2)
	save(t, d, 2)
	sent := stream(t, 1, -1)
	first := true
	fsys.before = func(op *operation) {
		if !first || !strings.HasPrefix(op.what, "write") {
			return
		}
		first = false
		if _, err := d.Prune(Policy{Keep: 1}); err != nil {
			t.Error(err)
		}
		if _, err := d.Receive(t.Context(), strings.NewReader(string(sent))); err != nil {
			t.Error(err)
		}
	}
	if _, err := d.Fold(t.Context(), numberedID(1)); err != nil {
		t.Log("fold:", err) // it may as well have ended well: the state is the same
	}
	fsys.before = nil
	checkWhole(t, "received", d)
	checkNoLeftovers(t, "received", d)
	if got, want := files(t, d.Path()), []string{fileName(numberedID(1)), fileName(numberedID(2))}; !slices.Equal(got, want) {
		t.Errorf("left are %v", got)
	}
	creates := map[string]int{}
	for _, op := range fsys.log {
		if name, ok := strings.CutPrefix(op, "create "); ok {
			creates[name]++
		}
	}
	if len(creates) != 4 || creates[fileName(numberedID(1))+".tmp"] != 2 {
		t.Errorf("temporary files: %v", creates)
	}
}

// TestFullDiskDuringAFoldInTheBackground costs nothing but the fold: the save is there, the
// room is given back, FoldError says why, and a later save folds.
func TestFullDiskDuringAFoldInTheBackground(t *testing.T) {
	fsys := newFaultFS()
	d := openTestStore(t, t.TempDir(), StoreOptions{Keep: 1, MaxChain: 32}, fsys)
	chainOf(t, d, 2) // two are not long enough to be folded
	for i, op := range []string{"create", "write", "sync", "rename"} {
		fsys.fail = faults["ENOSPC after half"]
		fsys.failIf = func(o *operation) bool {
			return strings.HasPrefix(o.what, op) && strings.Contains(o.what+o.name, foldSuffix)
		}
		n := 2 + i
		info, err := saveOn(t.Context(), d, n, n-1)
		if err != nil {
			t.Fatalf("%s: %v", op, err)
		}
		d.background.Wait()
		if err := d.FoldError(); info.Chain != n+1 || !errors.Is(err, syscall.ENOSPC) {
			t.Errorf("%s: in %d files, FoldError %v", op, info.Chain, err)
		}
		wantLatest(t, d, n)
		checkWhole(t, op, d)
		checkNoLeftovers(t, op, d)
	}
	fsys.failIf = nil
	if info, err := d.Fold(t.Context(), numberedID(5)); err != nil || info.Incremental {
		t.Errorf("with room again: %+v, %v", info, err)
	}
	checkWhole(t, "folded", d)
	if got := files(t, d.Path()); len(got) != 1 {
		t.Errorf("left are %v", got)
	}
}

// TestReaderKeepsWhatAFoldReplaces: an image that was open before reads the same state after
// its own file, and its parent, have been replaced and pruned.
func TestReaderKeepsWhatAFoldReplaces(t *testing.T) {
	d := openTestStore(t, t.TempDir(), StoreOptions{Keep: 1, NoFold: true}, unsyncedFS{})
	chainOf(t, d, 4)
	before, err := d.Open(numberedID(3))
	if err != nil {
		t.Fatal(err)
	}
	defer before.Close()
	for _, n := range []int{1, 3} { // in the middle, and itself
		if _, err := d.Fold(t.Context(), numberedID(n)); err != nil {
			t.Fatal(err)
		}
	}
	save(t, d, 5)
	if got := files(t, d.Path()); len(got) != 1 {
		t.Fatalf("left are %v", got)
	}
	if _, got, err := readImage(before); err != nil || !bytes.Equal(got, state(3)) || before.Verify(t.Context(), nil) != nil {
		t.Errorf("another state, %v", err)
	}
}

// TestYoungIsWhatTheClockCannotJudge: a checkpoint of the future, from before the clock was
// set back, is not old.
func TestYoungIsWhatTheClockCannotJudge(t *testing.T) {
	d := openTestStore(t, t.TempDir(), StoreOptions{Keep: 9, NoFold: true}, unsyncedFS{})
	for n, age := range []time.Duration{-24 * time.Hour, 2 * time.Hour, -time.Hour} {
		opts := numbered(n)
		opts.Time = time.Now().Add(-age)
		if _, err := d.Save(t.Context(), state(n), opts); err != nil {
			t.Fatal(err)
		}
	}
	if removed, err := d.Prune(Policy{For: time.Hour}); err != nil || !slices.Equal(removed, []uuid.UUID{numberedID(1)}) {
		t.Errorf("removed %v, %v", removed, err)
	}
}
