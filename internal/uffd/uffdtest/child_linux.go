package uffdtest

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// Identity is whom the child runs as.
type Identity int

const (
	Same   Identity = iota // as this process
	Nobody                 // an unprivileged user, who may not open /dev/userfaultfd
)

// environment tells a child which test it is for and what userfaultfd(2) is to answer.
const environment = "UFFDTEST_CHILD"

// Child runs the test t again in a child process in which userfaultfd(2) fails with errno (0: works), and fails t if the test fails
// there. It returns true in the parent and false in the child. It skips t where the system does not allow such a child.
func Child(t *testing.T, who Identity, errno unix.Errno) (parent bool) {
	t.Helper()
	if value, ok := os.LookupEnv(environment); ok {
		n, err := strconv.Atoi(value)
		if err != nil {
			t.Fatal(err)
		}
		if err := Refuse(unix.Errno(n)); err != nil {
			t.Skip(err)
		}
		return false
	}
	run := "-test.run=^" + strings.ReplaceAll(t.Name(), "/", "$/^") + "$"
	cmd := exec.CommandContext(t.Context(), "/proc/self/exe", "-test.v", run)
	cmd.Dir = "/"
	cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%d", environment, int(errno)))
	Run(t, cmd, who)
	return true
}

// Run runs cmd as who, logs its output, and fails t if it fails.
func Run(t *testing.T, cmd *exec.Cmd, who Identity) {
	t.Helper()
	As(cmd, who)
	out, err := cmd.CombinedOutput()
	switch {
	case errors.Is(err, unix.EPERM) || errors.Is(err, unix.EACCES):
		t.Skip(err) // may not change the user, or that user may not execute the test
	case err != nil:
		t.Fatalf("%v\n%s", err, out)
	case strings.Contains(string(out), "--- SKIP: "):
		t.Skipf("%s", out)
	}
	t.Logf("%s", out)
}

// As makes cmd run as who. Somebody who is not root is unprivileged as it is.
func As(cmd *exec.Cmd, who Identity) {
	const nobody = 65534
	if who == Nobody && os.Geteuid() == 0 {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	}
}
