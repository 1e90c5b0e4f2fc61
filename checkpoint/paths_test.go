package checkpoint

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/google/uuid"
)

// saveOn saves checkpoint n as an increment on checkpoint parent.
func saveOn(ctx context.Context, d *Store, n, parent int) (Info, error) {
	opts := numbered(n)
	opts.Parent, opts.ParentSize = numberedID(parent), state(parent).Size()
	opts.Changed = ranges(changedPages(state(parent), state(n))...)
	return d.Save(ctx, state(n), opts)
}

func mustSaveOn(t *testing.T, d *Store, n, parent int) Info {
	t.Helper()
	info, err := saveOn(t.Context(), d, n, parent)
	if err != nil || !info.Incremental {
		t.Fatalf("saving increment %d: %+v, %v", n, info, err)
	}
	return info
}

// stream is checkpoint n as another store would send it.
func stream(t testing.TB, n, parent int) []byte {
	opts := numbered(n)
	opts.Parent = uuid.Nil
	if parent >= 0 {
		opts.Parent, opts.ParentSize = numberedID(parent), state(parent).Size()
		opts.Changed = ranges(changedPages(state(parent), state(n))...)
	}
	return encode(t, state(n), opts)
}

// storePath is a way to change a store. before and after are its newest
// checkpoint, lost those that act removes.
type storePath struct {
	opts          StoreOptions
	prepare       func(t *testing.T, d *Store)
	act           func(t *testing.T, d *Store) error
	before, after int
	left          []int // in the directory when act was successful
}

// storePaths are all that change a directory but for opening it, which has tests of its own.
var storePaths = map[string]storePath{
	"save": {StoreOptions{Keep: 2, NoFold: true},
		func(t *testing.T, d *Store) { save(t, d, 0); save(t, d, 1) },
		func(t *testing.T, d *Store) error { _, err := d.Save(t.Context(), state(2), numbered(2)); return err },
		1, 2, []int{1, 2}},
	"first save": {StoreOptions{Keep: 2, NoFold: true},
		func(*testing.T, *Store) {},
		func(t *testing.T, d *Store) error { _, err := d.Save(t.Context(), state(2), numbered(2)); return err },
		-1, 2, []int{2}},
	"live save": {StoreOptions{Keep: 2, NoFold: true},
		func(t *testing.T, d *Store) { save(t, d, 0); save(t, d, 1) },
		func(t *testing.T, d *Store) error {
			_, err := d.SaveLive(t.Context(), settling(state(liveState)), numbered(liveState))
			return err
		},
		1, liveState, []int{1, liveState}},
	"increment": {StoreOptions{Keep: 2, NoFold: true},
		func(t *testing.T, d *Store) { save(t, d, 0); mustSaveOn(t, d, 1, 0) },
		func(t *testing.T, d *Store) error { _, err := saveOn(t.Context(), d, 2, 1); return err },
		1, 2, []int{0, 1, 2}},
	"save that ends a chain": {StoreOptions{Keep: 1, NoFold: true},
		func(t *testing.T, d *Store) { save(t, d, 0); mustSaveOn(t, d, 1, 0); mustSaveOn(t, d, 2, 1) },
		func(t *testing.T, d *Store) error { _, err := d.Save(t.Context(), state(3), numbered(3)); return err },
		2, 3, []int{3}},
	"fold": {StoreOptions{Keep: 1, NoFold: true},
		func(t *testing.T, d *Store) { save(t, d, 0); mustSaveOn(t, d, 1, 0); mustSaveOn(t, d, 2, 1) },
		func(t *testing.T, d *Store) error { _, err := d.Fold(t.Context(), numberedID(2)); return err },
		2, 2, []int{2}},
	"fold in the middle": {StoreOptions{Keep: 2, NoFold: true},
		func(t *testing.T, d *Store) { save(t, d, 0); mustSaveOn(t, d, 1, 0); mustSaveOn(t, d, 2, 1) },
		func(t *testing.T, d *Store) error { _, err := d.Fold(t.Context(), numberedID(1)); return err },
		2, 2, []int{1, 2}},
	"prune": {StoreOptions{Keep: 5, NoFold: true},
		func(t *testing.T, d *Store) {
			save(t, d, 0)
			mustSaveOn(t, d, 1, 0)
			mustSaveOn(t, d, 2, 1)
			save(t, d, 3)
			mustSaveOn(t, d, 4, 3)
		},
		func(t *testing.T, d *Store) error { _, err := d.Prune(Policy{Keep: 1}); return err },
		4, 4, []int{3, 4}},
	"prune after a restart": {StoreOptions{Keep: 5, NoFold: true},
		func(t *testing.T, d *Store) {
			save(t, d, 0)
			mustSaveOn(t, d, 1, 0)
			save(t, d, 2)
			d.synced, d.cards = false, map[string]card{} // what another process has done
		},
		func(t *testing.T, d *Store) error { _, err := d.Prune(Policy{Keep: 1}); return err },
		2, 2, []int{2}},
	"receive": {StoreOptions{Keep: 1, NoFold: true},
		func(t *testing.T, d *Store) { save(t, d, 0); mustSaveOn(t, d, 1, 0) },
		func(t *testing.T, d *Store) error {
			_, err := d.Receive(t.Context(), bytes.NewReader(stream(t, 2, -1)))
			return err
		},
		1, 2, []int{2}},
	"receive an increment": {StoreOptions{Keep: 1, NoFold: true},
		func(t *testing.T, d *Store) { save(t, d, 0); mustSaveOn(t, d, 1, 0) },
		func(t *testing.T, d *Store) error {
			_, err := d.Receive(t.Context(), bytes.NewReader(stream(t, 2, 1)))
			return err
		},
		1, 2, []int{0, 1, 2}},
}

func (p *storePath) open(t *testing.T) (*faultFS, *Store) {
	t.Helper()
	fsys := newFaultFS()
	d := openTestStore(t, t.TempDir(), p.opts, fsys)
	p.prepare(t, d)
	fsys.log = nil
	return fsys, d
}

func (p *storePath) operations(t *testing.T) []string {
	fsys, d := p.open(t)
	if err := p.act(t, d); err != nil {
		t.Fatal(err)
	}
	return fsys.log
}

// newest is the number of the newest state, -1 if there is none.
func (p *storePath) newest(t *testing.T, d *Store) (int, []error, error) {
	t.Helper()
	n, skipped, err := latestState(t, d)
	if p.before < 0 && errors.Is(err, ErrNotFound) {
		err = nil
	}
	return n, skipped, err
}

// isGoing reports whether a checkpoint was to be removed and has lost its parent already: the
// disk may have kept the removals in another order.
func (p *storePath) isGoing(err error) bool {
	e, ok := errors.AsType[*SkippedError](err)
	return ok && errors.Is(err, ErrNoParent) && !slices.ContainsFunc(p.left, func(n int) bool { return filepath.Base(e.Path) == fileName(numberedID(n)) })
}

// checkWhole reads everything that a store lists: each is the state that has its
// number, and none is unusable.
func checkWhole(t *testing.T, what string, d *Store) {
	t.Helper()
	checkWholeBut(t, what, d, func(error) bool { return false })
}

// checkWholeBut is checkWhole where some may be unusable.
func checkWholeBut(t *testing.T, what string, d *Store, may func(error) bool) {
	t.Helper()
	infos, skipped, err := d.List()
	skipped = slices.DeleteFunc(skipped, may)
	if err != nil || len(skipped) != 0 {
		t.Errorf("%s: %v, %v", what, skipped, err)
	}
	for _, info := range infos {
		im, err := d.Open(info.ID)
		if err != nil {
			t.Errorf("%s: %v", what, err)
			continue
		}
		_, got, err := readImage(im)
		if n := int(info.ID[5]); err != nil || !bytes.Equal(got, state(n)) {
			t.Errorf("%s: checkpoint %d is not its state: %v", what, n, err)
		}
		im.Close()
	}
}

func checkNoLeftovers(t *testing.T, what string, d *Store) {
	t.Helper()
	for _, name := range files(t, d.Path()) {
		if strings.HasSuffix(name, tempSuffix) {
			t.Errorf("%s: %s is left", what, name)
		}
	}
}

// TestOrderOnEveryPath is golden, as for the plain save.
func TestOrderOnEveryPath(t *testing.T) {
	var log []string
	for _, name := range sortedKeys(storePaths) {
		p := storePaths[name]
		log = append(append(log, "--- "+name), p.operations(t)...)
	}
	golden(t, "paths_order.golden", []byte(strings.Join(log, "\n")+"\n"))
}

func sortedKeys[V any](m map[string]V) []string {
	var keys []string
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// TestAnyOperationOfAnyPathMayFail: each in each way, once, and then all that
// follow it. What was there is there, and the next attempt succeeds.
func TestAnyOperationOfAnyPathMayFail(t *testing.T) {
	for name, p := range storePaths {
		t.Run(name, func(t *testing.T) {
			ops := p.operations(t)
			injected := 0
			defer func() { t.Logf("%s: %d faults in %d operations", name, injected, len(ops)) }()
			for fault, fail := range faults {
				for _, forever := range []bool{false, true} {
					if testing.Short() && (fault != "EIO" && fault != "short write" || forever && fault != "EIO") {
						continue
					}
					for at, op := range ops {
						what := fmt.Sprintf("%s in %q, and after it: %v", fault, op, forever)
						fsys, d := p.open(t)
						fsys.failAt = at
						fsys.fail = func(o *operation) (int, error) {
							if forever {
								fsys.failAt = len(fsys.log)
							}
							return fail(o)
						}
						injected++
						err := p.act(t, d)
						fsys.failAt = -1
						// That old ones could not be removed is said by PruneError, and
						// where it is not known how much is free it is tried.
						published := slices.Contains(ops[:at], "sync directory") && d.PruneError() != nil
						if tried := op == "ask for free space" && !forever; err == nil && !published && !tried {
							t.Errorf("%s: no error", what)
						}
						checkWhole(t, what, d)
						if got, _, err := p.newest(t, d); err != nil || got != p.before && got != p.after {
							t.Errorf("%s: newest is %d, %v", what, got, err)
						}
						if !forever {
							checkNoLeftovers(t, what, d)
						}
						p.next(t, what, d)
					}
				}
			}
		})
	}
}

// next opens the directory again after something went wrong: what is there is
// good, and a repetition ends as it should.
func (p *storePath) next(t *testing.T, what string, d *Store) {
	t.Helper()
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	again := openTestStore(t, d.Path(), p.opts, unsyncedFS{})
	defer again.Close()
	checkWholeBut(t, what, again, p.isGoing)
	checkNoLeftovers(t, what, again)
	if got, _, err := p.newest(t, again); err != nil || got == p.before {
		if err := p.act(t, again); err != nil {
			t.Errorf("%s: again: %v", what, err)
		}
	}
	if got, skipped, err := latestState(t, again); err != nil || len(skipped) != 0 || got != p.after {
		t.Errorf("%s: in the end the newest is %d, %v, %v", what, got, skipped, err)
	}
	// A fold or removal that was given up is made good by the next.
	if _, err := again.Prune(Policy{Keep: p.opts.Keep}); err != nil {
		t.Errorf("%s: prune: %v", what, err)
	}
	checkWhole(t, what, again)
}

// TestMachineMayCrashOnAnyPath looks at every state that the disk may be in.
func TestMachineMayCrashOnAnyPath(t *testing.T) {
	for name, p := range storePaths {
		t.Run(name, func(t *testing.T) {
			states, ops := 0, len(p.operations(t))
			defer func() { t.Logf("%s: %d crashes, %d states of the disk", name, ops+1, states) }()
			for at := range ops + 1 {
				fsys, d := p.open(t)
				fsys.failAt = at
				fsys.fail = func(op *operation) (int, error) {
					fsys.crashed = true
					return len(op.data) / 3, errCrashed
				}
				acknowledged := p.act(t, d) == nil
				d.Close()
				fsys.afterCrash(t, func(disk, dir string) {
					states++
					what := fmt.Sprintf("crash at operation %d of %v, disk has %s", at, fsys.log, disk)
					next := openTestStore(t, dir, p.opts, unsyncedFS{})
					checkWholeBut(t, what, next, p.isGoing)
					got, skipped, err := p.newest(t, next)
					if err != nil || len(skipped) != 0 || got != p.before && got != p.after || acknowledged && got != p.after {
						t.Errorf("%s: newest is %d, %v, %v; acknowledged: %v", what, got, skipped, err, acknowledged)
					}
					p.next(t, what, next)
				})
			}
			if states < 20 {
				t.Fatalf("only %d states were looked at", states)
			}
		})
	}
}

func TestPathsLeaveWhatTheyShould(t *testing.T) {
	for name, p := range storePaths {
		_, d := p.open(t)
		if err := p.act(t, d); err != nil {
			t.Fatal(name, err)
		}
		var want []string
		for _, n := range p.left {
			want = append(want, fileName(numberedID(n)))
		}
		if got := files(t, d.Path()); !slices.Equal(got, want) {
			t.Errorf("%s: left are %v, want %v", name, got, want)
		}
		checkWhole(t, name, d)
	}
}

// TestFullDiskIsSaidBefore: a clear error instead of a file that is half there.
func TestFullDiskIsSaidBefore(t *testing.T) {
	fsys := newFaultFS()
	d := openTestStore(t, t.TempDir(), StoreOptions{}, fsys)
	save(t, d, 0)
	fsys.log = nil
	src := random(20*regionSize, 0.25)
	real := int64(len(encode(t, src, numbered(1))))
	for _, free := range []int64{0, real / 2} {
		fsys.free = &free
		_, err := d.Save(t.Context(), src, numbered(1))
		e, ok := errors.AsType[*SpaceError](err)
		if !ok || !errors.Is(err, syscall.ENOSPC) || e.Free != free || e.Need < real*8/10 || e.Need > real*12/10 {
			t.Errorf("%d of %d bytes free: %v", free, real, err)
		}
		if !strings.Contains(err.Error(), fmt.Sprintf("free %d bytes", e.Need-free)) {
			t.Errorf("what is missing is not named: %v", err)
		}
		if slices.ContainsFunc(fsys.log, func(op string) bool { return op != "list directory" && op != "ask for free space" }) {
			t.Errorf("the disk was touched: %v", fsys.log)
		}
	}
	enough := real
	fsys.free = &enough
	if _, err := d.Save(t.Context(), src, numbered(1)); err != nil {
		t.Errorf("with just enough room: %v", err)
	}
	// An increment is judged by what has changed.
	opts := numbered(2)
	opts.Parent, opts.ParentSize, opts.Changed = numberedID(1), src.Size(), ranges(1, 2, 3000)
	little := int64(10 * pageSize)
	fsys.free = &little
	info, err := d.Save(t.Context(), src, opts)
	if err != nil || !info.Incremental {
		t.Errorf("increment: %+v, %v", info, err)
	}
}
