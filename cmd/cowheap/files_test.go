package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cowheap/cowheap/cowheap"
)

// ledger is a root with some of every kind of field.
type ledger struct {
	LogPosition uint64
	Rate        float64
	Open        bool
	Days        [3]int16
	Names       cowheap.Map[string, int64]
	Blob        [8192]byte
}

// savedTwice is a directory with two checkpoints, older and newer, and what was changed between them.
func savedTwice(t *testing.T) (dir, older, newer string) {
	t.Helper()
	dir = t.TempDir()
	h, err := cowheap.Open(dir, &cowheap.Options{Seed: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	save := func(change func(m *cowheap.Mem, l *ledger) error) string {
		t.Helper()
		err := h.Update(func(m *cowheap.Mem) error {
			ref, err := cowheap.Root[ledger](m, "ledger")
			if err != nil {
				return err
			}
			return change(m, ref.Ptr(m))
		})
		if err != nil {
			t.Fatal(err)
		}
		info, err := h.Checkpoint(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return info.Path
	}
	older = save(func(m *cowheap.Mem, l *ledger) error {
		l.LogPosition, l.Rate, l.Days[1] = 41, 0.5, -2
		for i := range l.Blob {
			l.Blob[i] = byte(i)
		}
		return l.Names.Set(m, "ada", 1)
	})
	newer = save(func(m *cowheap.Mem, l *ledger) error {
		l.LogPosition, l.Open, l.Days[1] = 42, true, -3
		return nil
	})
	return dir, older, newer
}

// do runs the command.
func do(t *testing.T, args ...string) (status int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	status = run(args, &out, &errs)
	return status, out.String(), errs.String()
}

// decode runs the command with -json, whose keys must all be known.
func decode[T any](t *testing.T, want int, args ...string) (v T) {
	t.Helper()
	status, stdout, stderr := do(t, append(args, "-json")...)
	if status != want {
		t.Errorf("cowheap %q: status %d, want %d; %s", args, status, want, stderr)
	}
	d := json.NewDecoder(strings.NewReader(stdout))
	d.DisallowUnknownFields()
	if err := d.Decode(&v); err != nil {
		t.Errorf("cowheap %q: %v in %s", args, err, stdout)
	}
	if strings.Contains(stdout, "null") {
		t.Errorf("cowheap %q: null in %s", args, stdout)
	}
	return v
}

func flip(t *testing.T, path string, at int64) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var b [1]byte
	_, err = f.ReadAt(b[:], at)
	b[0] ^= 1
	_, e := f.WriteAt(b[:], at)
	if err := errors.Join(err, e); err != nil {
		t.Fatal(err)
	}
}

func size(t *testing.T, path string) int64 {
	t.Helper()
	st, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	return st.Size()
}

func TestInspect(t *testing.T) {
	dir, older, newer := savedTwice(t)
	status, stdout, stderr := do(t, "inspect", newer)
	if status != exitOK || stderr != "" {
		t.Errorf("status %d, %s", status, stderr)
	}
	for _, want := range []string{newer, "kind     full", "roots    1", `"ledger" at 0x`, "LogPosition uint64", "Names Map[string, int64]", "Days [3]int16", "a sign for"} {
		if !strings.Contains(stdout, want) {
			t.Errorf("no %q in\n%s", want, stdout)
		}
	}
	r := decode[inspection](t, exitOK, "inspect", dir)
	if len(r.Checkpoints) != 2 || r.Checkpoints[0].Path != newer || r.Checkpoints[1].Path != older {
		t.Fatalf("%+v", r)
	}
	c := r.Checkpoints[0]
	if c.ID == "" || c.Bytes != size(t, newer) || c.Pages == 0 || c.Chain != 1 || len(c.Roots) != 1 || len(c.Regions) == 0 || c.Regions[0] == 0 {
		t.Errorf("%+v", c)
	}
	// A damaged one does not keep the other from being printed.
	flip(t, newer, 100)
	r = decode[inspection](t, exitFailed, "inspect", dir)
	if len(r.Checkpoints) != 2 || r.Checkpoints[0].Error == "" || r.Checkpoints[1].Error != "" {
		t.Errorf("%+v", r)
	}
	if status, stdout, stderr := do(t, "inspect", dir); status != exitFailed || !strings.Contains(stdout, "damaged or unreadable:") || !strings.Contains(stderr, newer) {
		t.Errorf("status %d, %s, %s", status, stdout, stderr)
	}
}

func TestMapOfPages(t *testing.T) {
	c := checkpointReport{Size: 5*regionBytes + regionBytes/2, Regions: []int{0, 1, regionBytes / 2, regionBytes - 1, regionBytes + 4096, regionBytes / 2}}
	var b bytes.Buffer
	c.writeMap(&b)
	if got := b.String(); !strings.HasSuffix(got, "  .-=+##\n") && !strings.HasSuffix(got, "  .--+##\n") {
		t.Error(got)
	}
	c = checkpointReport{Size: 4096 * regionBytes, Regions: make([]int, 4096)}
	b.Reset()
	c.writeMap(&b)
	if lines := strings.Count(b.String(), "\n"); lines > 18 || !strings.Contains(b.String(), "a sign for 8192.0 KiB") {
		t.Errorf("%d lines:\n%s", lines, &b)
	}
}

func TestVerify(t *testing.T) {
	dir, older, newer := savedTwice(t)
	if status, stdout, stderr := do(t, "verify", newer); status != exitOK || !strings.HasPrefix(stdout, newer+": ok, ") || stderr != "" {
		t.Errorf("status %d, %s, %s", status, stdout, stderr)
	}
	if r := decode[verification](t, exitOK, "verify", dir); len(r.Checkpoints) != 2 || !r.Checkpoints[0].OK || r.Checkpoints[1].Bytes != size(t, older) {
		t.Errorf("%+v", r)
	}
	whole, err := os.ReadFile(newer)
	if err != nil {
		t.Fatal(err)
	}
	// In the header, in a block's header, in a page, in the index, in the trailer; and cut off.
	for _, at := range []int64{9, 4096 + 20, 3 * 4096, int64(len(whole)) - 5000, int64(len(whole)) - 9} {
		if at < 0 || at >= int64(len(whole)) {
			continue
		}
		flip(t, newer, at)
		r := decode[verification](t, exitFailed, "verify", dir)
		if len(r.Checkpoints) != 2 || r.Checkpoints[0].OK || r.Checkpoints[0].Error == "" || !r.Checkpoints[1].OK {
			t.Errorf("byte %d flipped: %+v", at, r)
		}
		if status, stdout, stderr := do(t, "verify", newer); status != exitFailed || strings.Contains(stdout, "ok") || !strings.Contains(stderr, newer) {
			t.Errorf("byte %d flipped: status %d, %s, %s", at, status, stdout, stderr)
		}
		flip(t, newer, at)
	}
	for _, n := range []int{0, 1, 4096, len(whole) - 1} {
		if err := os.WriteFile(newer, whole[:n], 0o600); err != nil {
			t.Fatal(err)
		}
		if r := decode[verification](t, exitFailed, "verify", newer); r.Checkpoints[0].OK || !r.Checkpoints[0].Damaged {
			t.Errorf("%d bytes: %+v", n, r)
		}
	}
}

func TestDiff(t *testing.T) {
	dir, older, newer := savedTwice(t)
	d := decode[difference](t, exitDiffers, "diff", older, newer)
	if d.Pages == 0 || d.Bytes == 0 || len(d.Runs) == 0 || len(d.Roots) != 1 {
		t.Fatalf("%+v", d)
	}
	want := []fieldDiff{{"LogPosition", "41", "42"}, {"Open", "false", "true"}, {"Days[1]", "-2", "-3"}}
	if got := d.Roots[0].Fields; len(got) != len(want) || got[0] != want[0] || got[1] != want[1] || got[2] != want[2] {
		t.Errorf("%+v, want %+v", got, want)
	}
	status, stdout, stderr := do(t, "diff", older, dir) // the newest of dir
	if status != exitDiffers || !strings.Contains(stdout, "LogPosition: 41 -> 42") || !strings.Contains(stderr, "differ") {
		t.Errorf("status %d, %s, %s", status, stdout, stderr)
	}
	if d := decode[difference](t, exitOK, "diff", newer, dir); d.Pages != 0 || len(d.Roots) != 0 {
		t.Errorf("%+v", d)
	}
	flip(t, older, 3*4096)
	if status, _, stderr := do(t, "diff", older, newer); status != exitFailed || !strings.Contains(stderr, "damaged") {
		t.Errorf("status %d, %s", status, stderr)
	}
}

func TestFoldAndPrune(t *testing.T) {
	dir, older, newer := savedTwice(t)
	if status, stdout, stderr := do(t, "fold", newer); status != exitOK || !strings.Contains(stdout, "full") {
		t.Errorf("status %d, %s, %s", status, stdout, stderr)
	}
	if err := os.WriteFile(strings.TrimSuffix(older, ".cowheap")+".touched", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(strings.TrimSuffix(newer, ".cowheap")+".touched", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if status, _, stderr := do(t, "prune", "-keep", "2", dir); status != exitOK || size(t, older) == 0 {
		t.Errorf("status %d, %s", status, stderr)
	}
	h, err := cowheap.Open(dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"prune", dir}, {"fold", newer}} {
		if status, _, stderr := do(t, args...); status != exitFailed || !strings.Contains(stderr, "in use") {
			t.Errorf("%q of a directory that is open: status %d, %s", args, status, stderr)
		}
	}
	if err := h.Close(); err != nil {
		t.Fatal(err)
	}
	if status, stdout, stderr := do(t, "prune", dir, "-keep", "1"); status != exitOK || !strings.HasPrefix(stdout, "removed ") {
		t.Errorf("status %d, %s, %s", status, stdout, stderr)
	}
	left, err := filepath.Glob(filepath.Join(dir, "*.*"))
	if err != nil || len(left) < 2 {
		t.Fatalf("%v, %v", left, err)
	}
	for _, path := range left {
		if strings.HasPrefix(filepath.Base(path), strings.TrimSuffix(filepath.Base(older), ".cowheap")) {
			t.Errorf("%s is still there", path)
		}
	}
	decode[verification](t, exitOK, "verify", dir)
}

func TestUsageOfFileCommands(t *testing.T) {
	empty := t.TempDir()
	text := filepath.Join(empty, "notes.txt")
	if err := os.WriteFile(text, []byte("no checkpoint"), 0o600); err != nil {
		t.Fatal(err)
	}
	absent := filepath.Join(empty, "absent")
	for _, tt := range []struct {
		args   []string
		status int
		stderr string
	}{
		{[]string{"inspect"}, exitUsage, "missing argument: FILE|DIR"},
		{[]string{"verify", "a", "b"}, exitUsage, `unexpected argument "b"`},
		{[]string{"diff", "a"}, exitUsage, "missing argument: B"},
		{[]string{"prune", "-keep", "0", empty}, exitUsage, "-keep 0"},
		{[]string{"inspect", absent}, exitFailed, "absent"},
		{[]string{"verify", absent}, exitFailed, "absent"},
		{[]string{"prune", absent}, exitFailed, "absent"},
		{[]string{"fold", absent}, exitFailed, "absent"},
		{[]string{"inspect", empty}, exitFailed, "no checkpoint found"},
		{[]string{"verify", text}, exitFailed, "notes.txt"},
		{[]string{"diff", text, text}, exitFailed, "notes.txt"},
	} {
		status, stdout, stderr := do(t, tt.args...)
		if status != tt.status || !strings.Contains(stderr, tt.stderr) {
			t.Errorf("cowheap %q: status %d, want %d; %s%s", tt.args, status, tt.status, stdout, stderr)
		}
	}
	for _, name := range []string{"inspect", "verify", "diff", "fold", "prune"} {
		if status, stdout, _ := do(t, name, "-h"); status != exitOK || !strings.Contains(stdout, "Exit status:") || !strings.Contains(stdout, "-json") {
			t.Errorf("%s -h: %d, %s", name, status, stdout)
		}
	}
	if _, err := os.Stat(absent); err == nil {
		t.Error("a command has made the directory that it was to look at")
	}
}
