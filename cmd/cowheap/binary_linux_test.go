package main

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/cowheap/cowheap/internal/uffd/uffdtest"
)

// build gives the path of the command, built as a user builds it, where everybody can run it.
func build(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for _, d := range []string{dir, filepath.Dir(dir)} {
		if err := os.Chmod(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	path := filepath.Join(dir, "cowheap")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", path, ".").CombinedOutput(); err != nil {
		t.Skipf("building: %v\n%s", err, out)
	}
	return path
}

func TestBinary(t *testing.T) {
	path := build(t)
	for _, tt := range []struct {
		name string
		who  uffdtest.Identity
	}{{"same user", uffdtest.Same}, {"nobody", uffdtest.Nobody}} {
		t.Run(tt.name, func(t *testing.T) {
			cmd := exec.CommandContext(t.Context(), path, "probe", "-json")
			cmd.Dir = "/"
			uffdtest.As(cmd, tt.who)
			out, err := cmd.Output()
			if err != nil {
				t.Fatal(err)
			}
			var r report
			d := json.NewDecoder(bytes.NewReader(out))
			d.DisallowUnknownFields()
			if err := d.Decode(&r); err != nil {
				t.Fatal(err)
			}
			if r.Schema != 1 || r.System.OS != "linux" || len(r.Guards) != len(guardTable) || len(r.Features) == 0 {
				t.Errorf("%s", out)
			}
			if tt.who == uffdtest.Nobody && r.System.UserID == 0 {
				t.Error("still root")
			}
			for _, f := range r.Features {
				if f.Status != answerYes && (f.Reason == "" || f.Remedy == "") {
					t.Errorf("%s is %s without reason and remedy: %+v", f.Name, f.Status, f)
				}
			}
			for _, status := range []struct {
				args string
				want int
			}{{"probe", 0}, {"probe -guard mprotect", 0}, {"probe -no", exitUsage}, {"", exitUsage}} {
				cmd := exec.CommandContext(t.Context(), path, strings.Fields(status.args)...)
				cmd.Dir = "/"
				uffdtest.As(cmd, tt.who)
				_ = cmd.Run()
				if got := cmd.ProcessState.ExitCode(); got != status.want {
					t.Errorf("cowheap %s: exit status %d, want %d", status.args, got, status.want)
				}
			}
		})
	}
}

// Without userfaultfd, as in a container, the answer must be there all the same, with what to do.
func TestProbeWhereUserfaultfdIsRefused(t *testing.T) {
	if uffdtest.Child(t, uffdtest.Nobody, unix.EPERM) {
		return
	}
	var stdout, stderr bytes.Buffer
	if got := run([]string{"probe", "-guard", "userfault"}, &stdout, &stderr); got != exitNoGuard {
		t.Errorf("status %d, want %d: %s", got, exitNoGuard, &stderr)
	}
	text := strings.Join(strings.Fields(stdout.String()), " ") // as if it were one line
	for _, want := range []string{
		"seccomp filter", "docker run --device /dev/userfaultfd", "userfault no", "mprotect yes as userfault, in larger pieces, where userfaultfd is refused (the default here)", "copy yes",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, &stdout)
		}
	}
	t.Logf("\n%s%s", &stdout, &stderr)
}
