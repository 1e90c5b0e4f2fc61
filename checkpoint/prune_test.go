package checkpoint

import (
	"errors"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestDamagedParentIsNotCountedAsGood: Verify and Fold read the pages of parents, too. What
// they find there is wrong with the parent, which must not push out a good checkpoint either.
func TestDamagedParentIsNotCountedAsGood(t *testing.T) {
	for name, find := range map[string]func(d *Store) error{
		"verify": func(d *Store) error { return d.Verify(t.Context(), numberedID(3), nil) },
		"fold":   func(d *Store) error { _, err := d.Fold(t.Context(), numberedID(3)); return err },
		"latest": func(d *Store) error {
			im, _, err := d.Latest(func(im *Image) error { return im.Verify(t.Context(), nil) })
			if err == nil {
				err = errors.Join(errors.New("passed over"), im.Close())
			}
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			d := openTestStore(t, t.TempDir(), StoreOptions{Keep: 9, NoFold: true}, unsyncedFS{})
			save(t, d, 1)
			save(t, d, 2)
			mustSaveOn(t, d, 3, 2)
			damage(t, d, 2, -(4096 + 99)) // in the page that 3 does not have
			if err := find(d); err == nil {
				t.Fatal("the damage was not found")
			}
			if removed, err := d.Prune(Policy{Keep: 1}); err != nil || len(removed) != 0 {
				t.Errorf("removed %v, %v", removed, err)
			}
			if n, _, err := latestState(t, d); n != 1 || err != nil {
				t.Errorf("newest is %d, %v", n, err)
			}
			if info, err := saveOn(t.Context(), d, 4, 3); err != nil || info.Incremental {
				t.Errorf("on a damaged chain: %+v, %v", info, err)
			}
		})
	}
}

// TestNothingIsRemovedWhileAFileCannotBeLookedAt: it may be a child, or young, and be back
// a moment later: too many open files, a mount that is away.
func TestNothingIsRemovedWhileAFileCannotBeLookedAt(t *testing.T) {
	for name, policy := range map[string]Policy{"its parents": {Keep: 2}, "itself, young": {Keep: 1, For: time.Hour}} {
		t.Run(name, func(t *testing.T) {
			path := t.TempDir()
			d := openTestStore(t, path, StoreOptions{Keep: 9, NoFold: true}, unsyncedFS{})
			save(t, d, 0)
			mustSaveOn(t, d, 1, 0)
			save(t, d, 2)
			opts := numbered(3)
			opts.Parent, opts.ParentSize, opts.Time = numberedID(1), state(1).Size(), time.Now()
			opts.Changed = ranges(changedPages(state(1), state(3))...)
			child, err := d.Save(t.Context(), state(3), opts)
			if err != nil || child.Chain != 3 {
				t.Fatalf("%+v, %v", child, err)
			}
			save(t, d, 4)
			if err := d.Close(); err != nil {
				t.Fatal(err)
			}
			d = openTestStore(t, path, StoreOptions{Keep: 9, NoFold: true}, unsyncedFS{})
			if err := errors.Join(os.Rename(child.Path, child.Path+"~"), os.Symlink(child.Path, child.Path)); err != nil {
				t.Skip(err)
			}
			removed, err := d.Prune(policy)
			if len(removed) != 0 || !errors.Is(err, syscall.ELOOP) || !errors.Is(d.PruneError(), syscall.ELOOP) || !strings.Contains(err.Error(), "nothing was removed") {
				t.Errorf("removed %v, %v", removed, err)
			}
			if err := os.Rename(child.Path+"~", child.Path); err != nil {
				t.Fatal(err)
			}
			checkWhole(t, "back again", d)
			if removed, err := d.Prune(Policy{Keep: 2}); err != nil || len(removed) != 1 || d.PruneError() != nil {
				t.Errorf("then removed %v, %v", removed, err)
			}
			checkWhole(t, "pruned", d)
		})
	}
}

// TestNamesAreDurableBeforeOthersAreRemoved: a killed process may leave a name that was
// given and not synced, and a machine that crashes later may keep a removal and lose that.
func TestNamesAreDurableBeforeOthersAreRemoved(t *testing.T) {
	fsys := newFaultFS()
	path := t.TempDir()
	d := openTestStore(t, path, StoreOptions{Keep: 9, NoFold: true}, fsys)
	save(t, d, 0)
	save(t, d, 1)
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	d = openTestStore(t, path, StoreOptions{Keep: 9, NoFold: true}, fsys)
	fsys.log = nil
	if removed, err := d.Prune(Policy{Keep: 1}); err != nil || len(removed) != 1 {
		t.Fatal(removed, err)
	}
	changes := slices.DeleteFunc(fsys.log, func(op string) bool { return !strings.HasPrefix(op, "sync") && !strings.HasPrefix(op, "remove") })
	if want := []string{"sync directory", "remove " + fileName(numberedID(0))}; !slices.Equal(changes, want) {
		t.Errorf("%v, want %v", changes, want)
	}
}

// TestNameInDoubtStaysSo: that a checkpoint can be read does not make its name durable. As
// long as no sync of the directory has succeeded it counts for nothing, and what it stands
// for stays: older checkpoints, or the parents of what a fold has replaced.
func TestNameInDoubtStaysSo(t *testing.T) {
	failSyncs := func(fsys *faultFS) {
		fsys.fail = func(*operation) (int, error) { return 0, syscall.EIO }
		fsys.failIf = func(op *operation) bool {
			return op.what == "sync directory" || op.what == "remove "+fileName(numberedID(2))
		}
	}
	for name, act := range map[string]func(t *testing.T, d *Store) error{
		"save": func(t *testing.T, d *Store) error { _, err := d.Save(t.Context(), state(2), numbered(2)); return err },
		"fold": func(t *testing.T, d *Store) error { _, err := d.Fold(t.Context(), numberedID(1)); return err },
	} {
		t.Run(name, func(t *testing.T) {
			fsys := newFaultFS()
			path := t.TempDir()
			d := openTestStore(t, path, StoreOptions{Keep: 9, NoFold: true}, fsys)
			save(t, d, 0)
			mustSaveOn(t, d, 1, 0)
			if err := d.Close(); err != nil {
				t.Fatal(err)
			}
			d = openTestStore(t, path, StoreOptions{Keep: 9, NoFold: true}, fsys)
			failSyncs(fsys)
			if err := act(t, d); !errors.Is(err, syscall.EIO) {
				t.Fatal(err)
			}
			if _, _, err := latestState(t, d); err != nil {
				t.Fatal(err)
			}
			if removed, err := d.Prune(Policy{Keep: 1}); len(removed) != 0 {
				t.Errorf("removed %v, %v", removed, err)
			}
			fsys.failIf = nil
			if removed, err := d.Prune(Policy{Keep: 1}); len(removed) != 0 || err != nil {
				t.Errorf("after one that was successful: removed %v, %v; the kernel reports lost names once", removed, err)
			}
			for _, n := range []int{0, 1} {
				if _, err := os.Stat(d.Path() + "/" + fileName(numberedID(n))); err != nil {
					t.Error(err)
				}
			}
		})
	}
}
