package checkpoint

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"syscall"

	"github.com/cowheap/cowheap/internal/memfile"
)

// filesystem is what a Store does to the disk, one method an operation, so that
// tests can make each of them fail, cut it short or stop the world at it. It is
// not exported and has no package of its own: nothing else in the module writes
// files.
type filesystem interface {
	// MakeDir makes the directory and its parents, durably.
	MakeDir(dir string) error
	// Lock takes the directory's lock; a *LockedError says that someone has it.
	Lock(dir string) (io.Closer, error)
	// Names lists what is in the directory.
	Names(dir string) ([]string, error)
	// Create makes a file that must not be there yet.
	Create(path string) (outFile, error)
	Rename(from, to string) error
	Remove(path string) error
	// SyncDir makes what was renamed and removed in the directory durable.
	SyncDir(dir string) error
	// Free is how many bytes more the directory's disk can hold, for this process.
	Free(dir string) (int64, error)
}

// outFile is a file being written. WriteAt does not move where Write goes on.
type outFile interface {
	io.Writer
	io.WriterAt
	Sync() error
	Close() error
}

// osFilesystem is the real one.
type osFilesystem struct{}

func (osFilesystem) MakeDir(dir string) error {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return err
	}
	// The new directories are entries of their parents, which must be synced
	// from the first that was there before.
	var fresh []string
	for at := dir; ; at = filepath.Dir(at) {
		if _, err := os.Stat(at); err == nil || at == filepath.Dir(at) {
			break
		} else if !errors.Is(err, os.ErrNotExist) {
			return err
		}
		fresh = append(fresh, at)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	for _, at := range fresh {
		if err := (osFilesystem{}).SyncDir(filepath.Dir(at)); err != nil {
			return err
		}
	}
	return nil
}

func (osFilesystem) Lock(dir string) (io.Closer, error) { return lockDir(dir) }

func (osFilesystem) Names(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	names := make([]string, 0, len(entries))
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names, err
}

// Create makes a file that only its owner may read: a checkpoint holds whatever
// the program holds.
func (osFilesystem) Create(path string) (outFile, error) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, err // a nil *os.File in the interface would not be nil
	}
	if m, ok := memfile.Of(f); ok {
		return m, nil
	}
	return f, nil
}

func (osFilesystem) Free(dir string) (int64, error) { return freeSpace(dir) }

func (osFilesystem) Rename(from, to string) error { return os.Rename(from, to) }
func (osFilesystem) Remove(path string) error     { return os.Remove(path) }

func (osFilesystem) SyncDir(dir string) error {
	if !canSyncDir {
		return nil
	}
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	err = f.Sync()
	if errors.Is(err, syscall.EINVAL) || errors.Is(err, errors.ErrUnsupported) {
		err = nil // a file system that has no such operation: nothing failed
	}
	return errors.Join(err, f.Close())
}

// wrapDir adds the directory to an error that may not name it.
func wrapDir(doing, dir string, err error) error {
	return fmt.Errorf("%s checkpoint directory %s: %w", doing, dir, err)
}
