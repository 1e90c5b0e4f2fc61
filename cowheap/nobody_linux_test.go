package cowheap

import (
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
)

// asNobody makes a child that runs without privileges. It skips the test if this
// process has none to give away.
func asNobody(t testing.TB, cmd *exec.Cmd) {
	t.Helper()
	const nobody = 65534
	if os.Getuid() != 0 {
		t.Skip("this user is unprivileged already")
	}
	// go test builds into a directory that only its user may enter.
	dir := have[string](t)(os.MkdirTemp("", "nobody"))
	t.Cleanup(func() { os.RemoveAll(dir) })
	exe, tmp := filepath.Join(dir, "cowheap.test"), filepath.Join(dir, "tmp")
	b := have[[]byte](t)(os.ReadFile(cmd.Path))
	for _, err := range []error{
		os.WriteFile(exe, b, 0o755), os.Mkdir(tmp, 0o700),
		os.Chmod(dir, 0o755), os.Chmod(exe, 0o755), os.Chown(tmp, nobody, nobody),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	cmd.Path, cmd.Args[0], cmd.Dir = exe, exe, tmp
	cmd.Env = append(cmd.Env, "TMPDIR="+tmp, "GOCOVERDIR="+tmp)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
}
