package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/cowheap/cowheap/arena"
)

// asProgram in the environment makes the test binary the program itself: the
// second process that first starts, for one.
const asProgram = "QUICKSTART_AS_PROGRAM"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		main()
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// guards are those that work on this machine.
func guards(t *testing.T) (found []arena.Guard) {
	for _, g := range arena.Probe() {
		if g.Err == nil {
			found = append(found, g.Guard)
		}
	}
	if len(found) == 0 {
		t.Skip("no guard works on this machine")
	}
	return found
}

// command runs the program in this process, and what it starts as others. It
// returns what was printed, and fails the test unless temporary files are gone.
func command(t *testing.T, args ...string) (stdout string, err error) {
	t.Helper()
	temp := sandbox(t)
	var out, errs bytes.Buffer
	err = run(t.Context(), args, &out, &errs)
	t.Logf("quickstart %q\n%s%s(error: %v)", args, &out, &errs, err)
	mustBeEmpty(t, temp)
	return out.String(), err
}

// sandbox makes the program put temporary files in a directory of the test.
func sandbox(t *testing.T) (dir string) {
	t.Setenv(asProgram, "1")
	dir = t.TempDir()
	t.Setenv("TMPDIR", dir)
	t.Setenv("TMP", dir) // Windows
	return dir
}

func mustBeEmpty(t *testing.T, dir string) {
	t.Helper()
	left, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range left {
		t.Errorf("%s was left behind", e.Name())
	}
}

func lastLine(text string) string {
	lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	return lines[len(lines)-1]
}

// writeTree makes a directory with these files.
func writeTree(t *testing.T, files map[string]string) (dir string) {
	t.Helper()
	dir = t.TempDir()
	for path, text := range files {
		path = filepath.Join(dir, filepath.FromSlash(path))
		if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// forest is n files of words that many of them share.
func forest(n int) map[string]string {
	rng := rand.New(rand.NewPCG(1, 2))
	files := make(map[string]string)
	for i := range n {
		var b strings.Builder
		for range rng.IntN(200) {
			fmt.Fprintf(&b, "word%d, ", rng.IntN(1+rng.IntN(2000)))
		}
		files[fmt.Sprintf("d%d/f%d.txt", i%7, i)] = b.String()
	}
	return files
}

func TestRestoredIndexIsVerified(t *testing.T) {
	files := forest(300)
	files["binary"] = "text\x00word1"
	files["large"] = strings.Repeat("word1 ", maxDocument/6+1)
	files["empty"] = ""
	files["UTF-8"] = "Größe größe \xff 世界 don't"
	dir := writeTree(t, files)
	if err := os.Symlink(filepath.Join(dir, "UTF-8"), filepath.Join(dir, "link")); err != nil {
		t.Log(err)
	}
	found, leftOut := 304, `left out +2  of the files: 1 binary, 1 larger than 8 MiB`
	// A name that is no UTF-8 cannot be opened through fs.FS; not every system has
	// such files.
	if err := os.WriteFile(filepath.Join(dir, "\xff"), nil, 0o666); err == nil {
		found, leftOut = 305, `left out +3  of the files: 1 binary, 1 larger than 8 MiB, 1 unreadable \(.*invalid`
	}
	for _, guard := range guards(t) {
		t.Run(guard.String(), func(t *testing.T) {
			out, err := command(t, "-dir", dir, "-guard", guard.String(), "-workers", "3", "word1", "word1 word2", "世界", "nowhere")
			if err != nil {
				t.Fatal(err)
			}
			if !strings.HasPrefix(lastLine(out), "verified: ") {
				t.Errorf("last line: %q", lastLine(out))
			}
			for _, want := range []string{
				fmt.Sprintf(`\(%d files\)`, found),
				`302 files, \d`,
				leftOut,
				`first answer .* "word1": \d+ times in \d+ files, most often in d\d/f\d+.txt`,
				`answer .* "nowhere": in no file`,
				map[bool]string{false: "eagerly: all of", true: "lazily: "}[lazily(guard)],
			} {
				if !regexp.MustCompile(want).MatchString(out) {
					t.Errorf("nothing printed matches %q", want)
				}
			}
		})
	}
}

func TestSmallestTreesAreVerified(t *testing.T) {
	for name, files := range map[string]map[string]string{
		"no file":         nil,
		"one file":        {"a": "one two two"},
		"one empty file":  {"a": ""},
		"one binary file": {"a": "\x00"},
		"two files":       {"a": "one two", "b": "two"},
	} {
		for _, guard := range guards(t) {
			t.Run(name+"/"+guard.String(), func(t *testing.T) {
				out, err := command(t, "-dir", writeTree(t, files), "-guard", guard.String(), "two", "?")
				if err != nil {
					t.Fatal(err)
				}
				if !strings.HasPrefix(lastLine(out), "verified: ") {
					t.Errorf("last line: %q", lastLine(out))
				}
			})
		}
	}
}

func TestKeptCheckpointIsVerifiedAgain(t *testing.T) {
	guard := guards(t)[0].String()
	dir := writeTree(t, forest(50))
	temp := sandbox(t)
	if err := run(t.Context(), []string{"-dir", dir, "-guard", guard, "-keep"}, io.Discard, os.Stderr); err != nil {
		t.Fatal(err)
	}
	kept, err := filepath.Glob(filepath.Join(temp, "*"))
	if err != nil || len(kept) != 1 {
		t.Fatalf("kept: %q, %v", kept, err)
	}
	var out bytes.Buffer
	if err := run(t.Context(), []string{"-dir", dir, "-guard", guard, "-restore", kept[0]}, &out, os.Stderr); err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(lastLine(out.String()), "verified: ") {
		t.Errorf("printed:\n%s", &out)
	}
}

// interrupter cancels as soon as a text was written to it.
type interrupter struct {
	when   string
	cancel context.CancelFunc
	seen   strings.Builder
}

func (i *interrupter) Write(p []byte) (int, error) {
	i.seen.Write(p)
	if strings.Contains(i.seen.String(), i.when) {
		i.cancel()
	}
	return len(p), nil
}

func TestInterruptLeavesNothingBehind(t *testing.T) {
	guards(t)
	dir := writeTree(t, forest(200))
	for _, when := range []string{"First process", "checkpoint, begun", "Second process", "Verification"} {
		t.Run(when, func(t *testing.T) {
			temp := sandbox(t)
			ctx, cancel := context.WithCancel(t.Context())
			out := &interrupter{when: when, cancel: cancel}
			if err := run(ctx, []string{"-dir", dir}, out, io.Discard); err == nil {
				t.Errorf("no error; printed:\n%s", &out.seen)
			}
			mustBeEmpty(t, temp)
		})
	}
}

func TestExitStatus(t *testing.T) {
	guard := guards(t)[0].String()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	tree := writeTree(t, map[string]string{"a": "one two"})
	for _, tt := range []struct {
		name   string
		args   []string
		status int
		says   string
	}{
		{"verified", []string{"-dir", tree, "-guard", guard}, 0, ""},
		{"help", []string{"-h"}, 0, "Usage"},
		{"unknown flag", []string{"-nonsense"}, 2, "-nonsense"},
		{"unknown guard", []string{"-guard", "dog"}, 2, "dog"},
		{"no worker", []string{"-workers", "0"}, 2, "at least 1"},
		{"no tree", []string{"-dir", filepath.Join(tree, "b")}, 1, "-dir"},
		{"tree is a file", []string{"-dir", filepath.Join(tree, "a")}, 1, "not a directory"},
		{"no checkpoints", []string{"-dir", tree, "-restore", filepath.Join(tree, "b")}, 1, "looking for checkpoints"},
		{"empty heap", []string{"-dir", tree, "-restore", t.TempDir()}, 1, "no such root"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			sandbox(t)
			var stdout, stderr bytes.Buffer
			cmd := exec.CommandContext(t.Context(), self, tt.args...)
			cmd.Stdout, cmd.Stderr = &stdout, &stderr
			err := cmd.Run()
			if got := cmd.ProcessState.ExitCode(); got != tt.status {
				t.Errorf("exit status %d, want %d (%v)\n%s%s", got, tt.status, err, &stdout, &stderr)
			}
			if !strings.Contains(stderr.String(), tt.says) {
				t.Errorf("stderr has no %q:\n%s", tt.says, &stderr)
			}
			if verified := strings.Contains(stdout.String(), "verified:"); verified != (tt.name == "verified") {
				t.Errorf("stdout:\n%s", &stdout)
			}
		})
	}
}
