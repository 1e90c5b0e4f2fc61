package checkpoint

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// leftovers are what crashes during a save and during a fold leave, of checkpoints that are
// there and of ones that are not.
func leftovers() (names []string) {
	for n, suffix := range map[int]string{1: foldSuffix, 2: tempSuffix} {
		names = append(names, strings.TrimSuffix(fileName(numberedID(n)), fileSuffix)+suffix)
	}
	slices.Sort(names)
	return names
}

// crashed is a directory with two checkpoints and leftovers, seen by a new file system.
func crashed(t *testing.T) (*faultFS, string) {
	t.Helper()
	path := t.TempDir()
	d := openTestStore(t, path, StoreOptions{NoFold: true}, unsyncedFS{})
	save(t, d, 0)
	mustSaveOn(t, d, 1, 0)
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	fsys := newFaultFS()
	for _, name := range leftovers() {
		if err := os.WriteFile(filepath.Join(path, name), []byte("half"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range files(t, path) {
		b, err := os.ReadFile(filepath.Join(path, name))
		if err != nil {
			t.Fatal(err)
		}
		node := &inode{data: b, synced: len(b)}
		fsys.files[filepath.Join(path, name)], fsys.durable[filepath.Join(path, name)] = node, node
	}
	return fsys, path
}

// openAndClose opens a directory and gives it back.
func openAndClose(path string, fsys filesystem) (pruneErr, err error) {
	d, err := openStore(path, StoreOptions{NoFold: true}, fsys)
	if err != nil {
		return nil, err
	}
	return d.PruneError(), d.Close()
}

func openOperations(t *testing.T) []string {
	fsys, path := crashed(t)
	if pruneErr, err := openAndClose(path, fsys); pruneErr != nil || err != nil {
		t.Fatal(pruneErr, err)
	}
	return fsys.log
}

// TestOrderOfOpening: nothing is looked at, let alone removed, before the lock is held.
func TestOrderOfOpening(t *testing.T) {
	want := []string{"make directory", "lock", "list directory"}
	for _, name := range leftovers() {
		want = append(want, "remove "+name)
	}
	if got := openOperations(t); !slices.Equal(got, append(want, "unlock")) {
		t.Errorf("%q", got)
	}
}

// TestAnyOperationOfOpeningMayFail: then there is an error and the lock is free, or the
// leftover stays and PruneError says so.
func TestAnyOperationOfOpeningMayFail(t *testing.T) {
	injected := 0
	ops := openOperations(t)
	for fault, fail := range faults {
		for at, op := range ops {
			what := fmt.Sprintf("%s in %q", fault, op)
			fsys, path := crashed(t)
			fsys.failAt, fsys.fail = at, fail
			injected++
			pruneErr, err := openAndClose(path, fsys)
			if swept := !strings.HasPrefix(op, "remove"); swept != (err != nil) || swept != (pruneErr == nil) {
				t.Errorf("%s: %v, PruneError %v", what, err, pruneErr)
			}
			d := openTestStore(t, path, StoreOptions{NoFold: true}, unsyncedFS{})
			checkWhole(t, what, d)
			wantLatest(t, d, 1)
			checkNoLeftovers(t, what, d)
			if err := errors.Join(d.PruneError(), d.Close()); err != nil {
				t.Errorf("%s: then %v", what, err)
			}
		}
	}
	t.Logf("open: %d faults in %d operations", injected, len(ops))
}

// TestMachineMayCrashWhileOpening looks at every state that the disk may be in.
func TestMachineMayCrashWhileOpening(t *testing.T) {
	states, ops := 0, len(openOperations(t))
	for at := range ops + 1 {
		fsys, path := crashed(t)
		fsys.failAt = at
		fsys.fail = func(*operation) (int, error) {
			fsys.crashed = true
			return 0, errCrashed
		}
		_, _ = openAndClose(path, fsys)
		fsys.afterCrash(t, func(disk, dir string) {
			states++
			d := openTestStore(t, dir, StoreOptions{NoFold: true}, unsyncedFS{})
			checkWhole(t, disk, d)
			wantLatest(t, d, 1)
			checkNoLeftovers(t, disk, d)
			if err := d.Close(); err != nil {
				t.Error(err)
			}
		})
	}
	t.Logf("open: %d crashes, %d states of the disk", ops+1, states)
}

// TestLeftoverThatStaysIsInNobodysWay: a sweep that has failed keeps nobody from saving or
// folding the very checkpoint.
func TestLeftoverThatStaysIsInNobodysWay(t *testing.T) {
	fsys, path := crashed(t)
	fsys.fail = faults["EIO"]
	fsys.failIf = func(op *operation) bool { return strings.HasPrefix(op.what, "remove") }
	d := openTestStore(t, path, StoreOptions{NoFold: true}, fsys)
	if d.PruneError() == nil {
		t.Fatal("swept")
	}
	fsys.failIf = nil
	if _, err := d.Fold(t.Context(), numberedID(1)); err != nil {
		t.Error(err)
	}
	save(t, d, 2)
	checkWhole(t, "later", d)
	checkNoLeftovers(t, "later", d)
}

// TestEveryOperationOfTheDiskIsInjected: what a store does to the disk, in any of the paths
// whose operations are made to fail one by one.
func TestEveryOperationOfTheDiskIsInjected(t *testing.T) {
	kinds := map[string]int{}
	count := func(ops []string) {
		for _, op := range ops {
			kind, _, _ := strings.Cut(op, " 0") // a size, or a name
			if word, _, ok := strings.Cut(op, " "); ok && word == "write" {
				kind = word
			}
			kinds[kind]++
		}
	}
	count(openOperations(t))
	for _, p := range storePaths {
		count(p.operations(t))
	}
	want := []string{"ask for free space", "close", "create", "list directory", "lock", "make directory", "remove", "rename", "sync", "sync directory", "unlock", "write"}
	if got := sortedKeys(kinds); !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	total := 0
	for _, kind := range want {
		t.Logf("%s: %d", kind, kinds[kind])
		total += kinds[kind]
	}
	t.Logf("%d operations on %d paths", total, len(storePaths)+1)
}
