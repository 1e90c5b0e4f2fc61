package cowheap

import (
	"context"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// childEnv is set in a process that a test started to do something that it
// could not do itself, such as crash. Its value says what.
const childEnv = "COWHEAP_TEST_CHILD"

// childTask is what this process was started for; "" if it is no child.
func childTask() string { return os.Getenv(childEnv) }

// child is a command that runs the calling test once more in a process of its
// own, where childTask is task. It is killed if it takes minutes.
func child(t testing.TB, task string, env ...string) *exec.Cmd {
	t.Helper()
	exe := have[string](t)(os.Executable())
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	t.Cleanup(cancel)
	top, _, _ := strings.Cut(t.Name(), "/")
	cmd := exec.CommandContext(ctx, exe, "-test.run=^"+top+"$", "-test.count=1")
	cmd.Env = append(append(os.Environ(), childEnv+"="+task), env...)
	return cmd
}
