package checkpoint

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
)

// TestSaveSaysWhetherItIsFull: an increment only on a parent that is there, can
// be used and has the size, and not beyond MaxChain.
func TestSaveSaysWhetherItIsFull(t *testing.T) {
	d := openTestStore(t, t.TempDir(), StoreOptions{Keep: 9, MaxChain: 3, NoFold: true}, unsyncedFS{})
	save(t, d, 0)
	for n, incremental := range []bool{1: true, 2: true, 3: false, 4: true} {
		if n == 0 {
			continue
		}
		info, err := saveOn(t.Context(), d, n, n-1)
		if err != nil || info.Incremental != incremental || info.Parent != numberedID(n-1) {
			t.Fatalf("checkpoint %d: %+v, %v", n, info, err)
		}
		if want := []int{1, 2, 3, 1, 2}[n]; info.Chain != want || (info.ChainBytes > info.Bytes) != (want > 1) {
			t.Errorf("checkpoint %d is in %d files of %d bytes: %+v", n, info.Chain, info.ChainBytes, info)
		}
	}
	checkWhole(t, "chain", d)
	for name, change := range map[string]func(o *WriteOptions){
		"parent that is not there": func(o *WriteOptions) { o.Parent = numberedID(99) },
		"other size":               func(o *WriteOptions) { o.ParentSize += pageSize },
	} {
		opts := WriteOptions{Parent: numberedID(4), ParentSize: state(4).Size(), Changed: ranges(1)}
		change(&opts)
		info, err := d.Save(t.Context(), state(5), opts)
		if err != nil || info.Incremental {
			t.Errorf("%s: %+v, %v", name, info, err)
		}
	}
	damage(t, d, 4, headerUnit+4096+50)
	if err := d.Verify(t.Context(), numberedID(4), nil); !errors.Is(err, ErrCorrupt) {
		t.Fatal(err)
	}
	if info, err := saveOn(t.Context(), d, 5, 4); err != nil || info.Incremental {
		t.Errorf("on a damaged parent: %+v, %v", info, err)
	}
}

func TestStoreOpensAndVerifiesByID(t *testing.T) {
	d := openTestStore(t, t.TempDir(), StoreOptions{NoFold: true}, unsyncedFS{})
	save(t, d, 0)
	mustSaveOn(t, d, 1, 0)
	im, err := d.Open(numberedID(1))
	if err != nil {
		t.Fatal(err)
	}
	_, got, err := readImage(im)
	if err != nil || !bytes.Equal(got, state(1)) {
		t.Error(err)
	}
	im.Close()
	var done, total int64
	if err := d.Verify(t.Context(), numberedID(1), func(d, of int64) { done, total = d, of }); err != nil || done != total || total == 0 {
		t.Errorf("%v, %d of %d", err, done, total)
	}
	if _, err := d.Open(numberedID(7)); !errors.Is(err, ErrNotFound) {
		t.Error(err)
	}
}

// TestLatestPassesOverABrokenChain: the newest that can be had, and why not the
// others.
func TestLatestPassesOverABrokenChain(t *testing.T) {
	d := openTestStore(t, t.TempDir(), StoreOptions{Keep: 9, NoFold: true}, unsyncedFS{})
	save(t, d, 0)
	save(t, d, 1)
	mustSaveOn(t, d, 2, 1)
	mustSaveOn(t, d, 3, 2)
	damage(t, d, 2, headerUnit+20)
	n, skipped, err := latestState(t, d)
	if n != 1 || err != nil || len(skipped) != 2 {
		t.Fatalf("newest is %d, %v, %v", n, skipped, err)
	}
	if !strings.Contains(skipped[0].Error(), fileName(numberedID(2))) {
		t.Errorf("the damaged parent is not named: %v", skipped[0])
	}
	if err := os.Remove(filepath.Join(d.Path(), fileName(numberedID(2)))); err != nil {
		t.Fatal(err)
	}
	n, skipped, err = latestState(t, d)
	e, ok := errors.AsType[*ParentError](errors.Join(skipped...))
	if n != 1 || err != nil || !ok || e.Parent != numberedID(2) || !errors.Is(e, ErrNoParent) {
		t.Fatalf("newest is %d, %v, %v", n, skipped, err)
	}
	// An orphan counts as damaged: it goes when it is old enough.
	for n := 4; n < 6; n++ {
		save(t, d, n)
	}
	removed, err := d.Prune(Policy{Keep: 2})
	if err != nil || len(removed) != 3 {
		t.Errorf("removed %v, %v", removed, err)
	}
	checkWhole(t, "pruned", d)
}

func TestPruneByAge(t *testing.T) {
	d := openTestStore(t, t.TempDir(), StoreOptions{Keep: 9, NoFold: true}, unsyncedFS{})
	now := time.Now()
	for n, age := range []time.Duration{9 * time.Hour, 5 * time.Hour, 3 * time.Hour, 2 * time.Hour, time.Minute} {
		opts := numbered(n)
		opts.Time = now.Add(-age)
		if n == 3 {
			opts.Parent, opts.ParentSize, opts.Changed = numberedID(2), state(2).Size(), ranges(changedPages(state(2), state(3))...)
		}
		if _, err := d.Save(t.Context(), state(n), opts); err != nil {
			t.Fatal(err)
		}
	}
	removed, err := d.Prune(Policy{For: 150 * time.Minute})
	if err != nil || !slices.Equal(removed, []uuid.UUID{numberedID(0), numberedID(1)}) {
		t.Errorf("removed %v, %v: 2 is needed by 3", removed, err)
	}
	checkWhole(t, "by age", d)
	if removed, err := d.Prune(Policy{}); err != nil || len(removed) != 3 {
		t.Errorf("none to be kept: %v, %v", removed, err)
	}
}

// TestChainsAreFoldedInTheBackground saves increment after increment: chains
// stay short, everything stays readable, and Close waits.
func TestChainsAreFoldedInTheBackground(t *testing.T) {
	path := t.TempDir()
	d := openTestStore(t, path, StoreOptions{Keep: 2, MaxChain: 6}, unsyncedFS{})
	m := random(3*regionSize, 0.5)
	info, err := d.Save(t.Context(), m, WriteOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for n := range 40 {
		m = slices.Clone(m)
		m[n*17*pageSize] ^= 0xff
		last := info
		info, err = d.Save(t.Context(), m, WriteOptions{Parent: last.ID, ParentSize: last.Size, Changed: ranges(n * 17)})
		if err != nil || info.Chain > 6 {
			t.Fatalf("%+v, %v", info, err)
		}
		if n%5 == 4 {
			d.background.Wait()
			if err := errors.Join(d.FoldError(), d.PruneError()); err != nil {
				t.Fatal(err)
			}
		}
		im, _, err := d.Latest(nil)
		if err != nil {
			t.Fatal(err)
		}
		_, got, err := readImage(im)
		if err != nil || !bytes.Equal(got, m) {
			t.Fatalf("save %d: %v", n, err)
		}
		im.Close()
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	if got := len(files(t, path)); got > 8 {
		t.Errorf("%d files are left", got)
	}
	d = openTestStore(t, path, StoreOptions{}, unsyncedFS{})
	if _, skipped, err := d.List(); err != nil || len(skipped) != 0 {
		t.Error(skipped, err)
	}
}

func TestFoldKeepsChildrenAndMetadata(t *testing.T) {
	d := openTestStore(t, t.TempDir(), StoreOptions{Keep: 9, NoFold: true, Compression: S2}, unsyncedFS{})
	save(t, d, 0)
	opts := numbered(1)
	opts.Roots = testRoots
	opts.Parent, opts.ParentSize, opts.Changed = numberedID(0), state(0).Size(), ranges(changedPages(state(0), state(1))...)
	before, err := d.Save(t.Context(), state(1), opts)
	if err != nil {
		t.Fatal(err)
	}
	mustSaveOn(t, d, 2, 1)
	info, err := d.Fold(t.Context(), numberedID(1))
	if err != nil || info.Incremental || info.Chain != 1 || info.ID != before.ID || info.Parent != before.Parent || !info.Time.Equal(before.Time) || !sameRoots(info.Roots, testRoots) {
		t.Errorf("%+v, %v", info, err)
	}
	checkWhole(t, "folded", d)
	if again, err := d.Fold(t.Context(), numberedID(1)); err != nil || again.Bytes != info.Bytes {
		t.Errorf("folded twice: %+v, %v", again, err)
	}
	if _, err := d.Fold(t.Context(), numberedID(7)); !errors.Is(err, ErrNotFound) {
		t.Error(err)
	}
}

// TestFollowerIsKeptUpToDateByDeltas over a stream without seeking: files as they
// are in the leader's store.
func TestFollowerIsKeptUpToDateByDeltas(t *testing.T) {
	leader := openTestStore(t, t.TempDir(), StoreOptions{Keep: 9, NoFold: true}, unsyncedFS{})
	follower := openTestStore(t, t.TempDir(), StoreOptions{Keep: 9, NoFold: true}, unsyncedFS{})
	infos := []Info{save(t, leader, 0), mustSaveOn(t, leader, 1, 0), mustSaveOn(t, leader, 2, 1)}
	send := func(n int) io.Reader {
		b, err := os.ReadFile(infos[n].Path)
		if err != nil {
			t.Fatal(err)
		}
		return &oneByOne{bytes.NewReader(append(b, "what follows"...))}
	}
	_, err := follower.Receive(t.Context(), send(1))
	if e, ok := errors.AsType[*ParentError](err); !ok || e.Parent != infos[0].ID || e.ID != infos[1].ID || !errors.Is(err, ErrNoParent) {
		t.Fatalf("without the parent: %v", err)
	}
	if got := files(t, follower.Path()); len(got) != 0 {
		t.Fatalf("left behind: %v", got)
	}
	for n, want := range infos {
		r := send(n)
		info, err := follower.Receive(t.Context(), r)
		if err != nil || info.ID != want.ID || info.Bytes != want.Bytes || info.Chain != n+1 {
			t.Fatalf("%+v, %v", info, err)
		}
		if rest, err := io.ReadAll(r); err != nil || string(rest) != "what follows" {
			t.Errorf("%d bytes are left on the stream, %v", len(rest), err)
		}
		wantLatest(t, follower, n)
	}
	checkWhole(t, "follower", follower)
	if _, err := follower.Receive(t.Context(), send(2)); !errors.Is(err, fs.ErrExist) {
		t.Errorf("a second time: %v", err)
	}
	// The follower's own copy of the parent is another state of that name.
	other := openTestStore(t, t.TempDir(), StoreOptions{NoFold: true}, unsyncedFS{})
	if _, err := other.Save(t.Context(), arena(pageSize, 0), numbered(0)); err != nil {
		t.Fatal(err)
	}
	if _, err := other.Receive(t.Context(), send(1)); !errors.Is(err, ErrCorrupt) {
		t.Errorf("parent of another size: %v", err)
	}
}

// oneByOne gives a byte or three at a time, as a network may.
type oneByOne struct{ r *bytes.Reader }

func (o *oneByOne) Read(p []byte) (int, error) { return o.r.Read(p[:min(len(p), 1+o.r.Len()%3)]) }

// TestReceivedDamageLeavesNothing cuts and flips the stream.
func TestReceivedDamageLeavesNothing(t *testing.T) {
	d := openTestStore(t, t.TempDir(), StoreOptions{NoFold: true, MaxSize: 1 << 20}, unsyncedFS{})
	save(t, d, 0)
	before := files(t, d.Path())
	b := stream(t, 1, 0)
	for at := 0; at < len(b); at += 173 {
		cut := bytes.NewReader(b[:at])
		if _, err := d.Receive(t.Context(), cut); !errors.Is(err, ErrTruncated) {
			t.Fatalf("cut at %d: %v", at, err)
		}
		bad := bytes.Clone(b)
		bad[at] ^= 0x20
		if _, err := d.Receive(t.Context(), bytes.NewReader(bad)); !errors.Is(err, ErrCorrupt) {
			t.Fatalf("byte %d: %v", at, err)
		}
		if got := files(t, d.Path()); !slices.Equal(got, before) {
			t.Fatalf("at %d: directory was %v, is %v", at, before, got)
		}
	}
	big := encode(t, arena(4<<20, 1), numbered(3))
	if _, err := d.Receive(t.Context(), bytes.NewReader(big)); err == nil || errors.Is(err, ErrCorrupt) {
		t.Errorf("too large: %v", err)
	}
	broken := errors.New("connection reset")
	if _, err := d.Receive(t.Context(), io.MultiReader(bytes.NewReader(b[:9000]), errReader{broken})); !errors.Is(err, broken) || errors.Is(err, ErrCorrupt) {
		t.Errorf("stream that fails: %v", err)
	}
	if _, err := d.Receive(t.Context(), bytes.NewReader(b)); err != nil {
		t.Error(err)
	}
}

// TestParentMayComeBack: an orphan is one only as long as its parent is away.
func TestParentMayComeBack(t *testing.T) {
	d := openTestStore(t, t.TempDir(), StoreOptions{Keep: 9, NoFold: true}, unsyncedFS{})
	parent := save(t, d, 0)
	mustSaveOn(t, d, 1, 0)
	away := parent.Path + "~"
	if err := os.Rename(parent.Path, away); err != nil {
		t.Fatal(err)
	}
	d.forget(filepath.Base(parent.Path))
	if _, _, err := d.Latest(nil); !errors.Is(err, ErrNoParent) {
		t.Fatal(err)
	}
	if info, err := saveOn(t.Context(), d, 2, 1); err != nil || info.Incremental {
		t.Errorf("on an orphan: %+v, %v", info, err)
	}
	if err := os.Rename(away, parent.Path); err != nil {
		t.Fatal(err)
	}
	mustSaveOn(t, d, 3, 1)
	checkWhole(t, "back again", d)
}

// TestParentOfADamagedChildStaysAsLongAsIt: that it is damaged may be found in
// its pages, or be wrong.
func TestParentOfADamagedChildStaysAsLongAsIt(t *testing.T) {
	path := t.TempDir()
	d := openTestStore(t, path, StoreOptions{Keep: 9, NoFold: true}, unsyncedFS{})
	save(t, d, 0)
	save(t, d, 1)
	mustSaveOn(t, d, 2, 0)
	d.Close()
	d = openTestStore(t, path, StoreOptions{Keep: 9, NoFold: true}, unsyncedFS{})
	damage(t, d, 2, headerUnit+4096+50)
	if n, skipped, err := latestState(t, d); n != 1 || len(skipped) != 1 || err != nil {
		t.Fatal(n, skipped, err)
	}
	if removed, err := d.Prune(Policy{Keep: 1}); err != nil || len(removed) != 0 {
		t.Errorf("removed %v, %v", removed, err)
	}
	save(t, d, 3)
	if removed, err := d.Prune(Policy{Keep: 1}); err != nil || len(removed) != 3 {
		t.Errorf("removed %v, %v", removed, err)
	}
}

// TestFoldLeavesWhatWasSavedLast: an older state may be saved after a newer one, and is
// there when Save has returned; a fold that ends then does not take it away.
func TestFoldLeavesWhatWasSavedLast(t *testing.T) {
	d := openTestStore(t, t.TempDir(), StoreOptions{Keep: 1, NoFold: true}, unsyncedFS{})
	save(t, d, 3)
	mustSaveOn(t, d, 4, 3)
	save(t, d, 1)
	if _, err := d.Fold(t.Context(), numberedID(4)); err != nil {
		t.Fatal(err)
	}
	im, err := d.Open(numberedID(1))
	if err != nil {
		t.Fatalf("what was saved last: %v", err)
	}
	if err := im.Close(); err != nil {
		t.Fatal(err)
	}
	save(t, d, 6)
	if _, err := d.Open(numberedID(1)); !errors.Is(err, ErrNotFound) {
		t.Errorf("after another one was saved: %v, want ErrNotFound", err)
	}
}
