package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/cowheap/cowheap/checkpoint"
)

// hostile is a copy of each file in checkpoint/testdata/hostile, by what is wrong with it: a
// directory has it under the name that its header should have.
func hostile(t *testing.T) map[string]string {
	t.Helper()
	const from = "../../checkpoint/testdata/hostile"
	paths, err := filepath.Glob(filepath.Join(from, "*.cowheap"))
	if err != nil || len(paths) < 100 {
		t.Fatalf("%d files, %v", len(paths), err)
	}
	copies := map[string]string{}
	for _, path := range paths {
		dir := t.TempDir()
		put := func(from, to string) error {
			b, err := os.ReadFile(from)
			return errors.Join(err, os.WriteFile(filepath.Join(dir, to), b, 0o600))
		}
		const child, parent = "01890f3c1a2b7c4d8e5f0123456789ab.cowheap", "01890f3c000070008000000000000001.cowheap"
		if err := put(path, child); err != nil {
			t.Fatal(err)
		}
		beside := strings.TrimSuffix(path, ".cowheap") + ".parent"
		if _, err := os.Stat(beside); err == nil {
			if err := put(beside, parent); err != nil {
				t.Fatal(err)
			}
		}
		copies[filepath.Base(path)] = filepath.Join(dir, child)
	}
	return copies
}

// onlyText wants nothing that moves a terminal's cursor, or worse.
func onlyText(t *testing.T, what, s string) {
	t.Helper()
	if !utf8.ValidString(s) {
		t.Errorf("%s prints %q", what, s)
	}
	for _, r := range s {
		if r != '\n' && !unicode.IsPrint(r) {
			t.Errorf("%s prints %q in %q", what, r, s)
			return
		}
	}
}

// TestHostileFilesAreRefused: by verify all, by inspect and diff without harm; and nothing is
// taken for what they claim.
func TestHostileFilesAreRefused(t *testing.T) {
	const most = 16<<20 - 1 // less than the least claim; the buffers of verify, for two processors, are 8 MiB
	for name, path := range hostile(t) {
		for _, command := range []string{"verify", "inspect"} {
			var status int
			var stdout, stderr string
			taken := uint64(math.MaxUint64)
			for range 3 { // buffers come from a pool, which may be empty for once
				var before, after runtime.MemStats
				runtime.ReadMemStats(&before)
				status, stdout, stderr = do(t, command, path)
				runtime.ReadMemStats(&after)
				if taken = min(taken, after.TotalAlloc-before.TotalAlloc); taken <= most {
					break
				}
			}
			if runtime.GOMAXPROCS(0) <= 2 && taken > most {
				t.Errorf("%s %s: %d bytes were taken", command, name, taken)
			}
			if status != exitFailed && !(command == "inspect" && status == exitOK) || (status == exitFailed) != strings.Contains(stderr, path) {
				t.Errorf("%s %s: status %d, %s, %s", command, name, status, stdout, stderr)
			}
			onlyText(t, command+" "+name, stdout+stderr)
			status, stdout, _ = do(t, command, "-json", filepath.Dir(path))
			if !json.Valid([]byte(stdout)) || command == "verify" && status != exitFailed {
				t.Errorf("%s -json %s: status %d, %s", command, name, status, stdout)
			}
		}
		if status, stdout, stderr := do(t, "diff", path, path); status != exitFailed && status != exitOK {
			t.Errorf("diff %s: status %d, %s, %s", name, status, stdout, stderr)
		}
	}
}

// state is an arena for a checkpoint.
type state struct{ *bytes.Reader }

// checkpointOf writes a checkpoint with these roots of a page that begins with first.
func checkpointOf(t *testing.T, first byte, roots ...checkpoint.Root) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "file.cowheap")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	_, err = checkpoint.Write(t.Context(), f, state{bytes.NewReader(append([]byte{first}, make([]byte, 4095)...))}, checkpoint.WriteOptions{Roots: roots})
	if err := errors.Join(err, f.Close()); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestNamesInAFileDoNotReachTheTerminal as they are: they are anybody's.
func TestNamesInAFileDoNotReachTheTerminal(t *testing.T) {
	const evil = "\x1b[2J\x1b]0;owned\a\r\n\u202e\u009b31m\xff"
	root := checkpoint.Root{Name: evil, Layout: checkpoint.Layout{
		{Name: evil, Kind: "struct", Size: 16, Elem: -1, Key: -1, Fields: []checkpoint.Field{{Name: evil, Type: 1}, {Name: "fine", Offset: 8, Type: 2}}},
		{Name: evil, Kind: evil, Size: 8, Elem: 0, Key: 0},
		{Name: "main.Table[string,int64]", Kind: "struct", Size: 8, Elem: -1, Key: -1},
	}}
	a, b := checkpointOf(t, 1, root), checkpointOf(t, 2, root)
	for _, args := range [][]string{{"inspect", a}, {"diff", a, b}, {"verify", a}} {
		status, stdout, stderr := do(t, args...)
		if status != exitOK && status != exitDiffers {
			t.Errorf("%q: status %d, %s", args, status, stderr)
		}
		onlyText(t, args[0], stdout+stderr)
		if args[0] == "inspect" && !strings.Contains(stdout, "fine main.Table[string,int64]\n") {
			t.Errorf("what is harmless is changed: %s", stdout)
		}
	}
	odd := filepath.Join(filepath.Dir(a), "\x1b[2J.cowheap")
	if err := os.WriteFile(odd, nil, 0o600); err != nil {
		t.Skip(err)
	}
	for _, command := range []string{"inspect", "verify"} {
		_, stdout, stderr := do(t, command, filepath.Dir(odd))
		onlyText(t, command, stdout+stderr)
	}
}

// TestDiffOfALayoutThatHoldsItselfEnds: the reader sees to it that references lead somewhere,
// not that they come to an end.
func TestDiffOfALayoutThatHoldsItselfEnds(t *testing.T) {
	struc := checkpoint.Type{Name: "T", Kind: "struct", Size: 8, Elem: -1, Key: -1}
	for range 40 {
		struc.Fields = append(struc.Fields, checkpoint.Field{Name: "again", Type: 0})
	}
	array := checkpoint.Type{Name: "A", Kind: "array", Size: 8, Elem: 0, Key: -1, Len: math.MaxInt64}
	nothing := checkpoint.Type{Name: "N", Kind: "array", Size: 8, Elem: 1, Key: -1, Len: math.MaxInt64}
	for name, layout := range map[string]checkpoint.Layout{
		"struct": {struc}, "array": {array}, "of nothing": {nothing, {Kind: "struct", Elem: -1, Key: -1}},
	} {
		root := checkpoint.Root{Name: name, Layout: layout}
		status, stdout, stderr := do(t, "diff", checkpointOf(t, 1, root), checkpointOf(t, 2, root))
		if status != exitDiffers || !strings.Contains(stdout, "the values differ") {
			t.Errorf("%s: status %d, %s, %s", name, status, stdout, stderr)
		}
	}
}
