package checkpoint

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/google/uuid"
)

var update = flag.Bool("update", false, "write the golden files anew")

// golden compares with a file in testdata.
func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Fatalf("%s (go test -update accepts it):\n%s\nwant\n%s", path, got, want)
	}
}

// numberedID is the n-th of a row of IDs in order.
func numberedID(n int) uuid.UUID {
	id := testID
	id[5] = byte(n)
	return id
}

func numbered(n int) WriteOptions {
	opts := testOptions()
	opts.Roots = nil
	opts.ID = numberedID(n)
	return opts
}

// liveState is the number of a state that is larger than a region.
const liveState = 6

// state is the arena of the n-th checkpoint.
func state(n int) memory {
	if n == liveState {
		return arena(regionSize+8*pageSize, n, n+1, n+500, n+509)
	}
	return arena(8*pageSize, n, n+1)
}

func openTestStore(t *testing.T, path string, opts StoreOptions, fsys filesystem) *Store {
	t.Helper()
	d, err := openStore(path, opts, fsys)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	return d
}

func save(t *testing.T, d *Store, n int) Info {
	t.Helper()
	info, err := d.Save(t.Context(), state(n), numbered(n))
	if err != nil {
		t.Fatalf("saving checkpoint %d: %v", n, err)
	}
	return info
}

// latestState opens the newest usable checkpoint and returns its number, reading
// all of it.
func latestState(t *testing.T, d *Store) (n int, skipped []error, err error) {
	t.Helper()
	im, skipped, err := d.Latest(drainImage)
	if err != nil {
		return -1, skipped, err
	}
	defer im.Close()
	_, m, err := readImage(im)
	if err != nil {
		t.Fatalf("reading what Latest has read: %v", err)
	}
	for n := range liveState + 1 {
		if bytes.Equal(m, state(n)) {
			return n, skipped, nil
		}
	}
	t.Fatal("Latest gave a state that never was")
	return
}

func wantLatest(t *testing.T, d *Store, want int) {
	t.Helper()
	if got, skipped, err := latestState(t, d); got != want || len(skipped) != 0 || err != nil {
		t.Fatalf("newest is %d, %v, %v; want %d", got, skipped, err, want)
	}
}

// files lists the directory but for the lock.
func files(t *testing.T, dir string) (names []string) {
	t.Helper()
	all, err := osFilesystem{}.Names(dir)
	if err != nil {
		t.Fatal(err)
	}
	return slices.DeleteFunc(all, func(name string) bool { return name == lockName })
}

// TestOrderOfWriteSyncRename is what crash safety rests on; the order is in the
// golden file.
func TestOrderOfWriteSyncRename(t *testing.T) {
	fsys := newFaultFS()
	d := openTestStore(t, t.TempDir(), StoreOptions{Keep: 2}, fsys)
	for n := range 4 {
		fsys.log = append(fsys.log, "--- save "+fileName(numberedID(n)))
		info := save(t, d, n)
		if info.Path != filepath.Join(d.Path(), fileName(numberedID(n))) || info.Bytes == 0 {
			t.Errorf("info %+v", info)
		}
		wantLatest(t, d, n)
	}
	golden(t, "save_order.golden", []byte(strings.Join(fsys.log, "\n")+"\n"))
	if got := files(t, d.Path()); !slices.Equal(got, []string{fileName(numberedID(2)), fileName(numberedID(3))}) {
		t.Errorf("left in the directory: %v", got)
	}
}

// saves is how a directory comes to hold checkpoints 0 and 1, Keep is 2.
func saves(t *testing.T) (*faultFS, *Store) {
	t.Helper()
	fsys := newFaultFS()
	d := openTestStore(t, t.TempDir(), StoreOptions{Keep: 2}, fsys)
	save(t, d, 0)
	save(t, d, 1)
	fsys.log = nil
	return fsys, d
}

// operations counts those of one more save.
func operations(t *testing.T) int {
	fsys, d := saves(t)
	save(t, d, 2)
	return len(fsys.log)
}

// TestAnyOperationMayFail makes each operation of a save fail in each way.
func TestAnyOperationMayFail(t *testing.T) {
	for name, fault := range faults {
		t.Run(name, func(t *testing.T) {
			for at := range operations(t) {
				fsys, d := saves(t)
				fsys.failAt, fsys.fail = at, fault
				before := files(t, d.Path())
				_, err := d.Save(t.Context(), state(2), numbered(2))
				what := fsys.log[at]
				after := slices.Clone(fsys.log[at+1:])

				published := slices.Contains(fsys.log[:at], "sync directory")
				switch {
				case what == "ask for free space": // then it is tried
					if err := errors.Join(err, d.PruneError()); err != nil {
						t.Errorf("%s fails: %v", what, err)
					}
					wantLatest(t, d, 2)
				case published:
					// The checkpoint is there; what should have gone is reported.
					if err != nil || d.PruneError() == nil {
						t.Errorf("%s fails: %v, prune error %v", what, err, d.PruneError())
					}
					wantLatest(t, d, 2)
				default:
					e, ok := errors.AsType[*WriteError](err)
					if ok = ok && filepath.Dir(e.Path) == d.Path(); what == "list directory" {
						ok = strings.Contains(err.Error(), d.Path())
					}
					if !ok {
						t.Errorf("%s fails: %v, want a *WriteError with its path", what, err)
					}
					cause := map[string]error{"ENOSPC": syscall.ENOSPC, "EIO": syscall.EIO, "ENOSPC after half": syscall.ENOSPC, "short write": io.ErrShortWrite}
					if !errors.Is(err, cause[name]) {
						t.Errorf("%s fails: %v does not say %v", what, err, cause[name])
					}
					if got := files(t, d.Path()); !slices.Equal(got, before) {
						t.Errorf("%s fails: directory was %v, is %v", what, before, got)
					}
					wantLatest(t, d, 1)
				}
				if strings.HasPrefix(what, "sync") && slices.ContainsFunc(after, func(op string) bool { return strings.HasPrefix(op, "sync") }) {
					t.Errorf("%s failed and was tried again: %v", what, after)
				}

				// The next save works, and leaves the directory as it should be.
				save(t, d, 3)
				wantLatest(t, d, 3)
				if err := d.PruneError(); err != nil {
					t.Errorf("after the next save: %v", err)
				}
				if got := files(t, d.Path()); len(got) != 2 {
					t.Errorf("%s failed once: directory holds %v", what, got)
				}
			}
		})
	}
}

// TestTwoOperationsMayFail makes the clean-up fail, too.
func TestTwoOperationsMayFail(t *testing.T) {
	for at := range operations(t) {
		fsys, d := saves(t)
		fsys.failAt = at
		fsys.fail = func(*operation) (int, error) {
			fsys.failAt = len(fsys.log) // the next one, and so on
			return 0, syscall.EIO
		}
		_, err := d.Save(t.Context(), state(2), numbered(2))
		what := fsys.log[at]
		fsys.failAt = -1
		want := 1
		if err == nil || what == "sync directory" {
			want = 2 // it has its name and could not be removed, or nothing else was missing
		}
		wantLatest(t, d, want)
		if err := d.Close(); err != nil {
			t.Fatal(err)
		}
		// The next process finds the same, and no leftovers.
		next := openTestStore(t, d.Path(), StoreOptions{}, unsyncedFS{})
		wantLatest(t, next, want)
		for _, name := range files(t, d.Path()) {
			if strings.HasSuffix(name, tempSuffix) {
				t.Errorf("%s fails and all after it: %s is left", what, name)
			}
		}
		save(t, next, 3)
		wantLatest(t, next, 3)
	}
}

// TestMachineMayCrashAnywhere crashes at each operation and looks at every state
// that the disk may be in.
func TestMachineMayCrashAnywhere(t *testing.T) {
	states := 0
	for at := range operations(t) + 1 {
		fsys, d := saves(t)
		fsys.failAt = at
		fsys.fail = func(op *operation) (int, error) {
			fsys.crashed = true
			return len(op.data) / 3, errCrashed
		}
		_, err := d.Save(t.Context(), state(2), numbered(2))
		acknowledged := err == nil
		fsys.afterCrash(t, func(disk, dir string) {
			states++
			next := openTestStore(t, dir, StoreOptions{Keep: 2}, unsyncedFS{})
			got, skipped, err := latestState(t, next)
			if err != nil || len(skipped) != 0 || got < 1 || got > 2 || acknowledged && got != 2 {
				t.Errorf("crash at operation %d of %v, disk has %s: newest is %d, %v, %v; acknowledged: %v",
					at, fsys.log, disk, got, skipped, err, acknowledged)
			}
			for _, name := range files(t, dir) {
				if strings.HasSuffix(name, tempSuffix) {
					t.Errorf("%s was not swept", name)
				}
			}
			save(t, next, 3)
			wantLatest(t, next, 3)
			if got := files(t, dir); len(got) != 2 {
				t.Errorf("after the next save there are %v", got)
			}
			next.Close()
		})
	}
	if states < 50 {
		t.Fatalf("only %d states were looked at", states)
	}
}

// TestNameInDoubtPushesOutNothing: a checkpoint whose name may go in a crash does
// not count towards Keep.
func TestNameInDoubtPushesOutNothing(t *testing.T) {
	fsys, d := saves(t)
	fsys.fail = func(*operation) (int, error) { return 0, syscall.EIO }
	fsys.failIf = func(op *operation) bool {
		return op.what == "sync directory" || op.what == "remove "+fileName(numberedID(2))
	}
	if _, err := d.Save(t.Context(), state(2), numbered(2)); !errors.Is(err, syscall.EIO) {
		t.Fatal(err)
	}
	fsys.failIf = nil
	save(t, d, 3)
	var want []string
	for _, n := range []int{1, 2, 3} {
		want = append(want, fileName(numberedID(n)))
	}
	if got := files(t, d.Path()); !slices.Equal(got, want) {
		t.Errorf("directory holds %v, want %v", got, want)
	}
}

func TestLeftoverOfTheSameIDIsReplaced(t *testing.T) {
	d := openTestStore(t, t.TempDir(), StoreOptions{}, unsyncedFS{})
	temp := filepath.Join(d.Path(), strings.TrimSuffix(fileName(numberedID(1)), fileSuffix)+tempSuffix)
	if err := os.WriteFile(temp, []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}
	save(t, d, 1)
	wantLatest(t, d, 1)
	if got := files(t, d.Path()); len(got) != 1 {
		t.Errorf("directory holds %v", got)
	}
}

func TestCheckpointIsNeverReplaced(t *testing.T) {
	d := openTestStore(t, t.TempDir(), StoreOptions{}, unsyncedFS{})
	save(t, d, 1)
	_, err := d.Save(t.Context(), state(2), numbered(1))
	if _, ok := errors.AsType[*WriteError](err); !ok || !errors.Is(err, fs.ErrExist) {
		t.Errorf("saving under the same ID: %v", err)
	}
	wantLatest(t, d, 1)
}

func TestCancelledSaveLeavesNothing(t *testing.T) {
	_, d := saves(t)
	before := files(t, d.Path())
	ctx, cancel := context.WithCancel(t.Context())
	opts := numbered(2)
	opts.Progress = func(done, total int64) { cancel() }
	_, err := d.Save(ctx, random(3*regionSize, 1), opts)
	if !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	if got := files(t, d.Path()); !slices.Equal(got, before) {
		t.Errorf("directory was %v, is %v", before, got)
	}
	wantLatest(t, d, 1)
}

func TestSaveThatWaitsCanBeCancelled(t *testing.T) {
	d := openTestStore(t, t.TempDir(), StoreOptions{}, unsyncedFS{})
	inside, goOn := make(chan struct{}), make(chan struct{})
	opts := numbered(1)
	opts.Progress = func(done, total int64) { close(inside); <-goOn }
	first := make(chan error)
	go func() {
		_, err := d.Save(context.Background(), state(1), opts)
		first <- err
	}()
	<-inside
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := d.Save(ctx, state(2), numbered(2)); !errors.Is(err, context.Canceled) {
		t.Errorf("second save: %v", err)
	}
	close(goOn)
	if err := <-first; err != nil {
		t.Errorf("first save: %v", err)
	}
	wantLatest(t, d, 1)
}

func TestSourceThatFailsLeavesNothing(t *testing.T) {
	broken := errors.New("snapshot was given up")
	d := openTestStore(t, t.TempDir(), StoreOptions{}, unsyncedFS{})
	_, err := d.Save(t.Context(), brokenSource{state(1), 3 * pageSize, broken}, numbered(1))
	if _, ok := errors.AsType[*SourceError](err); !ok || !errors.Is(err, broken) {
		t.Errorf("got %v", err)
	}
	if got := files(t, d.Path()); len(got) != 0 {
		t.Errorf("directory holds %v", got)
	}
}
