package checkpoint

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"
)

func TestEmptyDirectoryHasNoCheckpoint(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a", "b")
	d := openTestStore(t, path, StoreOptions{}, unsyncedFS{})
	if _, skipped, err := d.Latest(nil); !errors.Is(err, ErrNotFound) || errors.Is(err, ErrCorrupt) || skipped != nil {
		t.Errorf("got %v, %v", skipped, err)
	}
	if infos, skipped, err := d.List(); len(infos)+len(skipped) != 0 || err != nil {
		t.Errorf("got %v, %v, %v", infos, skipped, err)
	}
}

func TestListIsNewestFirst(t *testing.T) {
	d := openTestStore(t, t.TempDir(), StoreOptions{Keep: 5}, unsyncedFS{})
	var want []Info
	for n := range 4 {
		want = append([]Info{save(t, d, n)}, want...)
	}
	if err := os.WriteFile(filepath.Join(d.Path(), fileName(numberedID(9))), []byte("nothing"), 0o600); err != nil {
		t.Fatal(err)
	}
	infos, skipped, err := d.List()
	if err != nil || !slices.EqualFunc(infos, want, func(a, b Info) bool { return sameInfo(a, b) && a.Path == b.Path }) {
		t.Errorf("got %+v, %v", infos, err)
	}
	if len(skipped) != 1 || !errors.Is(skipped[0], ErrCorrupt) {
		t.Errorf("skipped %v", skipped)
	}
}

// damage changes a byte of the n-th checkpoint.
func damage(t *testing.T, d *Store, n int, at int64) string {
	t.Helper()
	path := filepath.Join(d.Path(), fileName(numberedID(n)))
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if at < 0 {
		st, _ := f.Stat()
		at += st.Size()
	}
	var b [1]byte
	if _, err := f.ReadAt(b[:], at); err != nil {
		t.Fatal(err)
	}
	b[0] ^= 0x40
	if _, err := f.WriteAt(b[:], at); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestLatestFallsBackAndSaysWhy(t *testing.T) {
	for name, at := range map[string]int64{"magic": 0, "version": 9, "page size": 17, "metadata": hMetadata, "block": headerUnit + 20, "page": headerUnit + 4096 + 99, "trailer": -1} {
		t.Run(name, func(t *testing.T) {
			d := openTestStore(t, t.TempDir(), StoreOptions{Keep: 3}, unsyncedFS{})
			for n := range 3 {
				save(t, d, n)
			}
			path := damage(t, d, 2, at)
			n, skipped, err := latestState(t, d)
			if n != 1 || err != nil || len(skipped) != 1 {
				t.Fatalf("newest is %d, skipped %v, %v", n, skipped, err)
			}
			e, ok := errors.AsType[*SkippedError](skipped[0])
			if !ok || e.Path != path || !errors.Is(e, ErrCorrupt) || strings.Count(e.Error(), path) != 1 {
				t.Errorf("skipped: %v", skipped[0])
			}

			damage(t, d, 0, at)
			damage(t, d, 1, at)
			_, skipped, err = latestState(t, d)
			all, ok := errors.AsType[*AllDamagedError](err)
			if !ok || len(all.Skipped) != 3 || len(skipped) != 3 || !errors.Is(err, ErrCorrupt) || errors.Is(err, ErrNotFound) {
				t.Errorf("all damaged: %v, skipped %v", err, skipped)
			}
		})
	}
}

func TestWithoutTryOnlyTheFrameIsVerified(t *testing.T) {
	d := openTestStore(t, t.TempDir(), StoreOptions{}, unsyncedFS{})
	save(t, d, 0)
	save(t, d, 1)
	damage(t, d, 1, headerUnit+4096+99)
	im, skipped, err := d.Latest(nil)
	if err != nil || len(skipped) != 0 || im.Info().ID != numberedID(1) {
		t.Fatalf("%v, %v", skipped, err)
	}
	im.Close()
}

// TestWhatIsNotDamageEndsTheSearch: to go back in time because of these would
// lose what is there.
func TestWhatIsNotDamageEndsTheSearch(t *testing.T) {
	rewrite := func(off int, value uint32) func(t *testing.T, d *Store) {
		return func(t *testing.T, d *Store) {
			path := filepath.Join(d.Path(), fileName(numberedID(1)))
			b, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			binary.LittleEndian.PutUint32(b[off:], value)
			reseal(b)
			if err := os.WriteFile(path, b, 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	nothing := func(*testing.T, *Store) {}
	is := func(target error) func(error) bool { return func(err error) bool { return errors.Is(err, target) } }
	for name, c := range map[string]struct {
		prepare func(t *testing.T, d *Store)
		opts    StoreOptions
		try     error
		want    func(error) bool
	}{
		"newer version":   {rewrite(hVersion, 2), StoreOptions{}, nil, func(err error) bool { _, ok := errors.AsType[*VersionError](err); return ok }},
		"other page size": {rewrite(hPageSize, 16384), StoreOptions{}, nil, func(err error) bool { _, ok := errors.AsType[*PageSizeError](err); return ok }},
		"too large":       {nothing, StoreOptions{MaxSize: pageSize}, nil, func(err error) bool { _, ok := errors.AsType[*LimitError](err); return ok }},
		"cancelled":       {nothing, StoreOptions{}, context.Canceled, is(context.Canceled)},
		"no memory":       {nothing, StoreOptions{}, syscall.ENOMEM, is(syscall.ENOMEM)},
	} {
		t.Run(name, func(t *testing.T) {
			d := openTestStore(t, t.TempDir(), c.opts, unsyncedFS{})
			save(t, d, 0)
			save(t, d, 1)
			c.prepare(t, d)
			im, skipped, err := d.Latest(func(*Image) error { return c.try })
			if im != nil || len(skipped) != 0 || !c.want(err) || errors.Is(err, ErrCorrupt) {
				t.Fatalf("got %v, %v, %v", im, skipped, err)
			}
			if !strings.Contains(err.Error(), fileName(numberedID(1))) {
				t.Errorf("the file is not named: %v", err)
			}
		})
	}
}

func TestBadSectorIsPassedOver(t *testing.T) {
	d := openTestStore(t, t.TempDir(), StoreOptions{}, unsyncedFS{})
	save(t, d, 0)
	save(t, d, 1)
	tries := 0
	im, skipped, err := d.Latest(func(im *Image) error {
		if tries++; tries == 1 {
			return &ReadError{Path: im.Info().Path, Offset: 5, Err: syscall.EIO}
		}
		return nil
	})
	if err != nil || len(skipped) != 1 || im.Info().ID != numberedID(0) {
		t.Fatalf("%v, %v", skipped, err)
	}
	im.Close()
}

func TestRenamedCheckpointIsNotBelieved(t *testing.T) {
	d := openTestStore(t, t.TempDir(), StoreOptions{}, unsyncedFS{})
	save(t, d, 0)
	save(t, d, 1)
	if err := os.Rename(filepath.Join(d.Path(), fileName(numberedID(0))), filepath.Join(d.Path(), fileName(numberedID(5)))); err != nil {
		t.Fatal(err)
	}
	if n, skipped, err := latestState(t, d); n != 1 || len(skipped) != 1 || err != nil {
		t.Fatalf("newest is %d, %v, %v", n, skipped, err)
	}
}

func TestNameWithoutFileIsDamage(t *testing.T) {
	d := openTestStore(t, t.TempDir(), StoreOptions{}, unsyncedFS{})
	if err := os.Symlink("nowhere", filepath.Join(d.Path(), fileName(numberedID(5)))); err != nil {
		t.Skip(err)
	}
	if _, _, err := d.Latest(nil); !errors.Is(err, ErrCorrupt) {
		t.Errorf("alone: %v", err)
	}
	if infos, skipped, err := d.List(); len(infos) != 0 || len(skipped) != 1 || !errors.Is(skipped[0], ErrCorrupt) || err != nil {
		t.Errorf("List: %v, %v, %v", infos, skipped, err)
	}
	save(t, d, 1)
	if n, skipped, err := latestState(t, d); n != 1 || len(skipped) != 1 || err != nil {
		t.Errorf("newest is %d, %v, %v", n, skipped, err)
	}
}

func TestForeignFilesAreLeftAlone(t *testing.T) {
	path := t.TempDir()
	foreign := []string{"notes.txt", "x.cowheap", "x.cowheap.tmp", strings.ToUpper(strings.TrimSuffix(fileName(testID), fileSuffix)) + fileSuffix, fileName(testID) + "~", "." + fileName(testID), "0" + fileName(testID)}
	for _, name := range foreign {
		if err := os.WriteFile(filepath.Join(path, name), []byte("mine"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	leftover := strings.TrimSuffix(fileName(testID), fileSuffix) + tempSuffix
	if err := os.WriteFile(filepath.Join(path, leftover), []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}
	d := openTestStore(t, path, StoreOptions{Keep: 1}, unsyncedFS{})
	if _, _, err := d.Latest(nil); !errors.Is(err, ErrNotFound) {
		t.Errorf("got %v", err)
	}
	for n := range 3 {
		save(t, d, n)
	}
	slices.Sort(foreign)
	want := slices.Sorted(slices.Values(append(foreign, fileName(numberedID(2)))))
	if got := files(t, path); !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestDamagedOnesDoNotPushOutGoodOnes(t *testing.T) {
	path := t.TempDir()
	d := openTestStore(t, path, StoreOptions{Keep: 2}, unsyncedFS{})
	save(t, d, 0)
	save(t, d, 1)
	damage(t, d, 1, headerUnit+4096+99) // a page: only who reads it knows
	if n, _, err := latestState(t, d); n != 0 || err != nil {
		t.Fatal(n, err)
	}
	save(t, d, 2)
	if n, _, err := latestState(t, d); n != 2 || err != nil {
		t.Fatal(n, err)
	}
	damage(t, d, 2, headerUnit+4096+99)
	if n, skipped, err := latestState(t, d); n != 0 || len(skipped) != 2 || err != nil {
		t.Fatalf("checkpoint 0 should have stayed: %d, %v, %v", n, skipped, err)
	}
	save(t, d, 3)
	save(t, d, 4)
	if got, want := files(t, path), []string{fileName(numberedID(3)), fileName(numberedID(4))}; !slices.Equal(got, want) {
		t.Errorf("in the end: %v, want %v", got, want)
	}
}

// TestOlderSnapshotSavedLaterIsNotTheNewest: IDs are of the instant.
func TestOlderSnapshotSavedLaterIsNotTheNewest(t *testing.T) {
	d := openTestStore(t, t.TempDir(), StoreOptions{Keep: 1}, unsyncedFS{})
	older, err := d.NewID()
	if err != nil {
		t.Fatal(err)
	}
	newer, _ := d.NewID()
	for _, c := range []struct {
		id uuid.UUID
		n  int
	}{{newer, 2}, {older, 1}} {
		opts := numbered(0)
		opts.ID = c.id
		info, err := d.Save(t.Context(), state(c.n), opts)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := os.Stat(info.Path); err != nil {
			t.Errorf("what was just saved is gone: %v", err)
		}
		wantLatest(t, d, 2)
	}
	save0, err := d.Save(t.Context(), state(3), WriteOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if got := files(t, d.Path()); !slices.Equal(got, []string{filepath.Base(save0.Path)}) {
		t.Errorf("directory holds %v", got)
	}
}

// TestIDsGrowWhenTheClockIsSetBack: otherwise what is saved next would count as
// older than what is there, and be removed.
func TestIDsGrowWhenTheClockIsSetBack(t *testing.T) {
	path := t.TempDir()
	d := openTestStore(t, path, StoreOptions{}, unsyncedFS{})
	opts := numbered(0)
	binary.BigEndian.PutUint64(opts.ID[:], uint64(time.Now().Add(24*time.Hour).UnixMilli())<<16|0x7abc)
	if _, err := d.Save(t.Context(), state(0), opts); err != nil {
		t.Fatal(err)
	}
	d.Close()
	d = openTestStore(t, path, StoreOptions{}, unsyncedFS{})
	last := opts.ID
	for range 100 {
		id, err := d.NewID()
		if err != nil || bytes.Compare(id[:], last[:]) <= 0 || id.Version() != 7 || id.Variant() != uuid.RFC4122 {
			t.Fatalf("%s after %s, %v", id, last, err)
		}
		last = id
	}
	if _, err := d.Save(t.Context(), state(1), WriteOptions{}); err != nil {
		t.Fatal(err)
	}
	wantLatest(t, d, 1)

	end := numbered(0)
	for i := range 6 {
		end.ID[i] = 0xff
	}
	if _, err := d.Save(t.Context(), state(2), end); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Save(t.Context(), state(3), WriteOptions{}); err == nil || !strings.Contains(err.Error(), "move that file away") {
		t.Errorf("after the last ID there is: %v", err)
	}
}

func TestSecondStoreIsLockedOut(t *testing.T) {
	path := t.TempDir()
	d := openTestStore(t, path, StoreOptions{}, unsyncedFS{})
	_, err := OpenStore(path, StoreOptions{})
	e, ok := errors.AsType[*LockedError](err)
	if !ok || !errors.Is(err, ErrLocked) || e.Path != path || e.PID != os.Getpid() {
		t.Fatalf("got %v", err)
	}
	for _, part := range []string{path, fmt.Sprint(os.Getpid()), "close it there first"} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("%q is not in: %v", part, err)
		}
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	if err := d.Close(); err != nil {
		t.Errorf("second Close: %v", err)
	}
	openTestStore(t, path, StoreOptions{}, unsyncedFS{})
}

const lockedDirVariable = "COWHEAP_TEST_LOCKED_DIR"

// TestHelperLocksADirectory is the other process of the next test.
func TestHelperLocksADirectory(t *testing.T) {
	path := os.Getenv(lockedDirVariable)
	if path == "" {
		t.Skip("run by TestOtherProcessIsLockedOut")
	}
	_, err := OpenStore(path, StoreOptions{})
	fmt.Printf("other process: %v\n", err)
	if !errors.Is(err, ErrLocked) {
		os.Exit(3)
	}
	os.Exit(0)
}

func TestOtherProcessIsLockedOut(t *testing.T) {
	path := t.TempDir()
	d := openTestStore(t, path, StoreOptions{}, unsyncedFS{})
	other := func() ([]byte, error) {
		cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestHelperLocksADirectory$")
		cmd.Env = append(os.Environ(), lockedDirVariable+"="+path)
		return cmd.CombinedOutput()
	}
	if out, err := other(); err != nil || !strings.Contains(string(out), fmt.Sprintf("by process %d", os.Getpid())) {
		t.Errorf("while it is open: %v\n%s", err, out)
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	if out, err := other(); err == nil {
		t.Errorf("after Close the other process should get it:\n%s", out)
	}
	// It ended without closing: the lock went with it.
	openTestStore(t, path, StoreOptions{}, unsyncedFS{})
}

func TestClosedStoreRefuses(t *testing.T) {
	d := openTestStore(t, t.TempDir(), StoreOptions{}, unsyncedFS{})
	d.Close()
	_, saveErr := d.Save(t.Context(), state(1), WriteOptions{})
	_, _, latestErr := d.Latest(nil)
	_, _, listErr := d.List()
	for _, err := range []error{saveErr, latestErr, listErr} {
		if !errors.Is(err, ErrClosed) {
			t.Errorf("got %v", err)
		}
	}
	if got := files(t, d.Path()); len(got) != 0 {
		t.Errorf("directory holds %v", got)
	}
}

func TestNonsenseOptionsAreRefused(t *testing.T) {
	for _, opts := range []StoreOptions{{Keep: -1}, {MaxSize: -1}} {
		if _, err := OpenStore(t.TempDir(), opts); err == nil {
			t.Errorf("%+v was accepted", opts)
		}
	}
	file := filepath.Join(t.TempDir(), "file")
	os.WriteFile(file, nil, 0o600)
	if _, err := OpenStore(file, StoreOptions{}); err == nil || !strings.Contains(err.Error(), file) {
		t.Errorf("a file as directory: %v", err)
	}
}

func TestSavesAndSearchesRunTogether(t *testing.T) {
	d := openTestStore(t, t.TempDir(), StoreOptions{Keep: 1}, unsyncedFS{})
	save(t, d, 0)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for n := 1; n < 60; n++ {
			if _, err := d.Save(context.Background(), state(n%6), WriteOptions{}); err != nil {
				t.Error(err)
			}
		}
	}()
	for {
		if _, skipped, err := latestState(t, d); err != nil || len(skipped) != 0 {
			t.Errorf("%v, %v", skipped, err)
		}
		if _, skipped, err := d.List(); err != nil || len(skipped) != 0 {
			t.Errorf("list: %v, %v", skipped, err)
		}
		select {
		case <-done:
			return
		default:
		}
	}
}
