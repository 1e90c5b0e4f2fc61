package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/cowheap/cowheap/arena"
	"github.com/cowheap/cowheap/cowheap"
)

// asProgram in the environment makes the test binary the program itself: the peers that
// match starts.
const asProgram = "ROLLBACK_AS_PROGRAM"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		main()
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// eachGuard runs test with every guard that rolls back here.
func eachGuard(t *testing.T, test func(t *testing.T, guard string)) {
	for _, g := range arena.Probe() {
		t.Run(g.Guard.String(), func(t *testing.T) {
			if g.Err != nil {
				t.Skip(g.Err)
			}
			h, err := cowheap.New(&cowheap.Options{Guard: g.Guard, MaxSize: 16 << 20})
			if err != nil {
				t.Fatal(err)
			}
			defer h.Close()
			s, err := h.Snapshot()
			if err != nil {
				t.Fatal(err)
			}
			if err := h.Rollback(s); errors.Is(err, cowheap.ErrNotSupported) {
				t.Skip(err)
			}
			test(t, g.Guard.String())
		})
	}
}

// command runs the program in this process, and its peers as others.
func command(t *testing.T, args ...string) (stdout string, err error) {
	t.Helper()
	t.Setenv(asProgram, "1")
	var out, errs bytes.Buffer
	err = run(t.Context(), args, strings.NewReader(""), &out, &errs)
	t.Logf("rollback %q\n%s%s(error: %v)", args, &out, &errs, err)
	return out.String(), err
}

func longGames(t *testing.T) {
	t.Helper()
	if testing.Short() {
		t.Skip("plays long games")
	}
}

func lastLine(text string) string {
	lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	return lines[len(lines)-1]
}

func mustVerify(t *testing.T, args ...string) string {
	t.Helper()
	out, err := command(t, args...)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(lastLine(out), "verified: ") {
		t.Errorf("last line: %q", lastLine(out))
	}
	return out
}

// Whole games are long for the race detector: a short one does there.
func TestShortGameIsVerified(t *testing.T) {
	mustVerify(t, "-guard", "copy", "-seconds", "0.1", "-peers", "2", "-delay", "10ms")
}

func TestPeersAgree(t *testing.T) {
	longGames(t)
	eachGuard(t, func(t *testing.T, guard string) {
		out := mustVerify(t, "-guard", guard, "-seconds", "1", "-loss", "20", "-delay", "80ms", "-jitter", "20ms")
		for _, want := range []string{`frames +60 `, `rollbacks +[1-9]`, `save .* p99`, `load .* p99`, `budget +[0-9.]+ %`, `4 peers agree on all 60 frames, 732 comparisons`} {
			if !regexp.MustCompile(want).MatchString(out) {
				t.Errorf("nothing printed matches %q", want)
			}
		}
	})
}

func TestPeersAgreeWhateverTheNetwork(t *testing.T) {
	longGames(t)
	for name, args := range map[string][]string{
		"two peers, no delay":            {"-peers", "2", "-delay", "0s", "-jitter", "0s"},
		"most is lost":                   {"-peers", "2", "-delay", "10ms", "-jitter", "10ms", "-loss", "60"},
		"more delay than can be guessed": {"-peers", "2", "-delay", "200ms", "-jitter", "100ms"},
	} {
		t.Run(name, func(t *testing.T) {
			mustVerify(t, append(args, "-guard", "copy", "-seconds", "0.5")...)
		})
	}
}

func TestSynctest(t *testing.T) {
	longGames(t)
	eachGuard(t, func(t *testing.T, guard string) {
		mustVerify(t, "-synctest", "-guard", guard, "-seconds", "1")
		if _, err := command(t, "-synctest", "-guard", guard, "-seconds", "1", "-desync", "4"); !errors.Is(err, errDesync) || !strings.Contains(err.Error(), "frame 4 had") {
			t.Errorf("a bug in frame 4: %v", err)
		}
	})
}

func TestDesyncIsNamed(t *testing.T) {
	longGames(t)
	eachGuard(t, func(t *testing.T, guard string) {
		out, err := command(t, "-guard", guard, "-seconds", "2", "-desync", "20", "-loss", "10", "-peers", "3")
		if !errors.Is(err, errDesync) || strings.Contains(out, "verified:") {
			t.Fatalf("error %v", err)
		}
		// The page is in the middle of the ground, which is the largest thing in the heap.
		said := regexp.MustCompile(`the first frame that differs is 20, the first page is (\d+) `).FindStringSubmatch(err.Error())
		if said == nil {
			t.Fatalf("frame 20 and a page are not named: %v", err)
		}
		for _, want := range []string{"peer 0 differs from peer 2", "peer 1 differs from peer 2", "peer 2 differs from peer"} {
			if !regexp.MustCompile(want + `.* in frame 20, page ` + said[1] + `\b`).MatchString(err.Error()) {
				t.Errorf("not said: %s", want)
			}
		}
	})
}

func TestInterruptEndsThePeers(t *testing.T) {
	t.Setenv(asProgram, "1")
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	var out, errs bytes.Buffer
	if err := run(ctx, []string{"-guard", "copy", "-seconds", "3600", "-peers", "2"}, nil, &out, &errs); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v\n%s", err, &errs)
	}
}

func TestExitStatus(t *testing.T) {
	longGames(t)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name   string
		args   []string
		status int
		says   string
	}{
		{"verified", []string{"-synctest", "-seconds", "0.1", "-guard", "copy"}, 0, ""},
		{"desync", []string{"-synctest", "-seconds", "0.1", "-guard", "copy", "-desync", "2"}, 1, "frame 2"},
		{"help", []string{"-h"}, 0, "Usage"},
		{"unknown flag", []string{"-nonsense"}, 2, "-nonsense"},
		{"unknown guard", []string{"-guard", "dog"}, 2, "dog"},
		{"one peer", []string{"-peers", "1"}, 2, "-peers"},
		{"no time", []string{"-seconds", "0"}, 2, "-seconds"},
		{"all lost", []string{"-loss", "100"}, 2, "-loss"},
		{"negative delay", []string{"-delay", "-1s"}, 2, "-delay"},
		{"argument", []string{"fast"}, 2, "fast"},
		{"peer without parent", []string{"-peer", "0", "-guard", "copy"}, 1, "waiting for the others"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var stdout, stderr bytes.Buffer
			cmd := exec.CommandContext(t.Context(), self, tt.args...)
			cmd.Env = append(os.Environ(), asProgram+"=1")
			cmd.Stdout, cmd.Stderr = &stdout, &stderr
			err := cmd.Run()
			if got := cmd.ProcessState.ExitCode(); got != tt.status {
				t.Errorf("exit status %d, want %d (%v)\n%s%s", got, tt.status, err, &stdout, &stderr)
			}
			if said := fmt.Sprint(&stdout, &stderr); !strings.Contains(said, tt.says) {
				t.Errorf("nothing says %q:\n%s", tt.says, said)
			}
			if verified := strings.Contains(stdout.String(), "verified:"); verified != (tt.name == "verified") {
				t.Errorf("stdout:\n%s", &stdout)
			}
		})
	}
}
