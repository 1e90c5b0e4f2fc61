package checkpoint

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// TestFileSystemWithoutLocksIsSaidSo, with what to do about it.
func TestFileSystemWithoutLocksIsSaidSo(t *testing.T) {
	for _, cause := range []error{syscall.EOPNOTSUPP, syscall.ENOSYS} {
		err := refusedLock("dir/LOCK", cause)
		if !errors.Is(err, cause) || errors.Is(err, ErrLocked) || !strings.Contains(err.Error(), "use a directory on another") {
			t.Errorf("%v", err)
		}
	}
	if err := refusedLock("dir/LOCK", syscall.EIO); !errors.Is(err, syscall.EIO) || strings.Contains(err.Error(), "use a directory") {
		t.Errorf("%v", err)
	}
}

// TestLockIsNotFollowed: who can put a link into the directory must not have a file of
// another's cut.
func TestLockIsNotFollowed(t *testing.T) {
	if noFollow == 0 {
		t.Skip("this system follows")
	}
	dir := t.TempDir()
	victim := filepath.Join(dir, "victim")
	if err := errors.Join(os.WriteFile(victim, []byte("mine"), 0o600), os.Symlink(victim, filepath.Join(dir, lockName))); err != nil {
		t.Skip(err)
	}
	d, err := OpenStore(dir, StoreOptions{})
	if err == nil {
		d.Close()
	}
	if b, e := os.ReadFile(victim); e != nil || string(b) != "mine" || err == nil || !strings.Contains(err.Error(), lockName) {
		t.Errorf("the file is %q, %v; opening: %v", b, e, err)
	}
}
